import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UnknownMetricError
from app.metalearning.metrics import METRICS, headline_metric, loss_scale, metrics_of, requested_metric
from tests.tables import CLASSIFICATION, REGRESSION, quick

metrics = st.sampled_from(list(METRICS.values()))
scales = st.floats(1e-3, 1e3)


@quick
@given(metrics, st.floats(0, 1), scales)
def test_score_is_the_inverse_of_loss(metric, score, scale):
    assert metric.score(metric.loss(score, scale), scale) == pytest.approx(score, abs=1e-9)


@quick
@given(metrics, st.floats(0, 1), st.floats(0, 1), scales)
def test_better_scores_have_smaller_losses(metric, one, other, scale):
    better, worse = (max(one, other), min(one, other)) if metric.larger_is_better else sorted((one, other))
    assert metric.loss(better, scale) <= metric.loss(worse, scale)
    assert metric.loss(metric.best, scale) == 0


@pytest.mark.parametrize(
    ("name", "score", "scale", "loss"),
    [("roc_auc", 0.8, 1, 0.2), ("log_loss", 0.35, 0.7, 0.5), ("rmse", 3, 6, 0.5), ("r2", -0.5, 1, 1.5)],
)
def test_losses_by_hand(name, score, scale, loss):
    assert METRICS[name].loss(score, scale) == pytest.approx(loss)


def test_losses_are_in_units_of_knowing_nothing():
    scales = {name: loss_scale(metric, target_sd=4.0, prior_entropy=0.6) for name, metric in METRICS.items()}
    assert {name for name, scale in scales.items() if scale != 1} == {"log_loss", "rmse", "mae"}
    assert (scales["log_loss"], scales["rmse"], scales["mae"]) == (0.6, 4.0, 4.0)


def test_every_metric_belongs_to_one_task_type():
    names = [metric.name for task_type in (CLASSIFICATION, REGRESSION) for metric in metrics_of(task_type)]
    assert names == list(METRICS)


def test_headline_metric_follows_task_type_and_classes():
    assert headline_metric(CLASSIFICATION, 2).name == "roc_auc"
    assert headline_metric(CLASSIFICATION, 3).name == "log_loss"
    assert headline_metric(REGRESSION, 0).name == "rmse"
    assert requested_metric(None, CLASSIFICATION, 3).name == "log_loss"
    assert requested_metric("brier", CLASSIFICATION, 3).name == "brier"


@pytest.mark.parametrize("name", ["rmse", "auc", ""])
def test_metric_of_another_task_type_is_refused_with_those_that_fit(name):
    with pytest.raises(UnknownMetricError) as caught:
        requested_metric(name, CLASSIFICATION, 2)
    assert all(metric.name in caught.value.advice for metric in metrics_of(CLASSIFICATION))


def test_missing_scores_stay_missing():
    assert np.isnan(METRICS["roc_auc"].loss(np.array([np.nan, 1.0]))).tolist() == [True, False]
