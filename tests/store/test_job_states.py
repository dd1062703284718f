"""Whatever happens in whatever order, on both databases: what has ended stays, and who lost a task writes nothing more.

Hypothesis plays workers that die, come back late and repeat themselves, a reaper, and somebody who cancels. Beside it a
small model keeps who holds which task; every answer of the store must be the one that the model foretells.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as options
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.store import events, jobs, tasks
from app.store.database import Database
from app.store.tables import Dataset, Experiment, Job, JobEvent, Task
from app.store.tasks import Claim, Renewal
from tests.store.test_claiming import begin_job, claim, write
from workers.attempt import KINDS
from workers.experiments.leaderboard import COSTS
from workers.tasks import verification

LEASE, SPENT = 1000.0, -1.0
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Row:
    """What of a task must not change behind its holder's back."""

    status: str
    attempt: int
    failures: int
    lost: int
    lease_expires_at: float | None
    progress: str


class JobStates(RuleBasedStateMachine):
    """One verification of two configurations, from its beginning to its end and beyond."""

    claims = Bundle("claims")

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        _empty(database)
        self.job_id = begin_job(database, 2)
        self.holder: dict[str, int] = {}  # the attempt that holds each task which is held
        self.expired: set[str] = set()
        self.seen_tasks: dict[str, Row] = {}
        self.end: tuple[Any, ...] | None = None
        self.cancelled = False

    # Workers

    @rule(target=claims, lease=st.sampled_from([LEASE, LEASE, SPENT]))
    def take(self, lease: float) -> Any:
        write(self.database, lambda session: session.execute(update(Task).values(not_before=0.0)))
        held = claim(self.database, lease)
        if held is None:
            return multiple()
        assert held.task_id not in self.holder, "somebody else held it"
        assert not self.cancelled, "nothing begins after a cancellation"
        self.holder[held.task_id] = held.attempt
        self._note_lease(held.task_id, lease)
        return held

    @rule(held=claims, done=st.integers(0, 3))
    def renew(self, held: Claim, done: int) -> None:
        expected = Renewal.CANCELLED if self.cancelled else Renewal.KEPT
        found = self._by(held, lambda session: tasks.renew(session, held, LEASE, {"done": done}))
        assert found is (expected if self._holds(held) else Renewal.LOST)
        if self._holds(held):
            self._note_lease(held.task_id, LEASE)

    @rule(held=claims, outcome=st.sampled_from(["ok", "ok", "failed"]))
    def finish(self, held: Claim, outcome: str) -> None:
        def change(session: Session) -> bool:
            if not tasks.finish(session, held):
                return False
            if held.kind == "stacking":
                jobs.succeed(session, held.job_id, {"winner": held.attempt})
            mine = update(Experiment).where(Experiment.task_id == held.task_id)
            scores = {"scores": {"accuracy": 0.5}, **dict.fromkeys(COSTS, 1.0)}
            session.execute(mine.values(outcome=outcome, result=scores if outcome == "ok" else {}))
            return True

        self._let_go(held, self._by(held, change))

    @rule(held=claims)
    def crash(self, held: Claim) -> None:
        spent = self._tasks()[held.task_id].failures
        self._give_back(held, tasks.fail_attempt, is_last=spent + 1 == tasks.MOST_FAILURES)

    @rule(held=claims)
    def find_no_room(self, held: Claim) -> None:
        spent = self._tasks()[held.task_id].lost
        self._give_back(held, tasks.return_exhausted, is_last=spent + 1 == tasks.MOST_LOST)

    @rule(held=claims, how=st.sampled_from([tasks.release, tasks.cancel]))
    def let_go(self, held: Claim, how: Any) -> None:
        self._let_go(held, self._by(held, lambda session: how(session, held)))

    # Whoever looks after what is left behind

    @rule()
    def reap(self) -> None:
        def change(session: Session) -> None:
            for each in tasks.reap(session):
                if each.is_over:
                    KINDS[each.kind].give_up(session, each.task_id)

        write(self.database, change)
        for task_id in self.expired:
            del self.holder[task_id]
        self.expired.clear()

    @rule(target=claims)
    def overtake(self) -> Any:
        """Somebody's lease runs out, and somebody else takes the task: the first does not know it."""
        overtaken = self.take(SPENT)
        self.reap()
        return multiple(*(each for each in (overtaken, self.take(LEASE)) if isinstance(each, Claim)))

    @rule(times=st.integers(1, tasks.MOST_LOST + 2))
    def lose_workers(self, times: int) -> None:
        for _ in range(times):
            self.take(SPENT)
            self.reap()

    @rule()
    def move_on(self) -> None:
        write(self.database, lambda session: verification.advance(session, self.job_id))

    # The user, and latecomers

    @rule()
    def cancel(self) -> None:
        write(self.database, lambda session: jobs.request_cancel(session, "local", self.job_id))
        self.cancelled = self.cancelled or self.end is None

    @precondition(lambda self: self.end is not None)
    @rule(error=st.sampled_from(["late", "later"]))
    def end_again(self, error: str) -> None:
        for change in (
            lambda session: jobs.succeed(session, self.job_id, {"winner": error}),
            lambda session: jobs.fail(session, self.job_id, {"code": error}),
            lambda session: jobs.end_cancelled(session, self.job_id),
            lambda session: jobs.fail_without_result(session, self.job_id),
            lambda session: jobs.begin_stacking(session, self.job_id),
        ):
            assert not write(self.database, change)

    # What always holds

    @invariant()
    def job_that_ended_never_changes(self) -> None:
        with self.database.read() as session:
            job = session.get_one(Job, self.job_id)
            kinds = [event.kind for event in events.after(session, self.job_id, 0)]
            positions = [event.position for event in events.after(session, self.job_id, 0)]
        found = (job.status, job.result, job.error, job.finished_at, job.version)
        assert positions == list(range(1, job.version + 1))
        if self.end is not None:
            assert found == self.end
        if job.status in ENDED:
            self.end = found
        assert kinds.count(events.ENDED) == (job.status in ENDED)
        assert job.status not in ENDED or kinds[-1] == events.ENDED

    @invariant()
    def tasks_go_forwards_only_and_are_held_by_whom_the_model_says(self) -> None:
        found = self._tasks()
        for task_id, row in found.items():
            before = self.seen_tasks.get(task_id, row)
            assert row.attempt >= before.attempt
            assert before.failures <= row.failures <= tasks.MOST_FAILURES
            assert before.lost <= row.lost <= tasks.MOST_LOST
            assert row.status == before.status or before.status not in ENDED
            assert (row.status == "running") == (task_id in self.holder)
            assert self.holder.get(task_id, row.attempt) == row.attempt
        self.seen_tasks = found

    def _give_back(self, held: Claim, how: Any, *, is_last: bool) -> None:
        def change(session: Session) -> str | None:
            status = how(session, held, {"code": "worker_crashed", "detail": "It died."})
            if status == "failed":
                KINDS[held.kind].give_up(session, held.task_id)
            return status

        status = self._by(held, change)
        holds = self._holds(held)
        assert status == (("failed" if is_last else "queued") if holds else None)
        self._let_go(held, holds)

    def _by(self, held: Claim, change: Any) -> Any:
        """Write as whoever made the claim; one that is stale must leave everything as it was."""
        before = self._everything()
        answer = write(self.database, change)
        if not self._holds(held):
            assert self._everything() == before
        return answer

    def _let_go(self, held: Claim, answer: bool) -> None:
        assert answer == self._holds(held)
        if answer:
            del self.holder[held.task_id]
            self.expired.discard(held.task_id)

    def _holds(self, held: Claim) -> bool:
        return self.holder.get(held.task_id) == held.attempt

    def _note_lease(self, task_id: str, lease: float) -> None:
        (self.expired.add if lease < 0 else self.expired.discard)(task_id)

    def _tasks(self) -> dict[str, Row]:
        with self.database.read() as session:
            return {
                row.id: Row(
                    row.status, row.attempt, row.failures, row.lost, row.lease_expires_at, str(row.progress)
                )
                for row in session.scalars(select(Task))
            }

    def _everything(self) -> tuple[Any, ...]:
        with self.database.read() as session:
            job = session.get_one(Job, self.job_id)
            outcomes = session.scalars(select(Experiment.outcome).order_by(Experiment.task_id)).all()
        return self._tasks(), outcomes, job.status, job.result, job.version


@pytest.mark.requirement("R2")
@pytest.mark.requirement("R4")
@pytest.mark.requirement("R5")
def test_ends_are_final_and_stale_claims_write_nothing_in_whatever_order(database: Database) -> None:
    run_state_machine_as_test(
        lambda: JobStates(database),
        settings=options(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def _empty(database: Database) -> None:
    with database.write() as session:
        for table in (Experiment, Task, JobEvent, Job, Dataset):
            session.execute(delete(table))
        session.commit()
