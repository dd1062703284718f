"""The page of the meta-dataset shows what ships."""

import re

import pytest

from app.metalearning.metadataset import DATA_DIR, read_evaluations
from app.metalearning.portfolio import ALGORITHMS
from app.metalearning.table import TaskType
from scripts.meta_dataset_analysis import KINDS, judge
from scripts.write_meta_dataset_page import PAGE, with_tables


@pytest.fixture(scope="module")
def rows():
    return read_evaluations(DATA_DIR / "evaluations.parquet")


@pytest.fixture(scope="module")
def both(rows):
    return [judge(task_type, rows) for task_type in TaskType]


def test_tables_are_those_of_what_ships(rows, both):
    page = PAGE.read_text()
    assert with_tables(page, rows, both) == page, "run: make meta-dataset-page"


def test_figures_of_the_page_are_there():
    figures = re.findall(r"\]\((meta-dataset-[\w-]+\.svg)\)", PAGE.read_text())
    assert len(figures) == 5
    for name in figures:
        assert (PAGE.parent / name).read_text().lstrip().startswith("<?xml")


def test_every_cell_without_a_score_is_told(rows):
    told = set()
    for line in table("failures"):
        names = line[4].split(", ")
        assert int(line[2]) == len(names)
        told |= {(line[0].strip("`"), line[1], name) for name in names}
    untried = sum(int(line[2]) for line in table("not tried"))
    failed = [(row["configuration"], row["status"], row["dataset"]) for row in rows if row["status"] != "ok"]
    assert told == {each for each in failed if each[1] != "not_applicable"}
    assert len(told) + untried == len(failed)


def table(name):
    """The cells of a table's rows."""
    lines = (
        PAGE.read_text().split(f"<!-- table {name} -->\n")[1].split("<!-- end of table -->")[0].splitlines()
    )
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_winners_share_is_counted_over_the_complete_datasets(both):
    for judged in both:
        n_datasets, n_configurations = judged.close.shape
        assert (n_datasets, n_configurations) == judged.evidence.regret.shape
        least = judged.losses.argmin(axis=1)
        assert all(judged.close[row, column] for row, column in enumerate(least))
        assert sum(segment.members.sum() for segment in judged.segments[1:4]) == n_datasets
        assert sum(segment.members.sum() for segment in judged.segments[4:]) == n_datasets


def test_every_family_of_algorithms_has_a_colour():
    assert {each.family for each in ALGORITHMS.values()} <= KINDS.keys()
