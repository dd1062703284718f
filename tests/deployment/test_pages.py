"""README and docs quote what benchmarks recorded, and nothing else."""

from pathlib import Path

import pytest

from benchmarks import (
    fewshot_page,
    networks_page,
    ranking_figures,
    recording,
    search_page,
    stacking_page,
    toys_page,
)
from benchmarks.recommender import SCENARIOS
from benchmarks.recording import PAGES, quoted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_figures_are_the_recorded_ones(page: Path) -> None:
    assert page.read_text() == quoted(page.read_text()), "make bench-… writes them anew"


def test_tables_of_the_proof_are_those_that_were_recorded() -> None:
    page = ranking_figures.PAGE.read_text()
    assert ranking_figures.tables(page, recording.recorded("recommender")) == page, "make bench-recommender"
    assert page.count("| **`hybrid`** |") > 8


def test_a_run_without_public_meta_datasets_says_so_and_a_later_one_fills_the_tables() -> None:
    page, figures = ranking_figures.PAGE.read_text(), recording.recorded("recommender")
    own = {name: value for name, value in figures.items() if not name.startswith(("oboe ", *SCENARIOS))}
    assert len(own) < len(figures)
    short = ranking_figures.tables(page, own)
    assert short.count("Not measured in the last run") == 7
    assert ranking_figures.tables(short, figures) == page
    ranking_figures.plot(own)


def test_tables_of_stacking_are_those_that_were_recorded() -> None:
    page = stacking_page.PAGE.read_text()
    assert stacking_page.tables(page, recording.recorded("stacking")) == page, "make bench-stacking"
    assert page.count("| default | ") == 2


def test_tables_of_the_toys_are_those_that_were_recorded_and_leave_others_alone() -> None:
    page = toys_page.PAGE.read_text()
    other = "<!-- table another -->\n| of another benchmark |\n<!-- end -->\n"
    assert toys_page.tables(page + other, recording.recorded("toys")) == page + other, "make bench-toys"
    assert page.count("| MAML | ") == 1
    assert page.count("-shot: ") == 6


def test_tables_of_few_shot_learning_are_those_that_were_recorded() -> None:
    page = fewshot_page.PAGE.read_text()
    assert fewshot_page.tables(page, recording.recorded("few-shot")) == page, "make bench-fewshot"
    assert page.count("| `in_context` |") > 3


def test_tables_of_the_networks_are_those_that_were_recorded_and_proven() -> None:
    page = networks_page.PAGE.read_text()
    assert networks_page.tables(page, recording.recorded("networks")) == page, "make bench-networks"
    assert page.count("| **`embedding`** |") == 2
    assert page.count("| `hybrid` |") == 2


def test_table_of_searches_is_the_one_that_was_recorded() -> None:
    page = search_page.PAGE.read_text()
    assert search_page.tables(page, recording.recorded("search")) == page, "make bench-search"
    assert page.count("| tpe, warm |") == 1
