import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from app.metalearning import metadataset
from app.metalearning.metadataset import (
    DATA_DIR,
    compile_evidence,
    load_evidence,
    read_evaluations,
    write_evaluations,
)
from app.metalearning.metafeatures import LEARNED
from app.metalearning.metrics import headline_metric, metrics_of
from app.metalearning.portfolio import configurations_of
from app.metalearning.table import TaskType


@pytest.fixture(scope="module", params=list(TaskType))
def shipped(request):
    return load_evidence(request.param)


@pytest.fixture(scope="module")
def cells():
    return read_evaluations(DATA_DIR / "evaluations.parquet")


def test_shipped_evidence_is_what_the_shipped_evaluations_say(shipped):
    compiled = compile_evidence(shipped.task_type)
    for name, values in vars(compiled).items():
        stored = getattr(shipped, name)
        if name in {"losses", "curves"}:
            assert stored.keys() == values.keys()
            assert all(np.array_equal(stored[each], values[each], equal_nan=True) for each in values)
        elif isinstance(values, np.ndarray):
            assert np.array_equal(stored, values, equal_nan=True), "run: metaselect metadataset fit"
        else:
            assert stored == values


def test_evaluations_are_read_back_as_written(tmp_path: Path, cells):
    path = tmp_path / "part.parquet"
    assert read_evaluations(path) == []
    write_evaluations(cells[:50], path)
    assert read_evaluations(path) == cells[:50]
    write_evaluations(cells[:3], path)
    assert read_evaluations(path) == cells[:3]
    assert list(tmp_path.iterdir()) == [path]


def test_shapes_agree(shipped):
    n_datasets, n_configurations = shipped.regret.shape
    assert n_datasets == len(shipped.datasets) == len(set(shipped.datasets)) == len(shipped.groups)
    known = [each.id for each in configurations_of(shipped.task_type)]
    assert list(shipped.configurations) == [name for name in known if name in shipped.configurations]
    assert shipped.metafeatures.shape == (n_datasets, len(LEARNED))
    matrices = [
        *shipped.losses.values(),
        shipped.headline_losses,
        shipped.headline_losses_b,
        shipped.regret_b,
        shipped.predict_seconds,
        shipped.memory_bytes,
    ]
    assert {matrix.shape for matrix in matrices} == {(n_datasets, n_configurations)}
    assert list(shipped.losses) == [metric.name for metric in metrics_of(shipped.task_type)]
    assert n_datasets >= 20


def test_every_dataset_has_a_best_configuration_and_no_regret_beyond_two(shipped):
    for regret in (shipped.regret, shipped.regret_b):
        assert np.all((regret >= 0) & (regret <= 2))
        assert np.all(regret.min(axis=1) == 0)
    failed = np.isnan(shipped.headline_losses)
    assert np.all(shipped.regret[failed] == 2)


def test_losses_are_comparable_between_datasets(shipped):
    """Knowing nothing costs 1 (0.5 for AUC), and most datasets have something to learn."""
    best = np.nanmin(shipped.headline_losses, axis=1)
    assert np.all((best >= 0) & (best < 1.5))
    assert np.median(best) < 0.8


def test_headline_losses_are_those_of_the_headline_metric(shipped):
    n_classes = np.nan_to_num(shipped.metafeatures[:, LEARNED.index("nr_class")])
    for row, classes in enumerate(n_classes):
        metric = headline_metric(shipped.task_type, int(classes))
        assert np.array_equal(shipped.headline_losses[row], shipped.losses[metric.name][row], equal_nan=True)


def test_half_b_is_another_part_of_the_rows(shipped):
    known = ~np.isnan(shipped.headline_losses)
    assert np.array_equal(known, ~np.isnan(shipped.headline_losses_b))
    both = shipped.headline_losses[known], shipped.headline_losses_b[known]
    assert scipy.stats.spearmanr(*both).statistic > 0.9
    assert np.mean(both[0] == both[1]) < 0.3


def test_metafeatures_are_complete_but_for_those_undefined(shipped):
    gaps = dict(zip(LEARNED, np.isnan(shipped.metafeatures).sum(axis=0), strict=True))
    assert not any(
        gaps[name]
        for name in ("nr_inst", "nr_attr", "missing_share", "class_ent", "lm_linear", "lm_extra_trees")
    )
    undefined = {"classification": "target_skewness", "regression": "nr_class"}[shipped.task_type]
    assert gaps[undefined] == len(shipped.datasets)


