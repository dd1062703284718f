"""docs/importing.md shows files that are read, and names every refusal."""

import re
from pathlib import Path

import pytest

from app import errors
from app.metalearning.importing import Measure, read_matrix, read_scenario
from app.metalearning.importing.evidence import FEWEST_GROUPS
from app.metalearning.importing.matrix import FEWEST_ALGORITHMS, FEWEST_DATASETS, PENALTY, STATUSES
from tests.scenarios import ACCURACY, write_files
from workers.training.importing import FEWEST_FOLDS, MOST_FITTED, MOST_FOLDS

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
EXAMPLES = dict(re.findall(r"`([\w.]+)`\n```\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, EXAMPLES)


def test_tables_are_read(folder: Path) -> None:
    wide = read_matrix(folder / "performances.csv", folder / "metafeatures.csv", ACCURACY)
    assert wide.datasets == ("iris", "wine", "digits")
    assert wide.algorithms == ("knn", "tree", "boosting")
    assert wide.groups == ("flowers", "wines", "images")
    assert STATUSES[wide.statuses[2, 2]] == "missing"
    long = read_matrix(folder / "runs.csv", folder / "metafeatures.csv", ACCURACY)
    assert STATUSES[long.statuses[1, 1]] == "memout"
    assert long.seconds[2, 1] == 9.5


def test_scenario_is_read(folder: Path) -> None:
    scenario = read_scenario(folder)
    assert scenario.measure == Measure(
        "runtime", larger_is_better=False, is_run_time=True, cutoff_seconds=100
    )
    assert scenario.scored.tolist() == [[0.3, 12.5], [100 * PENALTY, 61]]


def test_page_names_every_refusal_and_the_least_sizes() -> None:
    codes = {kind.code for kind in errors._all_kinds(errors.UnusableMetaDatasetError)}
    assert all(f"`{code}`" in PAGE for code in codes)
    least = (
        f"At least {FEWEST_DATASETS} datasets in {FEWEST_GROUPS} groups and {FEWEST_ALGORITHMS} algorithms"
    )
    assert least in PAGE
    assert f"more than {MOST_FOLDS}, whole groups are dealt to {MOST_FOLDS} folds" in PAGE
    assert f"at least {FEWEST_FOLDS}, where there are more than {MOST_FITTED // MOST_FOLDS} datasets" in PAGE
