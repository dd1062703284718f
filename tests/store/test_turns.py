"""Webhooks take turns: none is sent two messages at a time, none waits long for the others, and claiming costs little."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select, update

from app.store import deliveries, jobs, webhooks
from app.store.database import Database, now
from app.store.tables import Delivery, Webhook
from tests.store.test_claiming import begin_job, write
from tests.store.test_deliveries import (
    cancel,
    claim,
    fail_attempt,
    only,
    register,
    rows,
    succeed,
    tell_nothing,
)

pytestmark = pytest.mark.requirement("A4")


def test_webhook_waits_for_one_message_of_each_other_and_no_more(database: Database) -> None:
    """However long the others' backlogs are, and however much longer they wait already."""
    for _ in range(2):
        tell_nothing(database, register(database), 5)
    patient = register(database)
    tell_nothing(database, patient, 2)
    served = []
    for _ in range(6):
        held = claim(database)
        served.append(held.webhook_id)
        assert succeed(database, held)
        time.sleep(0.01)  # times are told apart by milliseconds
    assert served[:3] == served[3:]
    assert served.count(patient) == 2


def test_many_claims_at_once_never_hold_two_messages_of_a_webhook(database: Database) -> None:
    registered = [register(database) for _ in range(3)]
    for webhook_id in registered:
        tell_nothing(database, webhook_id, 5)
    with ThreadPoolExecutor(8) as pool:
        held = [each for each in pool.map(lambda _: claim(database), range(40)) if each is not None]
    assert sorted(each.webhook_id for each in held) == sorted(registered)


def test_receiver_that_asks_for_rest_is_sent_nothing_at_all(database: Database) -> None:
    webhook_id = register(database)
    tell_nothing(database, webhook_id, 3)
    held = claim(database)
    assert write(
        database, lambda session: deliveries.fail_attempt(session, held, 429, "busy", 5.0, rest=60.0)
    )
    assert claim(database) is None
    with database.read() as session:
        assert not deliveries.is_any_due(session)
    write(database, lambda session: session.execute(update(Webhook).values(not_before=now() - 1)))
    with database.read() as session:
        assert deliveries.is_any_due(session)
    assert claim(database).id != held.id


def test_owner_who_asks_ends_the_rest_but_no_turn(database: Database) -> None:
    webhook_id = register(database)
    tell_nothing(database, webhook_id, 2)
    held = claim(database)
    tell_nothing(database, webhook_id, 1)
    assert claim(database) is None, "it is being sent to"
    write(database, lambda session: deliveries.fail_attempt(session, held, None, "silent", 5.0, rest=60.0))
    assert claim(database) is None
    again = write(database, lambda session: deliveries.send_again(session, "local", webhook_id, held.id))
    assert again.next_at < again.created_at + 60
    assert claim(database) is not None


def test_nothing_is_sent_for_a_disabled_webhook(database: Database) -> None:
    tell_nothing(database, register(database), 1)
    write(database, lambda session: session.execute(update(Webhook).values(disabled_at=now())))
    assert claim(database) is None
    with database.read() as session:
        assert not deliveries.is_any_due(session)


def test_end_of_a_job_beside_a_410_leaves_nothing_that_waits(database: Database) -> None:
    """It waits until the webhook is disabled, and then tells it nothing."""
    tell_nothing(database, register(database), 1)
    held, job_id = claim(database), begin_job(database, 1)
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        assert deliveries.disable_webhook(session, held, 410, "gone")
        ending = pool.submit(cancel, database, job_id)
        with pytest.raises(TimeoutError):
            ending.result(timeout=0.5)
        session.commit()
        ending.result(timeout=30)
    assert only(database).status == "failed"