def test_timings_are_positive_and_of_known_configurations(shipped):
    assert shipped.timings.shape[1] == 6
    assert set(shipped.timings[:, 0]) == set(range(len(shipped.datasets)))
    assert set(shipped.timings[:, 1]) == set(range(len(shipped.configurations)))
    assert np.all(shipped.timings[:, 2:] > 0)
    assert {64.0, 256.0} < set(shipped.timings[:, 2])


def test_held_out_group_leaves_no_trace(shipped):
    group = shipped.groups[3]
    kept = [row for row, each in enumerate(shipped.groups) if each != group]
    known = shipped.of(kept)
    assert group not in known.groups
    assert known.datasets == tuple(shipped.datasets[row] for row in kept)
    assert np.array_equal(known.regret, shipped.regret[kept])
    assert np.array_equal(known.metafeatures, shipped.metafeatures[kept], equal_nan=True)
    assert {len(losses) for losses in known.losses.values()} == {len(kept)}
    timed = [(known.datasets[int(row)], *rest) for row, *rest in known.timings]
    assert timed == [
        (name, *rest)
        for row, *rest in shipped.timings
        if (name := shipped.datasets[int(row)]) in known.datasets
    ]


def test_nothing_per_row_is_shipped(cells):
    """Datasets stay where they are: what ships is measured, per dataset, fold or anchor."""
    shipped = {path.suffix for path in DATA_DIR.rglob("*") if path.is_file()}
    assert shipped == {".parquet", ".npz", ".json"}
    lists = [value for cell in cells for value in cell.values() if isinstance(value, list)]
    assert max(map(len, lists)) <= 5


def test_cells_are_of_one_protocol_each_measured_once(cells):
    keys = [(cell["dataset"], cell["fingerprint"], cell["protocol"]) for cell in cells]
    assert len(set(keys)) == len(keys)
    assert {cell["protocol"] for cell in cells} == {1}
    assert {cell["status"] for cell in cells} <= {
        "ok",
        "timeout",
        "memory",
        "crash",
        "failed",
        "not_applicable",
    }


@pytest.fixture
def broken(tmp_path: Path, cells):
    """The shipped files in a folder where cells can be changed."""
    (tmp_path / "metafeatures.parquet").write_bytes((DATA_DIR / "metafeatures.parquet").read_bytes())

    def load(change):
        write_evaluations(
            [row for cell in cells if (row := change(dict(cell)))], tmp_path / "evaluations.parquet"
        )
        return compile_evidence(TaskType.REGRESSION, tmp_path)

    return load


def test_dataset_that_is_not_finished_is_no_evidence(broken, cells):
    whole = broken(lambda cell: cell)
    name = whole.datasets[0]
    lost = configurations_of(TaskType.REGRESSION)[2].id
    assert (
        name
        not in broken(
            lambda cell: None if (cell["dataset"], cell["configuration"]) == (name, lost) else cell
        ).datasets
    )


def test_configuration_that_failed_has_the_worst_regret_and_no_score(broken):
    def fail(cell):
        names = [name for name in cell if name.startswith(("rmse", "fit_", "fold_", "learning"))]
        return (
            cell | dict.fromkeys(names) | {"status": "timeout"}
            if cell["configuration"] == "reg-svm-rbf"
            else cell
        )

    evidence = broken(fail)
    column = evidence.configurations.index("reg-svm-rbf")
    assert np.all(evidence.regret[:, column] == 2)
    assert np.all(np.isnan(evidence.headline_losses[:, column]))
    assert column not in evidence.timings[:, 1]


def test_scores_of_all_rows_and_both_halves_have_columns():
    part = {"rmse": 1.0, "mae": 2.0}
    flat = metadataset.flatten_scores({"scores": part, "scores_a": part, "scores_b": {"rmse": 3.0}})
    assert flat == {"rmse": 1, "mae": 2, "rmse_a": 1, "mae_a": 2, "rmse_b": 3}
    assert set(flat) <= set(metadataset.EVALUATION_SCHEMA.names)


def test_report_covers_what_is_shipped(shipped):
    report = json.loads((DATA_DIR / "meta-learners.json").read_text())[shipped.task_type]
    assert report["configurations"] == list(shipped.configurations)
    assert report["datasets"] == len(shipped.datasets)
    assert report["default"] in report["regret"]
