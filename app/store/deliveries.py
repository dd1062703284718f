"""Deliveries: what webhooks are to be told, written with the end of the job, and sent by whoever claims it.

A claim is a lease with an attempt number, as that of a task: a worker that dies in the middle leaves the delivery to the next, which
sends the same bytes under the same id, and the receiver can see what came twice.

Webhooks take turns: `Webhook.not_before` is when one may be sent to again, in the future while it is being sent to or rests, and
else the end of its last turn. Whose lies back farthest is next, so nobody waits for more than one message of each other.

Locks are taken in the order job, webhook, delivery; claiming waits for nobody. Whatever ends a webhook locks it FOR UPDATE, which
the end of a job waits for; all else that changes it lets jobs end.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CursorResult, and_, case, delete, exists, select, update
from sqlalchemy.orm import Session

from app.errors import DeliveryNotFoundError
from app.store import webhooks
from app.store.database import now
from app.store.ids import new_id
from app.store.tables import Delivery, Job, Webhook

SUCCEEDED, FAILED, CANCELLED, TEST = "job.succeeded", "job.failed", "job.cancelled", "webhook.test"
JOB_EVENTS = (SUCCEEDED, FAILED, CANCELLED)
LEASE_SECONDS = 60.0  # longer than an attempt takes, slow name servers included
BOTH_SECRETS_SECONDS = 86_400.0  # so long the secret before the last rotation signs too
KEPT_SECONDS = 30 * 86_400.0  # a delivery that is over is listed so long
_FORGOTTEN_AT_A_TIME = 1000


@dataclass(frozen=True)
class Claim:
    """A delivery that a worker holds until its lease ends, and all it takes to send it."""

    id: str
    attempt: int
    failures: int
    webhook_id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    body: str


def record_end(session: Session, job_id: str) -> None:
    """Write what the webhooks of the job's owner are to be told, in the transaction that has ended the job."""
    job = session.execute(
        select(Job.owner, Job.kind, Job.status, Job.dataset_id, Job.finished_at).where(Job.id == job_id)
    ).one()
    event = f"job.{job.status}"
    # Locked, so that none of them is deleted or disabled before this commits.
    registered = select(Webhook.id, Webhook.events).where(
        Webhook.owner == job.owner, Webhook.disabled_at.is_(None)
    )
    told = registered.order_by(Webhook.id).with_for_update(read=True, key_share=True)
    body = _body(
        event,
        job.finished_at,
        {
            "job_id": job_id,
            "kind": job.kind,
            "status": job.status,
            "dataset_id": job.dataset_id,
            "links": {"job": f"/jobs/{job_id}", "evaluations": f"/jobs/{job_id}/evaluations"},
        },
    )
    for webhook_id, events in session.execute(told).all():
        if event in events:
            _add(session, webhook_id, event, body, job_id)


def record_test(session: Session, webhook: Webhook) -> Delivery:
    """Write a message that tells of nothing, to be sent now; the webhook is locked."""
    _end_rest(session, webhook.id)
    sent_at = session.scalars(select(now())).one()
    return _add(session, webhook.id, TEST, _body(TEST, sent_at, {"webhook_id": webhook.id}))


def page(session: Session, owner: str, webhook_id: str, limit: int, before: str | None) -> list[Delivery]:
    """The webhook's deliveries, newest first, at most `limit`, older than the delivery `before`.

    Raises: WebhookNotFoundError.
    """
    webhooks.get(session, owner, webhook_id)
    query = select(Delivery).where(Delivery.webhook_id == webhook_id)
    query = query.where(Delivery.id < before) if before else query
    return list(session.scalars(query.order_by(Delivery.id.desc()).limit(limit)).all())


def send_again(session: Session, owner: str, webhook_id: str, delivery_id: str) -> Delivery:
    """Have the delivery sent now, with all its attempts before it; one that is being sent is left alone.

    Raises: WebhookNotFoundError, WebhookDisabledError, DeliveryNotFoundError.
    """
    webhooks.get_enabled(session, owner, webhook_id)
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.webhook_id == webhook_id)
    delivery = session.scalars(query.with_for_update()).one_or_none()
    if delivery is None:
        raise DeliveryNotFoundError(
            f"There is no delivery {delivery_id!r} of this webhook.",
            "GET /webhooks/{id}/deliveries lists those of the last 30 days.",
        )
    if not session.scalar(select(_is_held()).where(Delivery.id == delivery_id)):
        delivery.status, delivery.failures, delivery.finished_at = "pending", 0, None
        delivery.lease_expires_at, delivery.next_at = None, session.scalars(select(now())).one()
        session.flush()
        _end_rest(session, webhook_id)
    return delivery


def is_any_due(session: Session) -> bool:
    """Whether a claim may find something. It only reads: senders that wait take no lock every second."""
    return bool(session.scalar(select(exists().where(_has_turn()))))


def claim(session: Session) -> Claim | None:
    """Take what is due longest of the webhook whose turn it is; two workers never send to the same webhook.

    So a receiver that lets everybody wait holds up one sender, not all of them.
    """
    next_ = select(Webhook.id).where(_has_turn()).order_by(Webhook.not_before, Webhook.id).limit(1)
    webhook_id = session.scalar(next_.with_for_update(key_share=True, skip_locked=True))
    if webhook_id is None:
        return None
    due = select(Delivery.id).where(Delivery.webhook_id == webhook_id, _is_due())
    oldest = due.order_by(Delivery.next_at, Delivery.id).limit(1).scalar_subquery()
    taken = session.execute(
        update(Delivery)
        .where(Delivery.id == oldest, _is_due())  # once more: a late worker may settle it at this moment
        .values(attempt=Delivery.attempt + 1, lease_expires_at=now() + LEASE_SECONDS)
        .returning(Delivery.id, Delivery.attempt, Delivery.failures, Delivery.body)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if taken is None:
        return None
    recent = Webhook.rotated_at > now() - BOTH_SECRETS_SECONDS
    url, secret, previous = session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id)
        .values(not_before=now() + LEASE_SECONDS)
        .returning(Webhook.url, Webhook.secret, case((recent, Webhook.previous_secret)))
        .execution_options(synchronize_session=False)
    ).one()
    secrets = (secret,) if previous is None else (secret, previous)
    return Claim(taken.id, taken.attempt, taken.failures, webhook_id, url, secrets, taken.body)


