"""Progress: the best score so far, and an estimate only where what is done speaks for one."""

from app.api.progress import progress_of
from app.store.jobs import JobDetail
from app.store.tables import Experiment, Job, Task

NOW = 1000.0


def job(**values) -> Job:
    given = {
        "status": "running",
        "phase": "experimenting",
        "kind": "verification",
        "time_budget_seconds": 0.0,
        "started_at": 900.0,
        "request": {"metric": "rmse"},
    }
    return Job(**{**given, **values})


def queued(name: str) -> tuple[Experiment, Task]:
    return Experiment(configuration=name), Task(status="queued")


def running(name: str, since: float) -> tuple[Experiment, Task]:
    return Experiment(configuration=name), Task(status="running", started_at=since)


def ended(name: str, seconds: float, rmse: float, outcome: str = "ok") -> tuple[Experiment, Task]:
    measured = Experiment(configuration=name, outcome=outcome, result={"scores": {"rmse": rmse, "r2": 0.5}})
    return measured, Task(status="succeeded", started_at=900.0, finished_at=900.0 + seconds)


def detail(
    *experiments: tuple[Experiment, Task], costs: dict[str, float] | None = None, **values
) -> JobDetail:
    candidates = [{"configuration": name, "fit_cpu_seconds": cost} for name, cost in (costs or {}).items()]
    return JobDetail(job(**values), experiments, NOW, {"candidates": candidates})


def left(*experiments: tuple[Experiment, Task], **values) -> float | None:
    return progress_of(detail(*experiments, **values)).estimated_seconds_left


def test_best_so_far_is_by_the_jobs_metric_and_its_direction() -> None:
    progress = progress_of(detail(ended("a", 1, 3.0), ended("b", 1, 2.0), ended("c", 1, 2.5), queued("d")))
    assert (progress.best.configuration, progress.best.metric, progress.best.score) == ("b", "rmse", 2.0)
    assert (progress.experiments_done, progress.experiments_total) == (3, 4)
    assert progress.elapsed_seconds == 100.0
    best = progress_of(
        detail(ended("a", 1, 3.0), ended("b", 1, 2.0), request={"metric": "r2"}, finished_at=950.0)
    )
    assert best.best.metric == "r2"
    assert best.elapsed_seconds == 50.0


def test_no_best_without_a_score_or_a_metric() -> None:
    assert progress_of(detail(queued("a"), running("b", 990.0))).best is None
    assert progress_of(detail(ended("a", 1, 3.0), request={})).best is None


def test_nothing_is_estimated_without_anything_to_judge_by() -> None:
    assert left(queued("a"), status="queued", started_at=None) is None
    assert left(running("a", 990.0), queued("b")) is None
    assert left(ended("a", 10, 1.0, outcome="timeout"), running("b", 999.0)) is None
    assert left(ended("a", 10, 1.0), queued("b")) is None, "nobody knows when a worker comes"
    assert left(ended("a", 10, 1.0), running("b", 900.0)) is None, "it takes longer than foretold"
    assert left(ended("a", 10, 1.0), running("b", 999.0), phase="stacking") is None
    assert progress_of(detail(queued("a"), status="queued", started_at=None)).elapsed_seconds is None


def test_what_is_done_foretells_what_is_left() -> None:
    """Ten seconds each: 5 s of the one that runs, and 10 s of the next."""
    assert left(ended("a", 8, 1.0), ended("b", 12, 1.0), running("c", 995.0), queued("d")) == 15.0


def test_experiments_at_once_share_what_is_left() -> None:
    assert left(ended("a", 10, 1.0), running("b", 995.0), running("c", 995.0), queued("d")) == 10.0


def test_recommendations_costs_weigh_what_is_left() -> None:
    costs = {"a": 2.0, "b": 1.0, "c": 20.0}
    done = (ended("a", 10, 1.0), running("b", 999.0), queued("c"))
    assert left(*done, costs=costs) == 4.0 + 100.0
    assert left(*done, costs={"a": 2.0}) == 9.0 + 10.0, "costs of some tell nothing about the others"


def test_experiments_end_with_the_time_budget() -> None:
    shown = ended("a", 50, 1.0), running("b", 999.0), queued("c")
    assert left(*shown, deadline=NOW + 7, kind="measurement") == 7.0
    kept = {"deadline": NOW + 17, "kind": "verification", "time_budget_seconds": 40.0}
    assert left(*shown, **kept) == 7.0, "the rest is for stacking"
