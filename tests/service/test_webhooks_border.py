"""What the routes of webhooks answer, on both databases, without a worker."""

import socket
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from app.config import Settings
from app.main import create_app
from app.store import webhooks
from app.store.database import Database, now
from app.store.tables import Delivery, Webhook
from tests.store.verified import places

pytestmark = pytest.mark.requirement("A4")

URL = "http://127.0.0.1:9999/hook"


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    allowing = settings.model_copy(update={"webhook_networks": "127.0.0.0/8, fd00::/8"})
    with TestClient(create_app(allowing)) as client:
        yield client


@pytest.fixture
def webhook(api: TestClient) -> dict:
    return api.post("/webhooks", json={"url": URL}).json()


def problem(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["advice"]


def test_secret_is_shown_once(api: TestClient) -> None:
    made = api.post("/webhooks", json={"url": URL, "events": ["job.failed"], "description": "pager"})
    assert made.status_code == 201
    body = made.json()
    assert body.pop("secret").startswith("whsec_")
    assert (body["url"], body["events"], body["description"]) == (URL, ["job.failed"], "pager")
    assert body["disabled_at"] is None
    assert api.get(made.headers["location"]).json() == body
    assert api.get("/webhooks").json() == {"items": [body], "next_cursor": None}


def test_all_events_are_told_unless_some_are_named(webhook: dict) -> None:
    assert webhook["events"] == ["job.cancelled", "job.failed", "job.succeeded"]


REFUSED = [
    ({"url": "http://10.0.0.1/"}, "webhook_url_refused"),
    ({"url": "http://127.1/"}, "webhook_url_refused"),
    ({"url": "ftp://127.0.0.1/"}, "webhook_url_refused"),
    ({"url": ""}, "webhook_url_refused"),
    ({"url": f"http://127.0.0.1:8000/{'a' * 2000}"}, "invalid_request"),
    ({}, "invalid_request"),
    ({"url": URL, "events": []}, "invalid_request"),
    ({"url": URL, "events": ["job.begun"]}, "invalid_request"),
    ({"url": URL, "events": ["webhook.test"]}, "invalid_request"),
    ({"url": URL, "description": "d" * 256}, "invalid_request"),
    ({"url": URL, "secret": "mine"}, "invalid_request"),
]


def test_what_cannot_be_registered_is_refused_and_gives_its_key_back(
    api: TestClient, database: Database
) -> None:
    for fields, code in REFUSED:
        problem(api.post("/webhooks", json=fields, headers={"Idempotency-Key": "k"}), 422, code)
    with database.read() as session:
        assert session.scalars(select(Webhook)).all() == []
    assert api.post("/webhooks", json={"url": URL}, headers={"Idempotency-Key": "k"}).status_code == 201


def test_networks_of_its_own_are_refused_unless_the_setting_allows_them(settings: Settings) -> None:
    with TestClient(create_app(settings)) as api:
        for url in (URL, "http://169.254.169.254/latest/meta-data/", "http://[::1]:8000/"):
            problem(api.post("/webhooks", json={"url": url}), 422, "webhook_url_refused")


def test_registering_waits_for_no_name_server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt resolves the name, and refuses it then if it must."""

    def ask(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    with TestClient(create_app(settings)) as api:
        assert api.post("/webhooks", json={"url": "http://slow.test/"}).status_code == 201


def test_twentieth_is_registered_and_the_next_refused(api: TestClient) -> None:
    for _ in range(webhooks.MOST_WEBHOOKS):
        last = api.post("/webhooks", json={"url": URL})
        assert last.status_code == 201
    problem(api.post("/webhooks", json={"url": URL}), 409, "too_many_webhooks")
    assert api.delete(last.headers["location"]).status_code == 204
    assert api.post("/webhooks", json={"url": URL}).status_code == 201


def test_everything_that_creates_is_replayed(api: TestClient, database: Database, webhook: dict) -> None:
    for path, body, status in (
        ("/webhooks", {"url": URL}, 201),
        (f"/webhooks/{webhook['id']}/secret", None, 201),
        (f"/webhooks/{webhook['id']}/test", None, 202),
    ):
        first, second = (api.post(path, json=body, headers={"Idempotency-Key": path}) for _ in range(2))
        assert (first.status_code, second.status_code, second.content) == (status, status, first.content)
        assert second.headers["idempotency-replayed"] == "true"
        assert first.headers.get("location") == second.headers.get("location")
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(each)) for each in (Webhook, Delivery)]
    assert counts == [2, 1]


def test_deleted_webhook_leaves_its_secret_nowhere(api: TestClient, database: Database) -> None:
    made = api.post("/webhooks", json={"url": URL}, headers={"Idempotency-Key": "made"}).json()
    path = f"/webhooks/{made['id']}"
    rotated = api.post(f"{path}/secret", headers={"Idempotency-Key": "rotated"}).json()
    api.post(f"{path}/test", headers={"Idempotency-Key": "test"})
    assert places(database, made["secret"]) == {"webhooks.previous_secret"}
    assert places(database, rotated["secret"]) == {"webhooks.secret", "idempotency_keys.body"}
    assert api.delete(path).status_code == 204
    for trace in (made["secret"], rotated["secret"], URL):
        assert places(database, trace) == set()
    with database.read() as session:
        assert session.scalars(select(Delivery)).all() == []
    problem(
        api.post("/webhooks", json={"url": URL}, headers={"Idempotency-Key": "made"}),
        410,
        "idempotency_erased",
    )


def test_test_is_listed_and_can_be_sent_again(api: TestClient, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"
    made = api.post(f"{path}/test").json()
    assert (made["event"], made["status"], made["attempts"]) == ("webhook.test", "pending", 0)
    assert (made["job_id"], made["finished_at"]) == (None, None)
    assert api.get(f"{path}/deliveries").json() == {"items": [made], "next_cursor": None}
    again = api.post(f"{path}/deliveries/{made['id']}/retry")
    assert (again.status_code, again.json()["status"]) == (202, "pending")


def test_deliveries_are_paged_newest_first(api: TestClient, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"
    made = [api.post(f"{path}/test").json()["id"] for _ in range(5)]
    found, cursor = [], None
    while True:
        page = api.get(
            f"{path}/deliveries", params={"limit": 2, **({"cursor": cursor} if cursor else {})}
        ).json()
        found += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == sorted(made, reverse=True)


def test_unknown_and_foreign_webhooks_are_not_found_alike(
    api: TestClient, database: Database, webhook: dict
) -> None:
    other = api.post("/webhooks", json={"url": URL}).json()["id"]
    message = api.post(f"/webhooks/{webhook['id']}/test").json()["id"]
    with database.write() as session:
        session.execute(update(Webhook).where(Webhook.id == webhook["id"]).values(owner="somebody else"))
        session.commit()
    for webhook_id in (webhook["id"], "wh_unknown"):
        path = f"/webhooks/{webhook_id}"
        for method, address in (
            ("GET", path),
            ("DELETE", path),
            ("POST", f"{path}/secret"),
            ("POST", f"{path}/test"),
            ("GET", f"{path}/deliveries"),
            ("POST", f"{path}/deliveries/{message}/retry"),
        ):
            answer = api.request(method, address)
            problem(answer, 404, "webhook_not_found")
            assert answer.json()["detail"] == f"There is no webhook {webhook_id!r}."
    problem(api.post(f"/webhooks/{other}/deliveries/{message}/retry"), 404, "delivery_not_found")
    assert [each["id"] for each in api.get("/webhooks").json()["items"]] == [other]


def test_disabled_webhook_says_so(api: TestClient, database: Database, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"
    message = api.post(f"{path}/test").json()["id"]
    with database.write() as session:
        session.execute(update(Webhook).values(disabled_at=now()))
        session.commit()
    assert api.get(path).json()["disabled_at"] is not None
    problem(api.post(f"{path}/test"), 409, "webhook_disabled")
    problem(api.post(f"{path}/deliveries/{message}/retry"), 409, "webhook_disabled")
    assert api.delete(path).status_code == 204


@pytest.mark.parametrize("networks", ["10.0.0.1/8", "localhost", "10.0.0.0/8;127.0.0.0/8", "10.0.0.0/33"])
def test_networks_that_are_none_are_refused_at_the_start(networks: str) -> None:
    with pytest.raises(ValueError, match="webhook_networks"):
        Settings(webhook_networks=networks)
