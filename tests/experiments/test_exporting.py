"""Models as ONNX: what is kept predicts what the model predicts; what is not kept says why."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from onnx import TensorProto
from sklearn.preprocessing import QuantileTransformer, SplineTransformer
from sklearn.svm import SVR

from app.isolation import Ending, Limits, Outcome
from app.metalearning.expected import describe_columns
from app.metalearning.metrics import headline_metric
from app.metalearning.portfolio import find_configuration
from app.metalearning.protocol import splits
from app.metalearning.table import write_table
from tests.tables import (
    CLASSIFICATION,
    REGRESSION,
    complementary_table,
    exactly,
    measure,
    mixed_table,
    silent,
    typed,
)
from workers.experiments import evaluation, pipelines
from workers.experiments.contract import ARTIFACT_FILE, ONNX_FILE
from workers.experiments.ensembling import make_stack
from workers.experiments.exporting import checking, child, trees
from workers.experiments.exporting.child import export
from workers.experiments.exporting.curves import normal_ranks
from workers.experiments.exporting.curves import splines as splines_of
from workers.experiments.exporting.graph import Graph
from workers.experiments.exporting.kernels import support_vectors
from workers.experiments.measured import load_measured
from workers.tasks import stacking


def export_of(table, model: Any, folder: Path) -> dict[str, Any]:
    """What the card would say; the file is in the folder."""
    write_table(table, folder / "table.parquet")
    skops.io.dump(model, folder / ARTIFACT_FILE)
    card = {
        "columns": describe_columns(table),
        "target": table.target,
        "task_type": table.task_type,
        "classes": list(table.classes),
        "class_type": table.class_type,
        "artifact": {"trusted_types": skops.io.get_untrusted_types(file=folder / ARTIFACT_FILE)},
    }
    payload = {"table": str(folder / "table.parquet"), "folder": str(folder), "card": card}
    told = export(payload, silent)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (folder / ONNX_FILE).exists() is told["available"]
    return told


def fitted(name: str, n_rows: int = 150) -> tuple[Any, Any]:
    configuration = find_configuration(name)
    table = mixed_table(configuration.task_type, n_rows)
    data = pipelines.features(table)
    return table, evaluation.fit_pipeline(configuration, data, table.target_values, table.task_type)


CONVERTING = (
    "clf-logistic_regression-default",
    "clf-lda-shrunk",
    "clf-gaussian_nb-default",
    "clf-decision_tree-leaf_8",
    "clf-lightgbm-default",
    "clf-xgboost-default",
    "clf-knn-25_weighted",
    "clf-random_forest-leaf_3",
    "clf-hist_gradient_boosting-shallow",
    "clf-svm-rbf",
    "clf-explainable_boosting-pairs",
    "clf-spline-mild",
    "reg-bayesian_ridge-ranked",
    "reg-catboost-shallow",
    "reg-extra_trees-leaf_3",
    "reg-hist_gradient_boosting-shallow",
    "reg-knn-12_manhattan",
    "reg-nystroem-200",
    "reg-svm-poly",
    "reg-ridge-default",
    "reg-lightgbm-default",
    "reg-xgboost-default",
    "reg-mlp-early",
)


@pytest.mark.parametrize("name", CONVERTING)
def test_a_file_predicts_what_the_model_predicts(tmp_path: Path, name: str) -> None:
    table, model = fitted(name)
    told = export_of(table, model, tmp_path)
    assert told["available"], told
    assert told["max_difference"] <= told["tolerance"] == checking.TOLERANCE
    assert told["rows"] == 300  # as many again have gaps and unknown categories
    content, data = (tmp_path / ONNX_FILE).read_bytes(), pipelines.features(table)
    if table.task_type is CLASSIFICATION:
        wanted = model.predict_proba(data)
        np.testing.assert_allclose(checking.run(content, data, "probabilities"), wanted, atol=1e-4)
        labels = [table.classes[code] for code in wanted.argmax(axis=1)]
        assert np.mean(checking.run(content, data, "label") == np.array(labels)) > 0.99
    else:
        wanted = model.predict(data)
        np.testing.assert_allclose(
            checking.run(content, data, "prediction"), wanted, atol=1e-4 * wanted.std()
        )
    kinds = {
        each.name: each.type.tensor_type.elem_type for each in onnx.load_from_string(content).graph.input
    }
    assert kinds == {
        each.name: TensorProto.STRING if each.type == "categorical" else TensorProto.DOUBLE
        for each in table.columns
    }


@pytest.mark.parametrize(
    "name",
    [
        "clf-lda-default",
        "clf-logistic_regression-default",
        "clf-gaussian_nb-default",
        "clf-decision_tree-leaf_8",
        "clf-hist_gradient_boosting-shallow",
        "clf-explainable_boosting-additive",
        "clf-lightgbm-default",
        "clf-xgboost-default",
        "clf-catboost-shallow",
        "clf-linear_svm-default",
        "clf-mlp-small",
    ],
)
def test_of_two_classes_it_is_the_same(tmp_path: Path, name: str) -> None:
    """Many learners have one score for two classes, and as many for more."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(2, 120))
    labels = ["yes" if each > 0 else "no" for each in numbers.sum(axis=0) + random.normal(size=120) / 2]
    table = typed({"a": numbers[0], "b": numbers[1], "y": labels}, "y")
    configuration = find_configuration(name)
    model = evaluation.fit_pipeline(
        configuration, pipelines.features(table), table.target_values, CLASSIFICATION
    )
    told = export_of(table, model, tmp_path)
    assert told["available"], told


