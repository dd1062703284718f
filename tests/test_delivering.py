"""Workers deliver: at least once whatever dies, under one id, and as often as the receiver wants."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update
from structlog.testing import LogCapture

from app import failpoints
from app.config import Settings
from app.failpoints import Step
from app.store import deliveries, webhooks
from app.store.database import Database
from app.store.tables import Delivery, Webhook
from app.webhooks.retrying import PAUSES
from app.webhooks.sending import Sender
from app.webhooks.signing import new_secret
from tests.deployments import wait_until
from tests.receivers import Receiver, receiver
from tests.store.test_claiming import write
from tests.store.test_deliveries import ended_job, lose_lease, make_due, only, register, rows, tell_nothing
from workers import delivering
from workers.delivering import Deliverer

pytestmark = pytest.mark.requirement("A4")

_DELIVER_ONCE = """
from app import failpoints
from app.config import Settings
from app.store.database import Database
from workers.delivering import Deliverer
failpoints.use(Settings().failpoints_dir)
Deliverer(Settings(), Database(Settings())).deliver_once()
"""


@pytest.fixture
def said() -> Iterator[Receiver]:
    with receiver() as said:
        yield said


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """All that the deliverer has logged, however the process logs."""
    capture = LogCapture()
    log = structlog.wrap_logger(None, processors=[structlog.contextvars.merge_contextvars, capture])
    monkeypatch.setattr(delivering, "log", log)
    return lambda: str(capture.entries)


@pytest.fixture
def deliverer(settings: Settings, database: Database) -> Deliverer:
    return Deliverer(_with_loopback(settings), database)


def _with_loopback(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_networks": "127.0.0.0/8"})


@contextmanager
def sending(*deliverers: Deliverer) -> Iterator[None]:
    """A sender of each as long as the context lasts; all of them end when they are told to."""
    stopping = threading.Event()
    threads = [
        threading.Thread(target=each.deliver_until, args=(stopping,), daemon=True) for each in deliverers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def deliver_due(deliverer: Deliverer, database: Database) -> None:
    """Let the pause of all that waits be over, and deliver it."""
    make_due(database)
    while deliverer.deliver_once():
        pass


def test_end_of_a_job_is_delivered_once_and_signed(
    deliverer: Deliverer, database: Database, said: Receiver
) -> None:
    secret = new_secret()
    register(database, url=said.url, secret=secret)
    job_id = ended_job(database)
    assert deliverer.deliver_once()
    assert not deliverer.deliver_once()
    [came] = said.received
    message = came.verified(secret)
    assert (message["type"], message["data"]["job_id"]) == ("job.cancelled", job_id)
    told = only(database)
    assert (told.id, told.status, told.attempt, told.response_status) == (came.id, "delivered", 1, 204)
    assert told.body.encode() == came.body


def test_failed_attempts_are_repeated_by_the_schedule_under_one_id_and_newly_signed(
    deliverer: Deliverer, database: Database, said: Receiver
) -> None:
    secret = new_secret()
    register(database, url=said.url, secret=secret)
    ended_job(database)
    said.answers = [500] * len(PAUSES) + [200]
    pauses = []
    for _ in PAUSES:
        deliver_due(deliverer, database)
        waiting = only(database)
        with database.read() as session:
            pauses.append(waiting.next_at - session.scalars(select(deliveries.now())).one())
        assert (waiting.status, waiting.error) == ("pending", "HTTP status 500.")
    assert all(0.9 * due - 1 < pause < 1.2 * due for due, pause in zip(PAUSES, pauses, strict=True))
    deliver_due(deliverer, database)
    assert (only(database).status, only(database).error) == ("delivered", None)
    assert len(said.received) == len(PAUSES) + 1
    assert {each.id for each in said.received} == {only(database).id}
    assert all(each.verified(secret) for each in said.received)


def test_delivery_fails_for_good_after_the_last_pause(
    deliverer: Deliverer, database: Database, said: Receiver
) -> None:
    register(database, url=said.url)
    ended_job(database)
    said.answers = [302] * 20
    for _ in range(len(PAUSES) + 3):
        deliver_due(deliverer, database)
    told = only(database)
    assert (told.status, told.failures, told.response_status) == ("failed", len(PAUSES) + 1, 302)
    assert "redirects are not followed" in told.error
    assert len(said.received) == len(PAUSES) + 1


def test_gone_disables_the_webhook(deliverer: Deliverer, database: Database, said: Receiver) -> None:
    tell_nothing(database, register(database, url=said.url), 3)
    said.answers = [410]
    deliver_due(deliverer, database)
    assert len(said.received) == 1
    assert {each.status for each in rows(database)} == {"failed"}
    with database.read() as session:
        assert session.scalars(select(Webhook.disabled_at)).one() is not None


def test_whatever_sending_fails_with_the_delivery_is_settled(
    deliverer: Deliverer,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], str],
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("https://hooks.test/?token=Kryptonit")

    monkeypatch.setattr(Sender, "send", fail)
    tell_nothing(database, register(database, url="https://hooks.test/"), 1)
    assert deliverer.deliver_once()
    told = only(database)
    assert (told.status, told.failures, told.error) == ("pending", 1, "Sending failed: RuntimeError.")
    assert "sending_failed" in (text := logged())
    assert "Kryptonit" not in text


def test_busy_receiver_is_left_alone_for_as_long_as_it_asks(
    deliverer: Deliverer, database: Database, said: Receiver
) -> None:
    tell_nothing(database, register(database, url=said.url), 1)
    said.answers = [(429, {"Retry-After": "3600"})]
    assert deliverer.deliver_once()
    told = only(database)
    assert 3590 < told.next_at - told.created_at < 3700


def test_private_address_is_refused_at_every_attempt(
    settings: Settings, database: Database, said: Receiver
) -> None:
    """Even one that was registered while it was allowed, or resolved otherwise then."""
    tell_nothing(database, register(database, url=said.url), 1)
    Deliverer(settings, database).deliver_once()
    told = only(database)
    assert (told.status, told.response_status, said.received) == ("pending", None, [])
    assert "private or reserved" in told.error


@pytest.mark.parametrize(
    ("step", "moment", "came_before"),
    [
        (Step.CLAIM_DELIVERY, "before", 0),
        (Step.CLAIM_DELIVERY, "after", 0),
        (Step.SEND_DELIVERY, "before", 0),
        (Step.SEND_DELIVERY, "after", 1),
        (Step.SETTLE_DELIVERY, "before", 1),
        (Step.SETTLE_DELIVERY, "after", 1),
    ],
)
def test_worker_may_die_anywhere(
    settings: Settings,
    database: Database,
    said: Receiver,
    tmp_path: Path,
    step: Step,
    moment: str,
    came_before: int,
) -> None:
    tell_nothing(database, register(database, url=said.url), 1)
    failpoints.arm(tmp_path / "failpoints", step, moment, "kill")
    doomed = _with_loopback(settings).model_copy(update={"failpoints_dir": tmp_path / "failpoints"})
    command = [sys.executable, "-c", _DELIVER_ONCE]
    assert subprocess.run(command, check=False, env=doomed.as_environment(), timeout=60).returncode == -9
    assert len(said.received) == came_before
    another = Deliverer(_with_loopback(settings), database)
    if (step, moment) == (Step.SETTLE_DELIVERY, "after"):
        assert not another.deliver_once()
    else:
        is_leased = (step, moment) != (Step.CLAIM_DELIVERY, "before")
        if is_leased:
            assert not another.deliver_once(), "the lease is not over"
            lose_lease(database)
        assert another.deliver_once()
        assert len(said.received) == came_before + 1
    assert {each.id for each in said.received} == {only(database).id}
    assert only(database).status == "delivered"


def test_slow_worker_that_lost_its_lease_changes_nothing(
    settings: Settings, database: Database, said: Receiver
) -> None:
    """The receiver keeps the first waiting until another worker has delivered the same."""
    tell_nothing(database, register(database, url=said.url), 1)
    is_asked, may_answer = threading.Event(), threading.Event()

    def hold_first(_: Any) -> None:
        if not is_asked.is_set():
            is_asked.set()
            may_answer.wait(10)

    said.before_answer = hold_first
    said.answers = [500, 200]
    slow = threading.Thread(target=Deliverer(_with_loopback(settings), database).deliver_once, daemon=True)
    slow.start()
    assert is_asked.wait(10)
    lose_lease(database)
    assert Deliverer(_with_loopback(settings), database).deliver_once()
    may_answer.set()
    slow.join(20)
    told = only(database)
    assert (told.status, told.attempt, told.response_status, told.error) == ("delivered", 2, 200, None)


def test_webhook_that_was_deleted_while_it_was_sent_to_is_gone(
    deliverer: Deliverer, database: Database, said: Receiver
) -> None:
    webhook_id = register(database, url=said.url)
    tell_nothing(database, webhook_id, 1)

    def delete(_: Any) -> None:
        write(database, lambda session: webhooks.delete(session, "local", webhook_id))

    said.before_answer = delete
    assert deliverer.deliver_once()
    assert rows(database) == []


def test_many_workers_deliver_everything_once(settings: Settings, database: Database, said: Receiver) -> None:
    for _ in range(4):
        tell_nothing(database, register(database, url=said.url), 5)
    workers = [Deliverer(_with_loopback(settings), database) for _ in range(3)]
    with sending(*workers, *workers):
        wait_until(lambda: all(each.status == "delivered" for each in rows(database)), 60)
    ids = [each.id for each in said.received]
    assert len(ids) == len(set(ids)) == 20


def test_receiver_that_lets_everybody_wait_holds_up_no_other(
    settings: Settings, database: Database, said: Receiver
) -> None:
    """Two senders, a receiver that never answers with many messages, and one with a single message after them."""
    with receiver() as silent:
        release = threading.Event()
        silent.before_answer = lambda _: release.wait(30)
        tell_nothing(database, register(database, url=silent.url), 5)
        tell_nothing(database, register(database, url=said.url), 1)
        deliverer = Deliverer(_with_loopback(settings), database)
        began = time.monotonic()
        with sending(deliverer):
            wait_until(lambda: silent.received, 10)
            with sending(deliverer):
                try:
                    wait_until(lambda: said.received, 10)
                    assert time.monotonic() - began < 10
                    assert len(silent.received) == 1
                finally:
                    release.set()


def test_third_receiver_is_told_although_two_slow_ones_have_much_to_be_told(
    settings: Settings, database: Database, said: Receiver
) -> None:
    with receiver() as first, receiver() as second:
        for slow in (first, second):
            slow.before_answer = lambda _: time.sleep(0.5)
            tell_nothing(database, register(database, url=slow.url), 10)
        tell_nothing(database, register(database, url=said.url), 3)
        deliverer = Deliverer(_with_loopback(settings), database)
        with sending(deliverer, deliverer):
            wait_until(lambda: len(said.received) == 3, 30)
            assert len(first.received) + len(second.received) <= 3 * 2 + 2, "one of each for each of its own"


def test_one_answer_that_asks_for_an_hour_keeps_all_ten_messages_back(
    deliverer: Deliverer, database: Database, said: Receiver
) -> None:
    tell_nothing(database, register(database, url=said.url), 10)
    said.answers = [(429, {"Retry-After": "3600"})]
    while deliverer.deliver_once():
        pass
    assert len(said.received) == 1
    with database.read() as session:
        left = session.scalars(select(Webhook.not_before - deliveries.now())).one()
    assert 3500 < left <= 3600


def test_failing_database_ends_no_sender(
    settings: Settings, database: Database, said: Receiver, tmp_path: Path
) -> None:
    tell_nothing(database, register(database, url=said.url), 1)
    failpoints.use(tmp_path / "failpoints")
    armed = failpoints.arm(tmp_path / "failpoints", Step.CLAIM_DELIVERY, "before", "error")
    try:
        with sending(Deliverer(_with_loopback(settings), database)):
            wait_until(lambda: only(database).status == "delivered", 20)
    finally:
        failpoints.use(None)
    assert not armed.exists()


def test_secrets_and_addresses_are_in_no_log(
    deliverer: Deliverer, database: Database, said: Receiver, logged: Callable[[], str]
) -> None:
    """Some receivers are protected by nothing but their address."""
    secret = new_secret()
    webhook_id = register(database, url=f"{said.url}?token=Kryptonit", secret=secret)
    ended_job(database)
    said.answers = [500]
    deliver_due(deliverer, database)
    deliver_due(deliverer, database)
    text = logged()
    assert "delivery_failed" in text
    assert "delivered" in text
    for word in (secret, secret.removeprefix("whsec_"), "Kryptonit"):
        assert word not in text
    write(database, lambda session: session.execute(update(Webhook).values(url="https://kryptonit.invalid/")))
    tell_nothing(database, webhook_id, 1)
    deliver_due(deliverer, database)
    text = logged()
    assert "delivery_failed" in text
    assert "kryptonit" not in text
    with database.read() as session:
        assert "Kryptonit" not in str([each.error for each in session.scalars(select(Delivery))])
