"""README and docs quote what benchmarks recorded, and nothing else."""

from pathlib import Path

import pytest

from benchmarks import ranking_figures
from benchmarks.recording import PAGES, quoted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_figures_are_the_recorded_ones(page: Path) -> None:
    assert page.read_text() == quoted(page.read_text()), "make bench-… writes them anew"


def test_tables_of_the_proof_are_those_that_were_recorded() -> None:
    page = ranking_figures.PAGE.read_text()
    assert ranking_figures.with_tables(page, ranking_figures.recorded()) == page, "make bench-recommender"
    assert page.count("| **`hybrid`** |") > 8
