"""README and docs quote what benchmarks recorded, and nothing else."""

from pathlib import Path

import pytest

from benchmarks.recording import PAGES, quoted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_figures_are_the_recorded_ones(page: Path) -> None:
    assert page.read_text() == quoted(page.read_text()), "make bench-… writes them anew"
