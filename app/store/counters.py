"""How often something happened: rows that every worker adds to, so that any API process can tell the whole."""

import random
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from app.store import tables

_SHARDS = 8  # rows of one counter: whoever adds waits for few of the others


class Counted(StrEnum):
    """What is counted, each with its labels."""

    ATTEMPTS = "attempts"  # that ended: kind of task, ending
    GIVEN_UP = "given_up"  # tasks: kind of task, reason
    CHILD_EXITS = "child_exits"  # kind of task, ending
    LEASE_LOSSES = "lease_losses"  # reason


class AttemptEnding(StrEnum):
    """How an attempt ends that leaves no result; of those that do, the child's ending tells."""

    FAILED = "failed"  # the process crashed, or the machine ran out of something
    RELEASED = "released"  # its worker was told to stop
    CANCELLED = "cancelled"
    REAPED = "reaped"  # its lease ran out: nobody heard of its worker any more


Counts = Counter[tuple[str, ...]]  # by what is counted and its labels


def add(session: Session, counts: Mapping[tuple[str, ...], float]) -> None:
    """Add to the counters: last in a transaction, for others who add to the same rows wait for its end.

    Who adds to several does so in their order, in one shard: nobody waits for somebody who waits for them.
    """
    shard = random.randrange(_SHARDS)  # noqa: S311  spread, not secrecy
    rows = [
        {"name": name, "label": " ".join(labels), "shard": shard, "value": value}
        for (name, *labels), value in sorted(counts.items())
    ]
    if not rows:
        return
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    statement = insert(tables.Counter).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[tables.Counter.name, tables.Counter.label, tables.Counter.shard],
            set_={"value": tables.Counter.value + statement.excluded.value},
        )
    )


def totals(session: Session) -> dict[tuple[str, ...], float]:
    """Every counter by its name and labels."""
    rows = session.execute(
        select(tables.Counter.name, tables.Counter.label, func.sum(tables.Counter.value)).group_by(
            tables.Counter.name, tables.Counter.label
        )
    )
    return {(name, *label.split()): value for name, label, value in rows}
