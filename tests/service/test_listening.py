"""Both ends of watching without a service around them: heartbeats, outages, and the pauses that the client makes."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from app.answers import pause_seconds
from app.api import watching
from app.api.lookout import Lookout
from app.client import Client, ProblemError
from app.store import events, jobs
from app.store.database import Database
from tests.store import verified

BUSY = {"code": "overloaded", "detail": "Too many.", "advice": ""}
PROBLEM = {"content-type": "application/problem+json"}


@pytest.fixture
def job_id(database: Database, tmp_path: Path) -> str:
    return verified.begin_job(database, verified.upload(database, tmp_path))


def cancel(database: Database, job_id: str) -> None:
    with database.write() as session:
        jobs.request_cancel(session, "local", job_id)
        session.commit()


def client_of(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    client = Client("http://service")
    client._http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service")
    return client


def test_silent_stream_has_a_heartbeat_and_ends_when_the_service_stops(
    database: Database, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_HEARTBEAT_SECONDS", 0.1)

    async def read() -> list[str]:
        service = SimpleNamespace(database=database, lookout=Lookout(database, 1))
        pieces = []
        async for piece in watching._stream(service, job_id, 0):
            pieces.append(piece)
            if len(pieces) == 4:
                service.lookout.stop()
        return pieces

    retry, queued, *heartbeats = asyncio.run(read())
    assert retry.startswith("retry: ")
    assert queued.startswith("id: 1\nevent: queued\ndata: {")
    assert heartbeats == [": heartbeat\n\n"] * 2


def test_all_who_wait_are_looked_out_for_by_one_query_at_a_time(
    database: Database, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = events.versions
    monkeypatch.setattr(events, "versions", lambda *given: looks.append(1) or look(*given))

    async def wait() -> list[bool]:
        lookout = Lookout(database, 100)
        waiting = [asyncio.create_task(lookout.left(job_id, 1, 20)) for _ in range(100)]
        await asyncio.sleep(1)
        await asyncio.to_thread(cancel, database, job_id)
        found = await asyncio.gather(*waiting)
        await asyncio.wait_for(lookout._looking, 5)  # nobody waits any more: nobody looks any more
        return found

    assert asyncio.run(wait()) == [True] * 100
    assert len(looks) < 20


@pytest.mark.requirement("A6")
def test_change_is_noticed_after_the_database_was_away(
    database: Database, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, outages = events.versions, [1, 2]

    def look_or_fail(*given) -> dict[str, int]:
        if outages:
            outages.pop()
            raise OperationalError("SELECT", {}, ConnectionError("away"))
        return look(*given)

    monkeypatch.setattr(events, "versions", look_or_fail)
    assert asyncio.run(Lookout(database, 1).left(job_id, 0, 20)) is True
    assert not outages


def test_client_comes_back_when_it_was_asked_to() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        if len(asked) < 3:
            return httpx.Response(503, json=BUSY, headers={"Retry-After": "1", **PROBLEM})
        return httpx.Response(200, json={"id": "job"})

    assert client_of(answer).job("job") == {"id": "job"}
    assert len(asked) == 3
    assert asked[2] - asked[0] >= 2


def test_client_gives_up_on_a_service_that_stays_busy_and_never_repeats_what_changes_something() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(503, json=BUSY, headers={"Retry-After": "0", **PROBLEM})

    client = client_of(answer)
    for call in (client.job, client.cancel):
        with pytest.raises(ProblemError) as refused:
            call("job")
        assert refused.value.code == "overloaded"
    assert asked == ["GET"] * 5 + ["POST"]


def test_client_waits_by_the_tag_and_tells_of_changes_alone() -> None:
    states = [("1", "running"), None, ("2", "running"), None, ("3", "succeeded")]
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.params.get("wait"), request.headers.get("If-None-Match")))
        state = states[len(asked) - 1]
        if state is None:
            return httpx.Response(304)
        return httpx.Response(200, json={"status": state[1], "tag": state[0]}, headers={"ETag": state[0]})

    told = []
    ended = client_of(answer).wait("job", on_change=told.append)
    assert [each["tag"] for each in told] == ["1", "2", "3"]
    assert ended["status"] == "succeeded"
    assert [tag for _, tag in asked] == [None, "1", "1", "2", "2"]
    assert [wait for wait, _ in asked] == [None, *["20.000"] * 4]


def test_client_that_waits_too_long_says_so() -> None:
    answer = httpx.Response(200, json={"status": "running"}, headers={"ETag": "1", "Retry-After": "1"})
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"still running after 0\.5 s"):
        client_of(lambda _: answer).wait("job", timeout=0.5)
    assert time.monotonic() - began < 5


def test_client_that_listens_to_nobody_says_so() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    with pytest.raises(httpx.ConnectError):
        list(client_of(answer).events("job", patience=0.5))


def test_client_that_listens_is_told_of_refusals_and_waits_for_a_place() -> None:
    answers = [
        httpx.Response(503, json=BUSY, headers={"Retry-After": "0", **PROBLEM}),
        httpx.Response(
            200, text='retry: 1\n\nid: 1\nevent: queued\ndata: {"a": 1}\n\n: heartbeat\n\nid: 2\n'
        ),
        httpx.Response(404, json={**BUSY, "code": "job_not_found"}, headers=PROBLEM),
    ]
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Last-Event-ID"])
        return answers[len(asked) - 1]

    told = []
    with pytest.raises(ProblemError) as refused:
        told.extend(iter(client_of(answer).events("job")))
    assert refused.value.code == "job_not_found"
    assert told == [{"position": 1, "kind": "queued", "data": {"a": 1}}]
    assert asked == ["0", "0", "1"], "half an event counts as none"


@pytest.mark.parametrize(("given", "seconds"), [("3", 3), (None, 0), ("date", 30), ("past", 0)])
def test_pauses_are_read_as_seconds_or_dates(given: str | None, seconds: float) -> None:
    dates = {"date": timedelta(seconds=30), "past": timedelta(seconds=-30)}
    if given in dates:
        given = format_datetime(datetime.now(UTC) + dates[given], usegmt=True)
    response = httpx.Response(503, headers={"Retry-After": given} if given else {})
    assert pause_seconds(response) == pytest.approx(seconds, abs=2)
