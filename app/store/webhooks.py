"""Webhooks: who is told of the end of jobs, and where; what they are told is in `deliveries`."""

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.errors import TooManyWebhooksError, WebhookDisabledError, WebhookNotFoundError
from app.store import erasing
from app.store.database import now, wait_for_turn
from app.store.ids import new_id
from app.store.tables import Webhook

MOST_WEBHOOKS = 20  # of one owner: each of them makes a delivery of every job's end


def register(
    session: Session, *, owner: str, url: str, events: list[str], description: str, secret: str
) -> Webhook:
    """Remember an address to tell of these events.

    Raises: TooManyWebhooksError.
    """
    # Registrations of an owner wait for each other here; the count, a statement of its own, then sees the others'.
    wait_for_turn(session, f"webhooks of {owner}")
    count = session.scalars(select(func.count()).where(Webhook.owner == owner)).one()
    if count >= MOST_WEBHOOKS:
        raise TooManyWebhooksError(
            f"There are {count} webhooks, and no more than {MOST_WEBHOOKS} are served.",
            "Delete one that is no longer needed (DELETE /webhooks/{id}).",
        )
    webhook = Webhook(
        id=new_id("wh"), owner=owner, url=url, events=events, description=description, secret=secret
    )
    session.add(webhook)
    session.flush()
    return webhook


def get(session: Session, owner: str, webhook_id: str) -> Webhook:
    """The owner's webhook.

    Raises: WebhookNotFoundError.
    """
    return _only(session, _by_id(owner, webhook_id), webhook_id)


def lock(session: Session, owner: str, webhook_id: str) -> Webhook:
    """The owner's webhook, which no other transaction changes or deletes meanwhile; jobs may end beside it.

    Raises: WebhookNotFoundError.
    """
    return _only(session, _by_id(owner, webhook_id).with_for_update(key_share=True), webhook_id)


def get_enabled(session: Session, owner: str, webhook_id: str) -> Webhook:
    """The owner's webhook, locked, if anything is sent to it.

    Raises: WebhookNotFoundError, WebhookDisabledError.
    """
    webhook = lock(session, owner, webhook_id)
    if webhook.disabled_at is not None:
        raise WebhookDisabledError(
            "The receiver answered 410: it is gone for good, so nothing more is sent to it.",
            "Register the address again (POST /webhooks) if it is back.",
        )
    return webhook


def page(session: Session, owner: str, limit: int, before: str | None) -> list[Webhook]:
    """The owner's webhooks, newest first, at most `limit`, older than the webhook `before`."""
    query = select(Webhook).where(Webhook.owner == owner).order_by(Webhook.id.desc()).limit(limit)
    return list(session.scalars(query.where(Webhook.id < before) if before else query).all())


def rotate(session: Session, owner: str, webhook_id: str, secret: str) -> Webhook:
    """Give the webhook a new secret; the one before signs beside it for a while.

    Raises: WebhookNotFoundError.
    """
    webhook = lock(session, owner, webhook_id)
    erasing.erase_answers(session, webhook_id)  # they quote the secret that was
    webhook.previous_secret, webhook.secret = webhook.secret, secret
    webhook.rotated_at = session.scalars(select(now())).one()
    session.flush()
    return webhook


def delete(session: Session, owner: str, webhook_id: str) -> None:
    """Delete the webhook with its secret and its deliveries, those under way included.

    Raises: WebhookNotFoundError.
    """
    webhook = _only(session, _by_id(owner, webhook_id).with_for_update(), webhook_id)
    erasing.erase_answers(session, webhook_id)
    session.delete(webhook)
    session.flush()


def _by_id(owner: str, webhook_id: str) -> Select[Webhook]:
    return select(Webhook).where(Webhook.id == webhook_id, Webhook.owner == owner)


def _only(session: Session, query: Select[Webhook], webhook_id: str) -> Webhook:
    webhook = session.scalars(query).one_or_none()
    if webhook is None:
        raise WebhookNotFoundError(f"There is no webhook {webhook_id!r}.", "GET /webhooks lists yours.")
    return webhook
