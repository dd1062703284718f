"""Recommendations of several requests are written together, and what is wrong with one harms no other."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app import failpoints
from app.config import Settings
from app.failpoints import Step
from app.store.database import Database
from app.store.recommendations import Recorder
from app.store.tables import Recommendation
from tests.deployments import wait_until

N_REQUESTS = 6


class Watched(Recorder):
    """The first transaction waits until all others wait for their turn; how many rows each had."""

    def __init__(self, database: Database, before_second: Callable[[], object] = lambda: None) -> None:
        super().__init__(database)
        self.sizes: list[int] = []
        self._before_second = before_second

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not self.sizes:
            wait_until(lambda: len(self._waiting) == N_REQUESTS - 1, 10)
        elif len(self.sizes) == 1:
            self._before_second()
        self.sizes.append(len(rows))
        super()._write(rows)


def stored(database: Database) -> dict[str, Any]:
    with database.read() as session:
        return {each.id: each.body["number"] for each in session.scalars(select(Recommendation))}


def record_all(recorder: Recorder, bodies: list[dict[str, Any]]) -> list[str | Exception]:
    """Ids, or what was raised, in the order of the bodies."""

    def record(body: dict[str, Any]) -> str | Exception:
        try:
            return recorder.record(owner="local", request={}, body=body)
        except (SQLAlchemyError, ValueError) as error:
            return error

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(record, bodies))


def test_those_that_come_while_one_is_written_share_a_transaction(database: Database) -> None:
    recorder = Watched(database)
    ids = record_all(recorder, [{"number": number} for number in range(N_REQUESTS)])
    assert recorder.sizes == [1, N_REQUESTS - 1]
    assert stored(database) == dict(zip(ids, range(N_REQUESTS), strict=True))


def test_a_row_that_the_database_refuses_fails_alone(database: Database) -> None:
    """NaN is none that a strict database is sent, and whoever shared the transaction is written all the same."""
    recorder = Watched(database)
    bodies = [{"number": number} for number in range(N_REQUESTS)]
    first = threading.Thread(
        target=recorder.record, kwargs={"owner": "local", "request": {}, "body": bodies[0]}
    )
    first.start()
    wait_until(lambda: recorder._turn.locked() and not recorder._waiting, 10)
    bodies[3] = {"number": float("nan")}
    found = record_all(recorder, bodies[1:])
    first.join()
    refused = [place for place, each in enumerate(found, start=1) if isinstance(each, Exception)]
    assert refused == [3]
    assert sorted(stored(database).values()) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("moment", failpoints.MOMENTS)
def test_where_the_connection_is_lost_everybody_is_told(
    database: Database, settings: Settings, moment: str
) -> None:
    """Be it that all is kept already: nobody may be told so who cannot be sure, and nobody writes twice."""
    folder = settings.data_dir / "failpoints"
    recorder = Watched(database, lambda: failpoints.arm(folder, Step.STORE_RECOMMENDATION, moment, "error"))
    failpoints.use(folder)
    try:
        found = record_all(recorder, [{"number": number} for number in range(N_REQUESTS)])
    finally:
        failpoints.use(None)
    told = [each for each in found if isinstance(each, OperationalError)]
    assert (len(told), recorder.sizes) == (N_REQUESTS - 1, [1, N_REQUESTS - 1])
    assert len(stored(database)) == (1 if moment == failpoints.BEFORE else N_REQUESTS)
    assert {each for each in found if isinstance(each, str)} <= stored(database).keys()