STACKED = {
    CLASSIFICATION: ("clf-logistic_regression-default", "clf-decision_tree-leaf_8"),
    REGRESSION: ("reg-ridge-default", "reg-decision_tree-leaf_8"),
}
TABLES = {
    "two classes": complementary_table(CLASSIFICATION),
    "three classes": mixed_table(CLASSIFICATION, 200),
    "numbers": complementary_table(REGRESSION),
}


@pytest.mark.parametrize(
    ("meta_model", "layers"), [("selection", 1), ("linear", 1), ("boosting", 1), ("least_squares", 2)]
)
@pytest.mark.parametrize("target", TABLES)
def test_a_stack_is_one_file(tmp_path: Path, target: str, meta_model: str, layers: int) -> None:
    table = TABLES[target]
    members = [load_measured(measure(table, name, tmp_path)) for name in STACKED[table.task_type]]
    metric = headline_metric(table.task_type, len(table.classes))
    expression = make_stack(table, members, metric, splits.plan(table), meta_model, layers).expression
    values = table.target_values.astype(int) if table.classes else table.target_values
    model = pipelines.build(expression).fit(pipelines.features(table), values)
    told = export_of(table, model, tmp_path)
    assert told["available"], told


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    table, model = fitted("clf-gaussian_process-rbf", 80)
    told = export_of(table, model, tmp_path)
    assert not told["available"]
    assert told["reason"].endswith("there is no converter for Gaussian processes that classify")
    assert told["max_difference"] is told["rows"] is None


def test_forests_without_end_are_not_written(tmp_path: Path, monkeypatch) -> None:
    table, model = fitted("clf-random_forest-leaf_3", 80)
    monkeypatch.setattr(trees, "MOST_NODES", 100)
    assert "more than the 100 that are written" in export_of(table, model, tmp_path)["reason"]


def test_a_file_that_predicts_something_else_is_not_kept(tmp_path: Path, monkeypatch) -> None:
    table, model = fitted("reg-ridge-default")
    numbers = Graph.numbers
    monkeypatch.setattr(Graph, "numbers", lambda graph, values: numbers(graph, np.asarray(values) * 1.01))
    told = export_of(table, model, tmp_path)
    assert (told["available"], told["reason"]) == (False, "Its predictions differ from those of the model.")
    assert told["max_difference"] > checking.TOLERANCE


def test_what_the_runtime_refuses_is_told(tmp_path: Path, monkeypatch) -> None:
    table, model = fitted("reg-ridge-default")
    monkeypatch.setattr(child, "converted", lambda *_: SimpleNamespace(SerializeToString=lambda: b"no model"))
    told = export_of(table, model, tmp_path)
    assert told["reason"].startswith("ONNX Runtime does not run it")


@pytest.mark.parametrize(("columns", "words"), [(("", "b"), "empty string"), (("a", "b"), "label")])
def test_what_cannot_be_told_apart_does_not_convert(
    tmp_path: Path, columns: tuple[str, str], words: str
) -> None:
    name = "kind" if columns[0] == "" else "label"
    values = {"x": np.arange(60.0), name: list(columns) * 30}
    table = exactly(values, ["no", "yes", "no", "no", "yes", "yes"] * 10, categorical=(name,))
    configuration = find_configuration("clf-decision_tree-leaf_8")
    data = pipelines.features(table)
    model = evaluation.fit_pipeline(configuration, data, table.target_values, CLASSIFICATION)
    assert words in export_of(table, model, tmp_path)["reason"]