def test_410_beside_the_end_of_a_job_waits_for_it_and_ends_what_it_tells(database: Database) -> None:
    tell_nothing(database, register(database), 1)
    held = claim(database)
    job_id = begin_job(database, 1)

    def disable() -> bool:
        return write(database, lambda session: deliveries.disable_webhook(session, held, 410, "gone"))

    with ThreadPoolExecutor(1) as pool, database.write() as session:
        jobs.request_cancel(session, "local", job_id)
        disabling = pool.submit(disable)
        with pytest.raises(TimeoutError):
            disabling.result(timeout=0.5)
        session.commit()
        assert disabling.result(timeout=30)
    assert [each.status for each in rows(database)] == ["failed", "failed"]


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
@pytest.mark.parametrize("change", ["rotate", "test", "retry", "claim", "settle"])
def test_job_ends_beside_everything_that_ends_no_webhook(database: Database, change: str) -> None:
    """On Postgres: SQLite lets one write at a time."""
    webhook_id = register(database)
    tell_nothing(database, webhook_id, 2)
    held = claim(database) if change == "settle" else None
    delivery_id = rows(database)[0].id
    changes = {
        "rotate": lambda session: webhooks.rotate(session, "local", webhook_id, "whsec_new"),
        "test": lambda session: deliveries.record_test(
            session, webhooks.get_enabled(session, "local", webhook_id)
        ),
        "retry": lambda session: deliveries.send_again(session, "local", webhook_id, delivery_id),
        "claim": deliveries.claim,
        "settle": lambda session: deliveries.succeed(session, held, 204),
    }
    job_id = begin_job(database, 1)
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        assert changes[change](session)
        pool.submit(cancel, database, job_id).result(timeout=5)
        session.commit()
    assert job_id in {each.job_id for each in rows(database)}


def test_worker_whose_lease_ran_out_cancels_nothing_that_was_asked_for(database: Database) -> None:
    webhook_id = register(database)
    tell_nothing(database, webhook_id, 1)
    stale = claim(database)
    past = update(Delivery).values(lease_expires_at=now() - 1)
    write(database, lambda session: session.execute(past))
    asked = write(database, lambda session: deliveries.send_again(session, "local", webhook_id, stale.id))
    assert not fail_attempt(database, stale, None)
    assert not fail_attempt(database, stale, 300.0)
    assert not succeed(database, stale)
    assert (only(database).status, only(database).next_at) == ("pending", asked.next_at)
    assert claim(database).id == stale.id


def test_claim_costs_little_however_much_is_due_and_over(database: Database) -> None:
    """On SQLite nobody else writes meanwhile. The quickest of some counts: other processes are busy too."""
    registered = [register(database) for _ in range(10)]

    def row(number: int) -> dict:
        told = {"webhook_id": registered[number % 10], "event": "webhook.test", "body": "{}"}
        status = "pending" if number < 1000 else "delivered"
        return {"id": f"msg_{number}", "status": status, "next_at": 0.0, "lease_expires_at": None, **told}

    write(database, lambda session: session.execute(insert(Delivery), [row(each) for each in range(11_000)]))
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        assert claim(database) is not None
        seconds.append(time.perf_counter() - began)
    assert claim(database) is None
    assert min(seconds) < 0.05


def test_what_is_locked_is_forgotten_later_and_waited_for_by_nobody(database: Database) -> None:
    """A webhook that is being deleted locks its deliveries in an order of its own."""
    webhook_id = register(database)
    tell_nothing(database, webhook_id, 2)
    rotated = {"previous_secret": "whsec_old", "rotated_at": 0.0}
    write(database, lambda session: session.execute(update(Webhook).values(rotated)))
    long_ago = update(Delivery).values(status="delivered", finished_at=0.0)
    write(database, lambda session: session.execute(long_ago))
    locked, _ = rows(database)
    if database.engine.dialect.name == "postgresql":
        with ThreadPoolExecutor(1) as pool, database.write() as session:
            session.execute(select(Delivery.id).where(Delivery.id == locked.id).with_for_update())
            webhooks.lock(session, "local", webhook_id)
            pool.submit(write, database, deliveries.forget_old).result(timeout=5)
            session.commit()
        assert [each.id for each in rows(database)] == [locked.id]
    write(database, deliveries.forget_old)
    assert rows(database) == []
    with database.read() as session:
        assert session.scalars(select(Webhook.previous_secret)).one() is None


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_claim_waits_for_nobody(database: Database) -> None:
    first, second = register(database), register(database)
    for webhook_id in (first, second):
        tell_nothing(database, webhook_id, 1)
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        webhooks.lock(session, "local", first)
        assert pool.submit(claim, database).result(timeout=5).webhook_id == second
        session.rollback()
    assert claim(database).webhook_id == first