def succeed(session: Session, held: Claim, response_status: int) -> bool:
    """End the delivery as delivered; false where somebody else holds it now."""
    return _settle(
        session,
        held,
        status="delivered",
        response_status=response_status,
        error=None,
        finished_at=now(),
    )


def fail_attempt(
    session: Session,
    held: Claim,
    response_status: int | None,
    error: str,
    pause: float | None,
    rest: float = 0.0,
) -> bool:
    """Try again after the pause, or end the delivery where there is none; false where somebody else holds it now.

    For the seconds of `rest` its webhook is sent nothing else either.
    """
    values: dict[str, Any] = {"status": "failed", "finished_at": now()}
    if pause is not None:
        values = {"next_at": now() + pause}
    failures = held.failures + 1
    return _settle(
        session, held, rest, failures=failures, response_status=response_status, error=error, **values
    )


def disable_webhook(session: Session, held: Claim, response_status: int, error: str) -> bool:
    """The receiver is gone for good: end the delivery, and all others that wait for it."""
    session.execute(select(Webhook.id).where(Webhook.id == held.webhook_id).with_for_update())
    if not fail_attempt(session, held, response_status, error, None):
        return False
    session.execute(
        update(Webhook).where(Webhook.id == held.webhook_id).values(disabled_at=now()),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        update(Delivery)
        .where(Delivery.webhook_id == held.webhook_id, Delivery.status == "pending")
        .values(status="failed", finished_at=now(), lease_expires_at=None, error=error),
        execution_options={"synchronize_session": False},
    )
    return True


def forget_old(session: Session) -> None:
    """Remove secrets and deliveries that have been over for their time; what is locked has its turn later."""
    rotated = select(Webhook.id).where(
        Webhook.previous_secret.is_not(None), Webhook.rotated_at <= now() - BOTH_SECRETS_SECONDS
    )
    webhook_ids = session.scalars(rotated.with_for_update(key_share=True, skip_locked=True)).all()
    session.execute(update(Webhook).where(Webhook.id.in_(webhook_ids)).values(previous_secret=None))
    old = select(Delivery.id).where(Delivery.finished_at < now() - KEPT_SECONDS).limit(_FORGOTTEN_AT_A_TIME)
    delivery_ids = session.scalars(old.with_for_update(skip_locked=True)).all()
    session.execute(delete(Delivery).where(Delivery.id.in_(delivery_ids)))


def _add(session: Session, webhook_id: str, event: str, body: str, job_id: str | None = None) -> Delivery:
    delivery = Delivery(
        id=new_id("msg"), webhook_id=webhook_id, job_id=job_id, event=event, body=body, status="pending"
    )
    session.add(delivery)
    session.flush()
    return delivery


def _body(event: str, seconds: float, data: dict[str, Any]) -> str:
    """The message; it says where to look, and nothing about the data."""
    timestamp = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": event, "timestamp": timestamp, "data": data}, separators=(",", ":"))


def _end_rest(session: Session, webhook_id: str) -> None:
    """Let the webhook have a turn now, since its owner asks for it, unless it has one."""
    being_sent_to = exists().where(Delivery.webhook_id == webhook_id, _is_held())
    session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.not_before > now(), ~being_sent_to)
        .values(not_before=now()),
        execution_options={"synchronize_session": False},
    )


def _has_turn() -> Any:
    """Whether a webhook may be sent to, and there is something to send."""
    due = exists().where(Delivery.webhook_id == Webhook.id, _is_due())
    return and_(Webhook.disabled_at.is_(None), Webhook.not_before <= now(), due)


def _is_due() -> Any:
    """Whether the pause of a delivery is over; whether somebody sends it already, its webhook knows."""
    return and_(Delivery.status == "pending", Delivery.next_at <= now())


def _is_held() -> Any:
    """Whether somebody is sending it; of one without a lease nobody is, and a comparison with NULL says nothing."""
    leased = and_(Delivery.lease_expires_at.is_not(None), Delivery.lease_expires_at > now())
    return and_(Delivery.status == "pending", leased)


def _settle(session: Session, held: Claim, rest: float = 0.0, **values: Any) -> bool:
    """Update the delivery and end its webhook's turn, only if this claim still holds it.

    One without a lease was asked for anew, and is not what this claim has sent.
    """
    session.execute(select(Webhook.id).where(Webhook.id == held.webhook_id).with_for_update(key_share=True))
    result = session.execute(
        update(Delivery)
        .where(
            Delivery.id == held.id,
            Delivery.attempt == held.attempt,
            Delivery.status == "pending",
            Delivery.lease_expires_at.is_not(None),
        )
        .values(lease_expires_at=None, **values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    if result.rowcount == 0:
        return False
    session.execute(
        update(Webhook).where(Webhook.id == held.webhook_id).values(not_before=now() + rest),
        execution_options={"synchronize_session": False},
    )
    return True