def of_matrix(convert, fitted: Any, matrix: np.ndarray) -> np.ndarray:
    """What a part of a graph makes of a matrix."""
    graph = Graph()
    columns = [graph.input(f"x{place}", TensorProto.DOUBLE) for place in range(matrix.shape[1])]
    found = convert(graph, fitted, graph.add("Concat", *columns, axis=1))
    graph.output("y", found, TensorProto.DOUBLE, None)
    model = graph.model("")
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    data = pd.DataFrame({f"x{place}": matrix[:, place] for place in range(matrix.shape[1])})
    return checking.run(model.SerializeToString(), data, "y")


def test_ranks_are_those_of_scikit_learn_also_at_jumps_and_ends() -> None:
    random = np.random.default_rng(0)
    training = np.column_stack([random.normal(size=500), random.integers(0, 4, 500), np.full(500, 3.0)])
    fitted = QuantileTransformer(output_distribution="normal", n_quantiles=200, random_state=0).fit(training)
    far = np.array([[-9.0, -1.0, 2.0], [9.0, 5.0, 4.0], [training[:, 0].min(), 0.0, 3.0], [0.0, 1.5, 3.0]])
    rows = np.vstack([training, training + random.normal(size=(500, 3)) / 3, far])
    np.testing.assert_allclose(of_matrix(normal_ranks, fitted, rows), fitted.transform(rows), atol=1e-12)


def test_splines_are_those_of_scikit_learn_also_outside() -> None:
    random = np.random.default_rng(0)
    training = np.column_stack([random.normal(size=300), random.exponential(size=300)])
    fitted = SplineTransformer(n_knots=6, knots="quantile", extrapolation="linear").fit(training)
    rows = np.vstack([training, 3 * training - 2])
    np.testing.assert_allclose(of_matrix(splines_of, fitted, rows), fitted.transform(rows), atol=1e-10)


@pytest.mark.parametrize("kernel", ["rbf", "poly", "sigmoid"])
def test_support_vectors_are_those_of_scikit_learn(kernel: str) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(80, 3))
    fitted = SVR(kernel=kernel, coef0=0.5, degree=2).fit(rows, rows[:, 0] ** 2)
    found = of_matrix(support_vectors, fitted, rows)
    np.testing.assert_allclose(found[:, 0], fitted.predict(rows), atol=1e-10)


def test_disturbed_rows_have_gaps_and_unknown_categories() -> None:
    data = pipelines.features(mixed_table(CLASSIFICATION, 100))
    disturbed = checking.sample(data).iloc[100:]
    assert disturbed.isna().mean().between(0.1, 0.5).all()
    assert 0 < (disturbed["colour"] == "a category that training has not seen").mean() < 0.2


def test_whatever_becomes_of_the_export_the_model_is_there() -> None:
    card = {"artifact": {"format": "skops", "trusted_types": []}}
    stacked = Outcome(Ending.OK, value={"result": {"winner": "x"}, "card": card})
    payload = {"table": "t", "folder": "f", "seconds": 20.0}
    follow = stacking.follow_up(payload, Limits(20.0, 1 << 30), stacked, 12.0)
    assert (follow.limits.wall_seconds, follow.limits.memory_bytes) == (8.0, 1 << 30)
    assert (
        stacking.follow_up({**payload, "seconds": 900}, Limits(20, 1), stacked, 2).limits.wall_seconds == 15
    )
    for exported, words in (
        (Outcome(Ending.TIMEOUT), "longer than there was time"),
        (Outcome(Ending.MEMORY), "more memory"),
        (Outcome(Ending.CRASH), "ended by crash"),
        (Outcome(Ending.ERROR, error={"code": "internal_error", "detail": "1 / 0"}), "ended by error"),
        (Outcome(Ending.ERROR, error={"code": "machine_exhausted", "detail": "No disk."}), "No disk."),
    ):
        joined = follow.join(exported)
        assert joined.ending is Ending.OK
        assert joined.value["result"] == {"winner": "x"}
        told = joined.value["card"]["artifact"]["onnx"]
        assert not told["available"]
        assert words in told["reason"]
