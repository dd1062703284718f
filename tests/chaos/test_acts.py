"""Every act once on a small scale, each set-up with some of them; `make chaos` does them all, hundreds of times."""

from pathlib import Path

import pytest

from chaos import outages
from chaos.performing import perform
from chaos.plan import ACTS
from chaos.report import Report
from chaos.service import POSTGRES, REDIS, SQLITE

SHORT = {
    SQLITE: {"disk": 1, "rolling": 1, "cancelling": 4},
    POSTGRES: {"freezing": 1, "failpoints": 1},
    REDIS: {"disconnects": 1, "outages": 1, "killing": 2},
}
# Other tests run beside these, and more on the machine: that it is slow must not look as if something were broken.
WISHES = {"lease_seconds": 6.0, "size": 2, "patience": 4.0}


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
    acts = [act for act in ACTS if act.name in SHORT[setup]]
    reports = perform(setup, acts, SHORT[setup], tmp_path, **WISHES)
    assert [report.act for report in reports] == [*(act.name for act in acts), "ending"]
    objected = [report for report in reports if report.objections]
    assert not objected, _story(objected, tmp_path)
    assert all(report.counts for report in reports if report.act != "ending")


def _story(reports: list[Report], folder: Path) -> str:
    """What was objected to, and what every process had logged by then."""
    lines = [line for report in reports for line in report.lines()]
    for log in sorted(folder.glob("*.logs/*.log")):
        lines += [f"--- {log.relative_to(folder)}", log.read_text(errors="replace")[-6000:]]
    return "\n".join(lines)
