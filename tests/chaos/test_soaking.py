"""Half a minute of what `make soak` does for an hour."""

from chaos import oracle
from chaos.report import Report
from chaos.service import REDIS, service
from chaos.soak import soak


def test_no_living_job_is_taken_for_dead_under_full_load() -> None:
    report = Report("soak", REDIS, 1)
    with service(REDIS, size=2) as started:
        oracle.keep_log(started)
        soak(started, 15.0, report, rows=600)
    assert report.objections == []
    assert report.counts["tasks lost"] == 0
    assert 0 < max(report.samples["since the oldest renewal"]) < started.lease_seconds
