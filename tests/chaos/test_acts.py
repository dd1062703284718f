"""Every act once on a small scale, each set-up with some of them; `make chaos` does them all, hundreds of times."""

from pathlib import Path

import pytest

from chaos import outages
from chaos.performing import perform
from chaos.plan import ACTS
from chaos.service import POSTGRES, REDIS, SQLITE

SHORT = {
    SQLITE: {"disk": 1, "killing": 3},
    POSTGRES: {"rolling": 1, "cancelling": 6, "freezing": 1, "failpoints": 4},
    REDIS: {"disconnects": 2, "outages": 1, "killing": 3},
}


def test_every_act_has_a_short_form() -> None:
    assert {act.name for act in ACTS} == {name for counts in SHORT.values() for name in counts}


@pytest.mark.requirement("R1")
@pytest.mark.requirement("R2")
@pytest.mark.requirement("R4")
@pytest.mark.requirement("R6")
@pytest.mark.requirement("R10")
@pytest.mark.parametrize("setup", SHORT)
def test_nothing_is_lost_doubled_or_left_over(
    setup: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "JOBS_PER_OUTAGE", 8)
    monkeypatch.setattr(outages, "FROZEN_SECONDS", 3.0)
    acts = [act for act in ACTS if act.name in SHORT[setup]]
    reports = perform(setup, acts, SHORT[setup], tmp_path, lease_seconds=3.0, size=2)
    assert [report.act for report in reports] == [*(act.name for act in acts), "ending"]
    assert [objection for report in reports for objection in report.objections] == []
    assert all(report.counts for report in reports if report.act != "ending")
