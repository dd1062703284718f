"""What the child of a prediction answers: the artifact's own predictions, in the words of the training file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from app.errors import RowsRefusedError
from app.metalearning.metrics import headline_metric
from app.metalearning.table import TaskType
from tests.tables import CLASSIFICATION, combine, measure, mixed_table, plain_reading, silent, typed
from workers.experiments import pipelines, predicting, stacking

NAMES = {
    TaskType.CLASSIFICATION: ("clf-logistic_regression-default", "clf-lightgbm-default"),
    TaskType.REGRESSION: ("reg-ridge-default", "reg-lightgbm-default"),
}


def answer(card: dict[str, Any], folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is answered, and that the notes of the job's result are the same."""
    (folder / "rows.json").write_text(json.dumps({"rows": rows}))
    payload = {
        "model_id": "model_1",
        "job_id": "job_1",
        "card": json.loads(json.dumps(card)),
        "artifact": str(folder / stacking.ARTIFACT_FILE),
        "rows": str(folder / "rows.json"),
        "form": "rows",
        "reading": {},
        "folder": str(folder),
    }
    notes = predicting.predict(payload, silent)
    told = json.loads((folder / predicting.ANSWER_FILE).read_text())
    assert notes.items() <= told.items()
    return told


@pytest.fixture(scope="module", params=list(TaskType))
def fitted(request, tmp_path_factory):
    """A stack, or its better half, of a table with categories, dates, truth values and gaps."""
    folder = tmp_path_factory.mktemp("fitted")
    table = mixed_table(request.param, 150)
    metric = headline_metric(request.param, len(table.classes)).name
    experiments = [measure(table, name, folder) for name in NAMES[request.param]]
    return table, combine(table, experiments, metric, folder)["card"], folder


def sent(table) -> list[dict[str, Any]]:
    """The training rows as somebody would send them: dates as they are written, truth values as such."""
    rows = table.frame.drop_columns([table.target]).to_pylist()
    for row in rows:
        row["made"] = row["made"] and str(np.datetime64("1970-01-01") + int(row["made"]))
        row["old"] = None if row["old"] is None else bool(row["old"])
    return rows


def test_rows_get_what_the_artifact_predicts(fitted) -> None:
    table, card, folder = fitted
    told = answer(card, folder, sent(table))
    model = skops.io.load(folder / stacking.ARTIFACT_FILE, trusted=card["artifact"]["trusted_types"])
    data = pipelines.features(table)
    assert (told["model_id"], told["job_id"], told["n_rows"]) == ("model_1", "job_1", 150)
    assert (told["ignored_columns"], told["unknown_categories"], told["target_ignored"]) == ([], {}, False)
    if table.task_type is CLASSIFICATION:
        wanted = model.predict_proba(data)
        np.testing.assert_allclose(told["probabilities"], wanted, atol=1e-12)
        assert told["classes"] == list(table.classes) == ["high", "low", "middle"]
        assert told["predictions"] == [table.classes[code] for code in wanted.argmax(axis=1)]
    else:
        np.testing.assert_allclose(told["predictions"], model.predict(data), rtol=1e-12)
        assert told["classes"] is told["probabilities"] is None


def test_rows_of_gaps_and_of_unknown_categories_are_predicted(fitted) -> None:
    table, card, folder = fitted
    first, *_ = sent(table)
    told = answer(card, folder, [dict.fromkeys(first), {**first, "colour": "mauve"}, {**first, "size": 1e30}])
    assert len(told["predictions"]) == 3
    assert None not in told["predictions"]
    assert told["unknown_categories"] == {"colour": {"values": ["mauve"], "n_values": 1, "n_rows": 1}}


def test_labels_are_those_of_the_file_and_not_their_codes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    target = np.where(random.random(90) < 0.4, 20, 3)
    table = typed({"x": random.normal(size=90) + target / 5, "z": random.normal(size=90), "y": target}, "y")
    name = "clf-gaussian_nb-default"
    card = combine(table, [measure(table, name, tmp_path)], "roc_auc", tmp_path)["card"]
    told = answer(card, tmp_path, [{"x": 9.0, "z": 0.0}, {"x": -5.0, "z": 0.0}])
    assert (told["classes"], told["predictions"]) == ([20, 3], [20, 3])
    assert told["probabilities"][0][0] > 0.9
    assert told["probabilities"][1][1] > 0.9


def test_what_the_model_cannot_compute_is_the_rows_fault_and_said_so(fitted, monkeypatch) -> None:
    table, card, folder = fitted
    predict = "predict_proba" if table.task_type is CLASSIFICATION else "predict"

    class Fussy:
        classes_ = np.arange(3)

        def refuse(self, data):
            raise ValueError("Input X contains NaN.")

    setattr(Fussy, predict, Fussy.refuse)
    monkeypatch.setattr(skops.io, "load", lambda *_, **__: Fussy())
    first, *_ = sent(table)
    with pytest.raises(RowsRefusedError, match="contains NaN") as refused:
        answer(card, folder, [{**first, "size": None, "weight": 1.0}])
    assert "'size'" in refused.value.advice
    with pytest.raises(RowsRefusedError) as refused:
        answer(card, folder, [{"size": 1, "weight": 1, "colour": "red", "old": True, "made": "2020-01-01"}])
    assert refused.value.evidence == {"columns_with_gaps": []}


def test_a_file_is_read_as_the_training_file_was(fitted) -> None:
    table, card, folder = fitted
    (folder / "rows.csv").write_text("made,size,colour,old,weight\n2016-02-03,1.5,red,true,0.25\n")
    payload = {
        "model_id": "m",
        "job_id": "j",
        "card": card,
        "artifact": str(folder / stacking.ARTIFACT_FILE),
        "rows": str(folder / "rows.csv"),
        "form": "file",
        "reading": plain_reading(table),
        "folder": str(folder),
    }
    predicting.predict(payload, silent)
    of_file = json.loads((folder / predicting.ANSWER_FILE).read_text())
    row = {"made": "2016-02-03", "size": 1.5, "colour": "red", "old": True, "weight": 0.25}
    of_row = answer(card, folder, [row])
    assert of_file["predictions"] == of_row["predictions"]
    assert of_file["probabilities"] == of_row["probabilities"]
