"""`python -m benchmarks.claimant COUNT`: for every line that it reads claim so many tasks, and print the seconds of each."""

import json
import sys
import time

from sqlalchemy import func, select

from app.config import Settings
from app.failpoints import Step
from app.store import tasks
from app.store.database import Database, commit
from app.store.tables import Task


def seconds_of_claim(database: Database) -> float:
    """Wall seconds of one claim with its commit."""
    began = time.perf_counter()
    with database.write() as session:
        held = tasks.claim(session, "cpu", "claimant", 60.0)
        assert held is not None, "the queue was empty"
        commit(session, Step.CLAIM_TASK)
    return time.perf_counter() - began


if __name__ == "__main__":
    database = Database(Settings())
    with database.read() as session:
        session.scalar(select(func.count()).select_from(Task))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps([seconds_of_claim(database) for _ in range(int(sys.argv[1]))]), flush=True)
