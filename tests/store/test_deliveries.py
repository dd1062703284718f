"""Deliveries on both databases: one for every end of a job and every webhook, claimed by one worker, ended once."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from app.errors import (
    DeliveryNotFoundError,
    WebhookDisabledError,
    WebhookNotFoundError,
)
from app.store import deliveries, jobs, webhooks
from app.store.database import Database, now
from app.store.deliveries import Claim
from app.store.tables import Delivery, Job, Webhook
from app.webhooks.signing import new_secret
from tests.store.test_claiming import begin_job, finish_experiment, write
from tests.store.test_claiming import claim as claim_task

pytestmark = pytest.mark.requirement("A4")


def register(database: Database, **options: Any) -> str:
    given = {
        "owner": "local",
        "url": "https://receiver.test/hook",
        "events": list(deliveries.JOB_EVENTS),
        "description": "",
        "secret": new_secret(),
    }
    return write(database, lambda session: webhooks.register(session, **{**given, **options})).id


def rows(database: Database) -> list[Delivery]:
    with database.read() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.id)).all())


def only(database: Database) -> Delivery:
    [delivery] = rows(database)
    return delivery


def claim(database: Database) -> Claim | None:
    return write(database, deliveries.claim)


def cancel(database: Database, job_id: str) -> None:
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))


def ended_job(database: Database) -> str:
    job_id = begin_job(database, 1)
    cancel(database, job_id)
    return job_id


def tell_nothing(database: Database, webhook_id: str, times: int) -> None:
    """That many deliveries to the webhook that tell of nothing."""

    def record(session: Any) -> None:
        for _ in range(times):
            deliveries.record_test(session, webhooks.get(session, "local", webhook_id))

    write(database, record)


def lose_lease(database: Database) -> None:
    """Let the time be over that workers have for what they hold."""

    def change(session: Any) -> None:
        session.execute(update(Delivery).values(lease_expires_at=now() - 1))
        session.execute(update(Webhook).values(not_before=now() - 1))

    write(database, change)


def make_due(database: Database) -> None:
    """Let all pauses be over."""

    def change(session: Any) -> None:
        session.execute(update(Delivery).values(next_at=now() - 1))
        session.execute(update(Webhook).values(not_before=now() - 1))

    write(database, change)


def succeed(database: Database, held: Claim) -> bool:
    return write(database, lambda session: deliveries.succeed(session, held, 204))


def fail_attempt(database: Database, held: Claim, pause: float | None) -> bool:
    return write(
        database, lambda session: deliveries.fail_attempt(session, held, 500, "HTTP status 500", pause)
    )


def test_every_terminal_state_is_told_and_says_where_to_look_and_nothing_of_the_data(
    database: Database,
) -> None:
    register(database)

    ends = {
        deliveries.SUCCEEDED: lambda session, job_id: jobs.succeed(session, job_id, {"winner": "secret"}),
        deliveries.FAILED: lambda session, job_id: jobs.fail(session, job_id, {"code": "x"}),
        deliveries.CANCELLED: lambda session, job_id: jobs.request_cancel(session, "local", job_id),
    }
    for number, (event, end) in enumerate(ends.items(), start=1):
        job_id = begin_job(database, number)
        for _ in range(number):
            finish_experiment(database, claim_task(database))
        assert write(database, lambda session, end=end, job_id=job_id: end(session, job_id))
        told = rows(database)[-1]
        assert (told.event, told.job_id, told.status, told.attempt) == (event, job_id, "pending", 0)
        with database.read() as session:
            job = jobs.get(session, "local", job_id)
        message = json.loads(told.body)
        assert message.pop("timestamp").endswith("Z")
        assert message == {
            "type": event,
            "data": {
                "job_id": job_id,
                "kind": "verification",
                "status": event.removeprefix("job."),
                "dataset_id": job.dataset_id,
                "links": {"job": f"/jobs/{job_id}", "evaluations": f"/jobs/{job_id}/evaluations"},
            },
        }
    assert len(rows(database)) == 3


@pytest.mark.parametrize("round_", range(5))
def test_job_that_many_end_at_once_makes_one_delivery_for_each_webhook(
    database: Database, round_: int
) -> None:
    registered = {register(database) for _ in range(3)}
    job_id = begin_job(database, 1)
    finish_experiment(database, claim_task(database))
    ends = [
        lambda session: jobs.succeed(session, job_id, {}),
        lambda session: jobs.fail(session, job_id, {"code": "x"}),
        lambda session: jobs.fail_without_result(session, job_id),
        lambda session: jobs.request_cancel(session, "local", job_id),
    ] * 2
    together = threading.Barrier(len(ends))

    def end(change: Any) -> None:
        together.wait()
        write(database, change)

    with ThreadPoolExecutor(len(ends)) as pool:
        list(pool.map(end, ends))
    with database.read() as session:
        status = session.scalars(select(Job.status)).one()
    told = rows(database)
    assert {each.webhook_id for each in told} == registered
    assert [each.event for each in told] == [f"job.{status}"] * 3


def test_end_that_was_not_committed_is_told_to_nobody(database: Database) -> None:
    register(database)
    job_id = begin_job(database, 1)
    with database.write() as session:
        jobs.request_cancel(session, "local", job_id)
        session.rollback()
    assert rows(database) == []
    cancel(database, job_id)
    cancel(database, job_id)
    assert only(database).job_id == job_id


def test_only_the_owners_webhooks_hear_and_only_of_what_they_want(database: Database) -> None:
    register(database, owner="somebody else")
    register(database, events=[deliveries.SUCCEEDED])
    hears = register(database, events=[deliveries.FAILED, deliveries.CANCELLED])
    ended_job(database)
    assert only(database).webhook_id == hears


def test_webhook_may_be_deleted_while_a_job_ends(database: Database) -> None:
    """Whoever is first: the job ends, and no delivery is left without its webhook."""
    webhook_id, job_id = register(database), begin_job(database, 1)
    together = threading.Barrier(2)

    def delete() -> None:
        together.wait()
        write(database, lambda session: webhooks.delete(session, "local", webhook_id))

    def end() -> None:
        together.wait()
        cancel(database, job_id)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(delete), pool.submit(end)]:
            done.result(timeout=30)
    with database.read() as session:
        assert session.scalars(select(Job.status)).one() == "cancelled"
    assert rows(database) == []


def test_end_waits_for_a_deletion_under_way_instead_of_failing_with_it(database: Database) -> None:
    webhook_id, job_id = register(database), begin_job(database, 1)
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        webhooks.delete(session, "local", webhook_id)
        ending = pool.submit(cancel, database, job_id)
        with pytest.raises(TimeoutError):
            ending.result(timeout=0.5)
        session.commit()
        ending.result(timeout=30)
    with database.read() as session:
        assert session.scalars(select(Job.status)).one() == "cancelled"
    assert rows(database) == []


def test_each_delivery_is_claimed_by_one_worker_only(database: Database) -> None:
    registered = [register(database) for _ in range(12)]
    for webhook_id in registered:
        tell_nothing(database, webhook_id, 1)
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: claim(database), range(40)))
    taken = [each.id for each in held if each is not None]
    assert len(taken) == len(set(taken)) == 12
    assert {each.attempt for each in rows(database)} == {1}


def test_claims_of_one_webhook_by_many_workers_lose_and_double_nothing(database: Database) -> None:
    """Nearly one at a time: whoever finds the webhook busy comes again."""
    tell_nothing(database, register(database), 10)
    sent: list[str] = []

    def deliver_until_done() -> None:
        while any(each.status == "pending" for each in rows(database)):
            held = claim(database)
            if held is not None:
                sent.append(held.id)
                assert succeed(database, held)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(deliver_until_done) for _ in range(6)]:
            done.result(timeout=60)
    assert len(sent) == len(set(sent)) == 10


def test_webhook_that_is_being_sent_to_waits_and_others_do_not(database: Database) -> None:
    slow, quick = register(database), register(database)
    tell_nothing(database, slow, 2)
    tell_nothing(database, quick, 1)
    first = claim(database)
    assert (first.webhook_id, claim(database).webhook_id, claim(database)) == (slow, quick, None)
    assert succeed(database, first)
    assert claim(database).webhook_id == slow


def test_delivery_whose_worker_died_is_sent_again_under_the_same_id(database: Database) -> None:
    register(database)
    ended_job(database)
    first = claim(database)
    assert claim(database) is None
    lose_lease(database)
    second = claim(database)
    assert (second.id, second.body, second.attempt) == (first.id, first.body, first.attempt + 1)
    assert not succeed(database, first), "the lease was lost"
    assert not fail_attempt(database, first, None)
    assert only(database).status == "pending"
    assert succeed(database, second)
    assert not succeed(database, second), "ended twice"
    assert (only(database).status, only(database).response_status) == ("delivered", 204)


def test_failed_attempt_is_repeated_after_its_pause(database: Database) -> None:
    register(database)
    ended_job(database)
    held = claim(database)
    assert fail_attempt(database, held, 300.0)
    assert claim(database) is None
    waiting = only(database)
    assert (waiting.status, waiting.failures, waiting.response_status) == ("pending", 1, 500)
    assert 299.0 < waiting.next_at - waiting.created_at < 330.0
    make_due(database)
    again = claim(database)
    assert (again.id, again.failures) == (held.id, 1)
    assert fail_attempt(database, again, None)
    over = only(database)
    assert (over.status, over.failures, over.error) == ("failed", 2, "HTTP status 500")
    assert over.finished_at is not None
    make_due(database)
    assert claim(database) is None


def test_receiver_that_is_gone_gets_nothing_more(database: Database) -> None:
    gone, other = register(database), register(database)
    tell_nothing(database, gone, 3)
    held = claim(database)
    assert write(database, lambda session: deliveries.disable_webhook(session, held, 410, "gone"))
    assert {each.status for each in rows(database)} == {"failed"}
    ended_job(database)
    assert [each.webhook_id for each in rows(database) if each.status == "pending"] == [other]
    with pytest.raises(WebhookDisabledError):
        write(database, lambda session: deliveries.send_again(session, "local", gone, held.id))


def test_worker_that_lost_its_lease_disables_nothing(database: Database) -> None:
    tell_nothing(database, register(database), 1)
    late = claim(database)
    lose_lease(database)
    claim(database)
    assert not write(database, lambda session: deliveries.disable_webhook(session, late, 410, "gone"))
    with database.read() as session:
        assert session.scalars(select(Webhook.disabled_at)).one() is None


def test_delivery_is_sent_again_on_request_with_all_its_attempts(database: Database) -> None:
    webhook_id = register(database)
    tell_nothing(database, webhook_id, 1)
    held = claim(database)

    def send_again() -> Delivery:
        return write(database, lambda session: deliveries.send_again(session, "local", webhook_id, held.id))

    assert send_again().attempt == 1
    assert claim(database) is None, "it is being sent"
    fail_attempt(database, held, 300.0)
    send_again()
    second = claim(database)
    assert (second.id, second.failures) == (held.id, 0)
    succeed(database, second)
    assert (send_again().status, claim(database).id) == ("pending", held.id)


def test_what_is_not_there_or_somebody_elses_is_not_found(database: Database) -> None:
    webhook_id, other = register(database), register(database)
    tell_nothing(database, webhook_id, 1)
    delivery_id = only(database).id
    for owner, webhook, delivery, error in (
        ("somebody else", webhook_id, delivery_id, WebhookNotFoundError),
        ("local", other, delivery_id, DeliveryNotFoundError),
        ("local", webhook_id, "msg_missing", DeliveryNotFoundError),
    ):
        with pytest.raises(error):
            write(
                database,
                lambda session, asked=(owner, webhook, delivery): deliveries.send_again(session, *asked),
            )
    for change in (webhooks.delete, webhooks.get):
        with pytest.raises(WebhookNotFoundError):
            write(database, lambda session, change=change: change(session, "somebody else", webhook_id))


def test_deliveries_that_have_been_over_for_a_month_are_forgotten(database: Database) -> None:
    tell_nothing(database, register(database), 2)
    assert succeed(database, claim(database))
    write(database, deliveries.forget_old)
    assert len(rows(database)) == 2
    past = update(Delivery).values(finished_at=Delivery.finished_at - deliveries.KEPT_SECONDS)
    write(database, lambda session: session.execute(past))
    write(database, deliveries.forget_old)
    assert only(database).status == "pending"
