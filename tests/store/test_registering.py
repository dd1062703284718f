"""Webhooks on both databases: so many of an owner, and secrets that are replaced and forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from app.errors import TooManyWebhooksError
from app.store import deliveries, webhooks
from app.store.database import Database
from app.store.tables import IdempotencyKey, Webhook
from tests.store.test_claiming import write
from tests.store.test_deliveries import claim, lose_lease, register, tell_nothing

pytestmark = pytest.mark.requirement("A4")


def test_no_more_than_twenty_webhooks_of_an_owner_however_many_come_at_once(database: Database) -> None:
    n_come = webhooks.MOST_WEBHOOKS + 5
    together = threading.Barrier(n_come)

    def come(_: int) -> bool:
        together.wait()
        try:
            register(database)
        except TooManyWebhooksError:
            return False
        return True

    with ThreadPoolExecutor(n_come) as pool:
        assert sum(pool.map(come, range(n_come))) == webhooks.MOST_WEBHOOKS
    register(database, owner="somebody else")


def test_first_webhooks_of_an_owner_are_counted_before_they_are_committed(database: Database) -> None:
    """There is no row yet that the next could wait for; registrations of others need not wait at all."""
    given = {"url": "https://receiver.test/hook", "events": [], "description": "", "secret": "whsec_"}
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        for _ in range(webhooks.MOST_WEBHOOKS):
            webhooks.register(session, owner="local", **given)
        if database.engine.dialect.name == "postgresql":
            pool.submit(register, database, owner="somebody else").result(timeout=5)
        next_ = pool.submit(register, database)
        with pytest.raises(TimeoutError):
            next_.result(timeout=0.5)
        session.commit()
        with pytest.raises(TooManyWebhooksError):
            next_.result(timeout=30)


def test_both_secrets_sign_for_a_day_after_a_rotation(database: Database) -> None:
    webhook_id = register(database, secret="whsec_old")
    tell_nothing(database, webhook_id, 1)

    def secrets() -> tuple[str, ...]:
        lose_lease(database)
        return claim(database).secrets

    assert secrets() == ("whsec_old",)
    write(database, lambda session: webhooks.rotate(session, "local", webhook_id, "whsec_new"))
    assert secrets() == ("whsec_new", "whsec_old")
    past = update(Webhook).values(rotated_at=Webhook.rotated_at - deliveries.BOTH_SECRETS_SECONDS)
    write(database, lambda session: session.execute(past))
    assert secrets() == ("whsec_new",)
    write(database, deliveries.forget_old)
    with database.read() as session:
        assert session.scalars(select(Webhook.previous_secret)).one() is None


def test_secret_that_still_signs_is_not_forgotten(database: Database) -> None:
    webhook_id = register(database, secret="whsec_old")
    write(database, lambda session: webhooks.rotate(session, "local", webhook_id, "whsec_new"))
    write(database, deliveries.forget_old)
    with database.read() as session:
        assert session.scalars(select(Webhook.previous_secret)).one() == "whsec_old"


def remember(session: Any, name: str, webhook_id: str) -> None:
    """An answer that quotes the webhook's secret."""
    session.add(
        IdempotencyKey(
            id=name,
            owner="local",
            fingerprint="f",
            attempt="a",
            subject_id=webhook_id,
            status=201,
            body=b"whsec_one",
            expires_at=1e12,
        )
    )


def test_rotation_beside_an_answer_that_expires_succeeds(database: Database) -> None:
    webhook_id = register(database)
    write(database, lambda session: remember(session, "first", webhook_id))

    def rotate() -> None:
        write(database, lambda session: webhooks.rotate(session, "local", webhook_id, "whsec_two"))

    with ThreadPoolExecutor(1) as pool, database.write() as session:
        session.execute(delete(IdempotencyKey))
        rotating = pool.submit(rotate)
        with pytest.raises(TimeoutError):
            rotating.result(timeout=0.5)
        session.commit()
        rotating.result(timeout=30)
    with database.read() as session:
        assert session.scalars(select(Webhook.secret)).one() == "whsec_two"


def test_answers_that_quote_a_secret_go_with_it(database: Database) -> None:
    webhook_id = register(database)

    def kept() -> list[bytes | None]:
        with database.read() as session:
            return list(session.scalars(select(IdempotencyKey.body)).all())

    write(database, lambda session: remember(session, "first", webhook_id))
    write(database, lambda session: webhooks.rotate(session, "local", webhook_id, "whsec_two"))
    assert kept() == [None]
    write(database, lambda session: remember(session, "second", webhook_id))
    write(database, lambda session: webhooks.delete(session, "local", webhook_id))
    assert kept() == [None, None]
