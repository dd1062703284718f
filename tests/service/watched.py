"""Jobs that stand still until a test moves them on, and streams of events read line by line."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from app.metalearning.portfolio import find_configuration
from app.store import beginning, datasets, events, jobs
from app.store.database import Database
from tests.deployments import Deployment
from tests.store import verified

_NEEDS_A_GPU = "clf-realmlp-default"  # so that no worker of these deployments takes it


@dataclass
class StandingJob:
    """A job that only the test moves."""

    database: Database
    dataset_id: str
    id: str
    moves: int = field(default=0, init=False)

    def write(self, change: Callable[..., Any]) -> Any:
        with self.database.write() as session:
            value = change(session)
            session.commit()
        return value

    def move(self, times: int = 1, pause: float = 0.0) -> None:
        """Let something happen to it; the first event was that it is queued."""
        for _ in range(times):
            self.moves += 1
            data = {"number": self.moves}
            assert self.write(lambda session, data=data: events.record(session, self.id, "phase", data))
            time.sleep(pause)

    def end(self) -> None:
        """Three events: cancellation asked for, experiment ended, job ended."""
        self.write(lambda session: jobs.request_cancel(session, "local", self.id))

    def erase(self) -> None:
        self.write(lambda session: datasets.delete(session, "local", self.dataset_id))


def standing_job(deployment: Deployment, folder: Path) -> StandingJob:
    database = deployment.database()
    dataset_id = verified.upload(database, folder)
    with database.write() as session:
        job = beginning.measurement(
            session,
            owner="local",
            dataset_id=dataset_id,
            configurations=[find_configuration(_NEEDS_A_GPU)],
            time_budget_seconds=600.0,
        )
        session.commit()
    return StandingJob(database, dataset_id, job.id)


@dataclass
class Told:
    """An event as a stream has it."""

    id: int
    event: str
    data: dict[str, Any]


def read_events(response: httpx.Response) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, value = line.split(": ", 1)
            fields[name] = value
        elif "data" in fields:
            yield Told(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


def footprint(server: psutil.Process) -> dict[str, int]:
    """What clients could leave behind: connections of their own, or to the database (its open files), and threads."""
    connections = server.net_connections()
    [listening] = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    established = [each for each in connections if each.status == psutil.CONN_ESTABLISHED]
    return {
        "clients": sum(each.laddr.port == listening for each in established),
        "database": sum(each.laddr.port != listening for each in established)
        + sum("metaselect.sqlite" in each.path for each in server.open_files()),
        "threads": server.num_threads(),
    }
