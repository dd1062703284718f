"""What a task does once its result is there may fail in every way, and the result stays."""

import errno
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.isolation import Child, Ending, Limits, Outcome
from app.store.database import Database
from app.store.tables import Experiment, Task
from tests.store.test_claiming import begin_job, claim
from workers.attempt import KINDS, Attempt
from workers.counting import Tally
from workers.devices import CPU, Device

LIMITS = Limits(30.0, 4 << 30)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("echo", "echo", (Ending.OK, Ending.OK)),
        ("echo", "segfault", (Ending.OK, Ending.CRASH)),
        ("echo", "stumble", (Ending.OK, Ending.ERROR)),
        ("echo", "nowhere", (Ending.OK, Ending.CRASH)),
        ("refuse", "echo", (Ending.ERROR, None)),
    ],
)
def test_a_second_child_costs_the_first_ones_result_nothing(
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
    expected: tuple[Ending, Ending | None],
) -> None:
    seen: list[tuple[Ending, Ending | None]] = []

    def follow_up(
        payload: dict[str, Any], limits: Limits, outcome: Outcome, seconds: float
    ) -> SimpleNamespace:
        assert (payload, limits) == ({"of": "the first"}, LIMITS)
        assert 0 < seconds < 30

        def join(exported: Outcome) -> Outcome:
            return Outcome(outcome.ending, value={"second": exported.ending})

        return SimpleNamespace(
            function=f"tests.children:{second}", payload={}, limits=LIMITS, kind="second", join=join
        )

    def apply(session: Any, held: Any, outcome: Outcome, folder: Path) -> None:
        seen.append((outcome.ending, outcome.value and outcome.value["second"]))
        of_task = update(Experiment).where(Experiment.task_id == held.task_id)
        session.execute(of_task.values(outcome=str(outcome.ending)))

    def load(*_: object) -> tuple[str, dict[str, Any], Limits]:
        return f"tests.children:{first}", {"of": "the first"}, LIMITS

    start = Child.start

    def start_where_there_is_room(child: Child) -> None:
        if child.function.endswith("nowhere"):
            raise OSError(errno.EAGAIN, "no process is left")
        start(child)

    monkeypatch.setattr(Child, "start", start_where_there_is_room)
    kind = SimpleNamespace(load=load, apply=apply, follow_up=follow_up)
    monkeypatch.setitem(KINDS, "experiment", kind)
    begin_job(database, 1)
    Attempt(
        settings, database, claim(database), time.monotonic(), threading.Event(), Tally(), Device(CPU)
    ).run()
    assert seen == [expected]
    with database.read() as session:
        assert session.scalars(select(Task.status)).one() == "succeeded"
