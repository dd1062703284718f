"""A report objects to what it did not see, and is about one code alone."""

import subprocess
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import versions
from chaos import performing
from chaos.performing import perform
from chaos.plan import Act
from chaos.report import Report
from chaos.service import SQLITE


def test_what_nobody_saw_was_not_quick() -> None:
    report = Report("test", "test", 1)
    report.demand_quick("noticed", 5.0)
    assert report.objections[0] == "noticed: nobody saw how long"


def test_one_in_a_hundred_may_take_longer_unless_all_count() -> None:
    report = Report("test", "test", 1)
    for seconds in [1.0] * 99 + [9.0]:
        report.sample("noticed", seconds)
    report.demand_quick("noticed", 5.0)
    assert report.objections == []
    report.demand_quick("noticed", 5.0, percent=100)
    assert report.objections == ["noticed: 9.0 s at p100, 5 s are allowed"]


def test_commit_names_the_code_and_changes_are_marked(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *names, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    first = versions.code(tmp_path)
    assert len(first) == 40
    (tmp_path / "file").write_text("2")
    assert versions.code(tmp_path) == first + versions.CHANGED
    git("commit", "-am", "second")
    assert versions.code(tmp_path) not in (first, first + versions.CHANGED)


def test_without_git_the_version_names_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert versions.code(tmp_path)[0].isdigit()


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Performs an act that a service of no processes suffers; tells how often it was really performed."""
    performed = []
    act = Act("act", lambda _service, count, _report: performed.append(count), {SQLITE: 3})
    monkeypatch.setattr(performing, "service", _nobody(tmp_path))
    monkeypatch.setattr(performing.oracle, "keep_log", lambda _: None)

    def again(code: str, count: int = 3) -> int:
        monkeypatch.setattr(versions, "code", lambda: code)
        before = len(performed)
        reports = perform(SQLITE, [act], {"act": count}, tmp_path)
        assert [report.act for report in reports] == ["act", "ending"]
        return len(performed) - before

    return again


def test_finished_acts_are_not_done_again_unless_code_or_count_differ(again) -> None:
    assert [again("a"), again("a"), again("a", 4), again("b", 4), again("b", 4)] == [1, 0, 1, 1, 0]
    assert [again("c-changed"), again("c-changed")] == [1, 1]


def test_objections_to_an_earlier_ending_stay(again, tmp_path: Path) -> None:
    again("a")
    ending = tmp_path / "ending-sqlite.json"
    report = Report.load(ending)
    report.demand(False, "a process outlived the service")
    report.save(ending)
    again("a", 4)
    assert Report.load(ending).objections == ["a process outlived the service"]


def _nobody(folder: Path):
    """A service that has neither processes nor anything to tell."""

    @contextmanager
    def service(setup: str):
        yield SimpleNamespace(setup=setup, folder=folder, stop=set)

    return service
