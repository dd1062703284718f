"""Learners of the extra `deep`: `make test-deep` runs these in an environment that has it."""

import numpy as np
import pytest

from app.metalearning.portfolio import CONFIGURATIONS
from tests.tables import mixed_table
from workers.experiments import evaluation, pipelines

NETWORKS = {name: each for name, each in CONFIGURATIONS.items() if each.algorithm.queue == "gpu"}

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("configuration", NETWORKS.values(), ids=NETWORKS)
def test_network_knows_its_hyperparameters_and_learns_from_a_mixed_table(configuration):
    estimator = pipelines.build(configuration.pipeline).steps[-1][1]
    known = estimator.get_params()
    assert {each.name for each in configuration.algorithm.hyperparameters} <= set(known)
    assert configuration.hyperparameters.items() <= known.items()
    table = mixed_table(configuration.task_type, 48)
    data = pipelines.features(table)
    model = evaluation.fit_pipeline(configuration, data, table.target_values, table.task_type)
    predict = model.predict_proba if table.classes else model.predict
    predictions = np.asarray(predict(data))
    assert np.isfinite(predictions).all()
    assert predictions.shape == ((48, len(table.classes)) if table.classes else (48,))
    assert evaluation.versions(configuration).keys() == {"numpy", "pytabkit", "scikit-learn"}
