"""Watching a job over HTTP, on both set-ups: nothing is missed, nothing comes twice, and whoever watches holds nothing."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from app.client import Client
from tests.deployments import Deployment, wait_until
from tests.servers import free_port
from tests.service import data
from tests.service.watched import StandingJob, footprint, read_events, standing_job


@pytest.fixture
def job(deployment: Deployment, tmp_path: Path) -> Iterator[StandingJob]:
    job = standing_job(deployment, tmp_path)
    yield job
    job.end()
    job.database.engine.dispose()


@pytest.fixture
def http(deployment: Deployment) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=deployment.url, timeout=60) as http:
        yield http


def seconds_for(ask) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    response = ask()
    return time.monotonic() - began, response


@pytest.mark.requirement("A6")
def test_job_that_has_not_changed_is_not_sent_again(job: StandingJob, http: httpx.Client) -> None:
    first = http.get(f"/jobs/{job.id}")
    tag = first.headers["ETag"]
    assert first.headers["Retry-After"] == "1"
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = http.get(f"/jobs/{job.id}", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Retry-After"] == "1"
    job.move()
    changed = http.get(f"/jobs/{job.id}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


@pytest.mark.requirement("A6")
def test_wait_answers_as_soon_as_something_changes(job: StandingJob, http: httpx.Client) -> None:
    tag = http.get(f"/jobs/{job.id}").headers["ETag"]
    for headers in ({"If-None-Match": tag}, {}):
        timer = threading.Timer(1.0, job.move)
        timer.start()
        seconds, response = seconds_for(lambda h=headers: http.get(f"/jobs/{job.id}?wait=30", headers=h))
        timer.join()
        assert response.status_code == 200
        assert 0.9 < seconds < 10
        assert response.headers["Retry-After"] == "0"
        tag = response.headers["ETag"]


@pytest.mark.requirement("A6")
def test_wait_without_a_change_ends_with_its_time(job: StandingJob, http: httpx.Client) -> None:
    tag = http.get(f"/jobs/{job.id}").headers["ETag"]
    for headers, status in (({"If-None-Match": tag}, 304), ({}, 200)):
        seconds, response = seconds_for(lambda h=headers: http.get(f"/jobs/{job.id}?wait=1", headers=h))
        assert response.status_code == status
        assert 1 <= seconds < 5


def test_wait_for_what_has_happened_already_answers_at_once(job: StandingJob, http: httpx.Client) -> None:
    tag = http.get(f"/jobs/{job.id}").headers["ETag"]
    job.move()
    headers = {"If-None-Match": tag}
    seconds, response = seconds_for(lambda: http.get(f"/jobs/{job.id}?wait=30", headers=headers))
    assert response.status_code == 200
    assert seconds < 5


def test_wait_for_a_job_that_has_ended_answers_at_once(job: StandingJob, http: httpx.Client) -> None:
    job.end()
    tag = http.get(f"/jobs/{job.id}").headers["ETag"]
    for headers, status in (({}, 200), ({"If-None-Match": tag}, 304)):
        seconds, response = seconds_for(lambda h=headers: http.get(f"/jobs/{job.id}?wait=30", headers=h))
        assert response.status_code == status
        assert "Retry-After" not in response.headers
        assert seconds < 5


def test_erasing_the_dataset_changes_the_job_once_more(job: StandingJob, http: httpx.Client) -> None:
    job.end()
    tag = http.get(f"/jobs/{job.id}").headers["ETag"]
    job.erase()
    response = http.get(f"/jobs/{job.id}", headers={"If-None-Match": tag})
    assert response.status_code == 200


@pytest.mark.parametrize("wait", ["-1", "31", "nan", "soon"])
def test_waits_that_are_none_are_refused(job: StandingJob, http: httpx.Client, wait: str) -> None:
    refused = http.get(f"/jobs/{job.id}", params={"wait": wait})
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid_request"


def test_unknown_job_is_not_found(http: httpx.Client) -> None:
    for path in ("/jobs/none", "/jobs/none?wait=5", "/jobs/none/events"):
        missing = http.get(path)
        assert (missing.status_code, missing.json()["code"]) == (404, "job_not_found")


@pytest.mark.requirement("A6")
def test_stream_tells_everything_and_ends_with_the_job(job: StandingJob, http: httpx.Client) -> None:
    job.move(2)
    with ThreadPoolExecutor(1) as pool, http.stream("GET", f"/jobs/{job.id}/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        stream = read_events(response)
        assert [next(stream).event for _ in range(3)] == ["queued", "phase", "phase"]
        later = pool.submit(lambda: (job.move(), job.end()))
        rest = list(stream)
        later.result()
    assert [each.id for each in rest] == [4, 5, 6, 7]
    assert [each.event for each in rest] == ["phase", "cancel_requested", "experiment_ended", "ended"]
    assert rest[0].data["number"] == 3
    assert rest[-1].data["status"] == "cancelled"


@pytest.mark.requirement("A6")
def test_stream_resumes_behind_what_was_seen(job: StandingJob, http: httpx.Client) -> None:
    job.move(3)
    job.end()
    address = f"/jobs/{job.id}/events"
    for path, headers in (
        (f"{address}?after=5", {}),
        (address, {"Last-Event-ID": "5"}),
        (f"{address}?after=2", {"Last-Event-ID": "5"}),  # a browser repeats the address
    ):
        with http.stream("GET", path, headers=headers) as response:
            assert [each.id for each in read_events(response)] == [6, 7]
    assert http.get(address, headers={"Last-Event-ID": "7"}).status_code == 204
    for headers in ({"Last-Event-ID": "8"}, {"Last-Event-ID": "x"}, {"Last-Event-ID": "-1"}):
        refused = http.get(address, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


@pytest.mark.requirement("A6")
def test_stream_is_resumed_at_another_api_after_the_first_was_killed(
    deployment: Deployment, job: StandingJob
) -> None:
    n_moves = 150
    first, client, url = deployment.start_another_api()
    client.close()
    writer = threading.Thread(target=lambda: (job.move(n_moves, pause=0.01), job.end()))
    seen = []

    def read_and_kill_in_the_middle() -> None:
        with httpx.stream("GET", f"{url}/jobs/{job.id}/events", timeout=60) as response:
            for event in read_events(response):
                seen.append(event.id)
                if len(seen) == 40:
                    first.kill()

    writer.start()
    with pytest.raises(httpx.TransportError):
        read_and_kill_in_the_middle()
    first.wait(timeout=10)
    assert 40 <= len(seen) < n_moves, "the stream ended before its process was killed"
    headers = {"Last-Event-ID": str(seen[-1])}
    with httpx.stream(
        "GET", f"{deployment.url}/jobs/{job.id}/events", headers=headers, timeout=60
    ) as response:
        seen += [each.id for each in read_events(response)]
    writer.join()
    assert seen == list(range(1, 1 + n_moves + 3 + 1))


def test_client_listens_on_when_the_service_is_killed_and_started_again(
    deployment: Deployment, job: StandingJob
) -> None:
    port = free_port()
    process, client, _ = deployment.start_another_api(port)
    got: list[dict] = []
    listening = threading.Thread(target=lambda: got.extend(client.events(job.id)))
    listening.start()
    job.move(5)
    time.sleep(1)
    process.kill()
    process.wait(timeout=10)
    job.move(5)
    process, another, _ = deployment.start_another_api(port)
    job.end()
    listening.join(timeout=30)
    process.terminate()
    process.wait(timeout=30)
    client.close()
    another.close()
    assert [each["position"] for each in got] == list(range(1, 15))
    assert got[-1]["kind"] == "ended"
    assert [each["data"]["number"] for each in got[1:11]] == list(range(1, 11))


@pytest.fixture(scope="module")
def busy(deployment: Deployment) -> Iterator[tuple[psutil.Process, str]]:
    """An API process with places for forty."""
    process, client, url = deployment.start_another_api(WATCHERS="40")
    client.close()
    yield psutil.Process(process.pid), url
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.requirement("R14")
def test_forty_who_wait_block_nobody_and_the_next_is_told_when_to_come_back(busy, job: StandingJob) -> None:
    server, url = busy
    address = f"{url}/jobs/{job.id}"

    def wait() -> str:
        while True:
            answer = httpx.get(address, params={"wait": 30}, timeout=60)
            if (
                answer.headers["Retry-After"] == "0"
            ):  # otherwise all places were taken just then, by the one below too
                return answer.json()["id"]
            time.sleep(0.1)

    with ThreadPoolExecutor(40) as pool, httpx.Client(base_url=url, timeout=60) as another:
        waiting = [pool.submit(wait) for _ in range(40)]
        wait_until(lambda: footprint(server)["clients"] >= 40, 20)
        wait_until(lambda: another.get(address, params={"wait": 1}).headers["Retry-After"] == "1", 20)
        seconds = [seconds_for(lambda: another.get("/jobs?limit=5"))[0] for _ in range(20)]
        refused = another.get(f"{address}/events")
        at_once, plain = seconds_for(lambda: another.get(address, params={"wait": 20}))
        time.sleep(0.6)
        assert old_transactions(job) == 0
        assert not any(each.done() for each in waiting), "they were answered before anything happened"
        job.move()
        assert {each.result(timeout=20) for each in waiting} == {job.id}
    assert sorted(seconds)[10] < 1
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["Retry-After"]) > 0
    assert plain.status_code == 200
    assert at_once < 10
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.get(address, params={"wait": 1}).headers["Retry-After"] == "0", "places are free again"


def old_transactions(job: StandingJob) -> int:
    """Transactions that do not end at once, as Postgres sees them; SQLite tells nobody who reads."""
    with job.database.engine.connect() as connection:
        if connection.dialect.name != "postgresql":
            return 0
        old = "datname = current_database() AND xact_start < now() - interval '0.5 s'"
        return connection.exec_driver_sql(f"SELECT count(*) FROM pg_stat_activity WHERE {old}").scalar_one()


def test_clients_that_go_away_leave_nothing_behind(busy, job: StandingJob) -> None:
    server, url = busy

    def watch(path: str) -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{url}/jobs/{job.id}{path}", timeout=2)

    def forty_come_and_go() -> dict[str, int]:
        with ThreadPoolExecutor(40) as pool:
            for each in [pool.submit(watch, path) for path in ("?wait=30", "/events") * 20]:
                each.result(timeout=30)
        wait_until(lambda: footprint(server)["clients"] == 0, 20)
        return footprint(server)

    first = forty_come_and_go()
    forty_come_and_go()  # some would be refused, were a place not given back
    last = forty_come_and_go()
    # Pools fill as chance will have it, by twenty at times; what eighty clients left behind would be eighty.
    assert last["database"] <= first["database"] + 40
    assert last["threads"] <= first["threads"] + 40


@pytest.mark.requirement("R10")
def test_service_that_stops_lets_everybody_go_first(deployment: Deployment, job: StandingJob) -> None:
    process, client, url = deployment.start_another_api()
    client.close()
    with (
        ThreadPoolExecutor(1) as pool,
        httpx.Client(base_url=url, timeout=60) as own,
        own.stream("GET", f"/jobs/{job.id}/events") as response,
    ):
        stream = read_events(response)
        assert next(stream).event == "queued"
        waiting = pool.submit(httpx.get, f"{url}/jobs/{job.id}", params={"wait": 30}, timeout=60)
        time.sleep(1)
        process.terminate()
        assert list(stream) == []  # ended, not broken off
        assert waiting.result(timeout=10).status_code == 200
    process.wait(timeout=5)


def test_real_job_is_told_from_the_queue_to_its_end(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    client = deployment.client
    job_id = client.recommend(path, target="species", verify=True, k=3, metric="accuracy")["job"]["id"]
    states: list[dict] = []
    with ThreadPoolExecutor(1) as pool, Client(deployment.url) as listener:
        story = pool.submit(lambda: list(listener.events(job_id)))
        ended = client.wait(job_id, timeout=120, on_change=states.append)
        told = story.result(timeout=30)
    assert ended["status"] == "succeeded", deployment.log()[-3000:]
    assert [each["position"] for each in told] == list(range(1, len(told) + 1))
    kinds = [each["kind"] for each in told]
    assert (kinds[0], kinds[-1]) == ("queued", "ended")
    assert kinds.count("running") == 1
    assert kinds.count("experiment_ended") == kinds.count("experiment_started") == 3
    assert kinds.index("phase") > max(at for at, kind in enumerate(kinds) if kind == "experiment_ended")
    scores = {
        each["data"]["configuration"]: each["data"]["scores"]["accuracy"]
        for each in told
        if each["kind"] == "experiment_ended"
    }
    assert ended["progress"]["best"]["score"] == max(scores.values())
    assert ended["progress"]["best"]["configuration"] in scores
    assert ended["progress"]["elapsed_seconds"] > 0
    assert ended["progress"]["estimated_seconds_left"] is None
    assert len(states) >= 3
    done = [each["progress"]["experiments_done"] for each in states]
    assert done == sorted(done)
    assert done[-1] == 3
