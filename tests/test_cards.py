"""A model card for people."""

from typing import Any

from app.api.cards import as_markdown

CARD: dict[str, Any] = {
    "winner": "stack",
    "configurations": [
        {"id": "clf-knn-5", "algorithm": "knn", "hyperparameters": {"n_neighbors": 5}},
        {"id": "clf-lda-shrunk", "algorithm": "lda", "hyperparameters": {}},
    ],
    "task_type": "classification",
    "target": "species",
    "classes": ["setosa", "versicolor"],
    "columns": [
        {"name": "colour", "type": "categorical", "categories": list("abcdefg"), "n_categories": 7},
        {"name": "note", "type": "text", "categories": None, "n_categories": 1500},
        *({"name": f"x{index}", "type": "numeric"} for index in range(58)),
    ],
    "dataset": {"id": "ds_1", "name": "iris", "n_rows": 1500, "metafeatures": {}},
    "metric": "roc_auc",
    "scores": {"roc_auc": 0.98765, "log_loss": 0.1},
    "splits": "stratified",
    "scores_from": "out-of-fold predictions",
    "stack": {
        "meta_model": "selection",
        "members": [],
        "weights": {"clf-knn-5": 0.25, "clf-lda-shrunk": 0.75},
    },
    "stack_comparison": {"because": "The stack has 3.0% less loss than clf-knn-5."},
    "calibration": {
        "method": "sigmoid",
        "before": {"log_loss": 0.2, "roc_auc": 0.9},
        "after": {"log_loss": 0.1, "roc_auc": 0.9},
    },
    "fold_scores": [0.97, None, 0.99],
    "diagnosis": {
        "interval": [0.95, 0.995],
        "importance": {"columns": [{"name": "x<7>", "mean": 0.25, "sd": 0.125}], "of": 60},
    },
    "learning_curve": [{"anchor": 64, "roc_auc": 0.75}, {"anchor": 256, "roc_auc": None}],
    "runner_up": {
        "first": "stack",
        "second": "clf-knn-5",
        "difference": 0.02,
        "low": 0.01,
        "high": 0.03,
        "verdict": "first_better",
    },
    "limits": ["Scores hold for new rows from the same source."],
    "seed": 0,
    "versions": {"python": "3.11"},
    "artifact": {"format": "skops", "trusted_types": ["sklearn.tree._tree.Tree"]},
}


def test_a_card_tells_what_is_known() -> None:
    text = as_markdown("model_1", CARD)
    assert text.startswith("# Model model\\_1\n")
    for words in (
        "1,500 rows, 60 columns.",
        "And 10 more.",
        "| clf\\-lda\\-shrunk | 0\\.75 |",
        "| log\\_loss | 0\\.2 | 0\\.1 |",
        "| 0 | setosa |",
        "Stacked by selection.",
        "3\\.0% less loss",
        "\\(90 % interval 0\\.95 to 0\\.995\\)",
        "| x\\<7\\> | 0\\.25 | 0\\.125 |",
        "## How it learns",
        "| 64 | 0\\.75 |",
        "On single folds roc\\_auc is 0\\.97 to 0\\.99.",
        "stack has 0\\.02 less loss than clf\\-knn\\-5 (90 % interval 0\\.01 to 0\\.03): first better.",
        "skops.io.load(path, trusted=['sklearn.tree._tree.Tree'])",
        "| colour | categorical | a, b, c, d, e, 2 more |",
        "| note | text | 1,500 categories |",
        "| x0 | numeric |  |",
    ):
        assert words in text


def test_a_card_of_a_single_configuration_says_nothing_of_stacks() -> None:
    single = CARD | {"winner": "clf-knn-5", "stack": None, "stack_comparison": None, "calibration": None}
    text = as_markdown("model_1", single)
    assert "Stacked" not in text
    assert "calibrated" not in text


def test_what_clients_named_cannot_become_markup() -> None:
    hostile = "<script>|\n# [x](javascript:1) `*_"
    text = as_markdown(
        "m",
        CARD
        | {
            "target": hostile,
            "classes": [hostile],
            "columns": [{"name": hostile, "type": "text", "categories": [hostile, "b"], "n_categories": 2}],
            "dataset": {"name": hostile, "n_rows": 1},
        },
    )
    assert "<script" not in text.replace("\\<script", "")
    assert "](" not in text
    assert not any(line.startswith("# [") or "| #" in line for line in text.splitlines())
    rows = [line for line in text.splitlines() if "javascript" in line and line.startswith("|")]
    assert len(rows) == 2
    assert [row.replace("\\|", "").count("|") for row in rows] == [4, 3]


def test_a_card_tells_whether_there_is_an_onnx_file() -> None:
    compared = {"max_difference": 2.5e-7, "tolerance": 1e-4, "rows": 1700}
    there = {"available": True, "reason": None, **compared}
    reason = "It does not convert: SplineTransformer is not converted"
    for told, words in (
        (None, ""),
        (there, "on 1,700 rows the largest difference is 2\\.5e\\-07 of a probability."),
        ({**there, "available": False, "reason": reason}, "There is no ONNX file. It does not convert"),
    ):
        artifact = CARD["artifact"] | ({"onnx": told} if told else {})
        text = as_markdown("m", CARD | {"artifact": artifact})
        assert words in text
        assert ("ONNX" in text) is bool(told)
