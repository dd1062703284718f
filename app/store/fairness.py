"""Whose turn it is: interactive work before long, owners by turns, and long work never left out for ever.

Fairness is computed from the tasks themselves, so there is nothing else that a crash could leave wrong.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    UnaryExpression,
    and_,
    case,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from app.store.tables import Job, Task

INTERACTIVE, LONG = 0, 1  # the smaller goes first
_INTERACTIVE_SECONDS = 600.0
_LONG_SHARE = 5  # while both wait, one task in five is long

# Written into the statement, since an index of some of the rows serves only who says the same.
QUEUED = Task.status == literal("queued", literal_execute=True)
_RUNNING = Task.status == literal("running", literal_execute=True)
_BEGUN = Task.started_at.is_not(None)


# An owner's line: first what a request waits for; then what one job ends with before what others begin with, since its time
# runs.
KINDS_IN_LINE = ("predicting", "adapting", "stacking", "proposing", "experiment", "retraining")


def priority_of(job: Job, task_kind: str) -> int:
    """Somebody waits for a verification of up to ten minutes; what measures much, or takes longer, gives way.

    Whatever took long, its last step is waited for. So is a prediction, by the request that asked for it, and what few rows are enough for.
    """
    waited_for = job.kind == "verification" and job.time_budget_seconds <= _INTERACTIVE_SECONDS
    return INTERACTIVE if waited_for or task_kind in ("predicting", "adapting", "stacking") else LONG


def in_turn(session: Session, queue: str) -> list[tuple[int, str]]:
    """Class and owner of everybody with queued work, the one to be served first in front.

    Within a class the owner with the fewest running tasks comes first, then the one served longest ago, then the one
    whose first task in line is the oldest.
    """
    lines = [_line(queue, priority) for priority in (INTERACTIVE, LONG)]
    waiting = union_all(*lines).subquery("waiting")
    of_owner = (Task.queue == queue, Task.owner == waiting.c.owner)
    running = select(func.count()).where(*of_owner, _RUNNING)
    served = _first(Task.started_at.desc(), *of_owner, _BEGUN)
    of_class = (*of_owner, QUEUED, Task.priority == waiting.c.priority)
    first = func.coalesce(*(_first(Task.id, *of_class, Task.kind == kind) for kind in KINDS_IN_LINE))
    query = select(waiting.c.priority, waiting.c.owner).order_by(
        case((_long_is_due(queue), -waiting.c.priority), else_=waiting.c.priority),
        running.scalar_subquery(),
        func.coalesce(served, 0.0),
        first,
    )
    return [(priority, owner) for priority, owner in session.execute(query)]


def _line(queue: str, priority: int) -> Select[Any]:
    """The owners who wait in a class; each is one step through an index, however many tasks they have."""
    in_line = (Task.queue == queue, QUEUED, Task.priority == priority)
    first = select(_first(Task.owner, *in_line).label("owner")).cte(f"line_{priority}", recursive=True)
    following = _first(Task.owner, *in_line, Task.owner > first.c.owner)
    owner = first.union_all(select(following).where(first.c.owner.is_not(None))).c.owner
    return select(literal(priority).label("priority"), owner).where(owner.is_not(None))


def _first(order: Any, *where: Any) -> ScalarSelect[Any]:
    """The smallest value of a column, or with `.desc()` the largest.

    Said as an order with a limit, which can only be a step through an index: min() of what Postgres believes to be one
    row, as it does until it has statistics, walks through all of them.
    """
    value = order.element if isinstance(order, UnaryExpression) else order
    return select(value).where(*where).order_by(order).limit(1).scalar_subquery()


def _long_is_due(queue: str) -> ColumnElement[bool]:
    """Whether four interactive tasks began since a long one did, and at most a fifth of what runs is long.

    The second condition leaves slots to interactive work although long tasks hold theirs for longer.
    """
    in_queue = Task.queue == queue
    newest = func.coalesce(_first(Task.started_at.desc(), in_queue, Task.priority == LONG, _BEGUN), 0.0)
    since = (
        select(Task.id)
        .where(in_queue, Task.priority == INTERACTIVE, Task.started_at > newest)
        .limit(_LONG_SHARE - 1)
        .subquery()
    )
    begun = select(func.count()).select_from(since).scalar_subquery()
    running = select(func.count()).where(in_queue, _RUNNING)
    long_running = running.where(Task.priority == LONG).scalar_subquery()
    return and_(begun >= _LONG_SHARE - 1, long_running * _LONG_SHARE <= running.scalar_subquery())
