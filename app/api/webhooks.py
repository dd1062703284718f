"""Webhooks: register an address that is told of the end of every job, and see what it was told."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.dependencies import Owner, ReadSession, ServiceDep, WriteSession
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, RequestModel, ResponseModel, as_time
from app.failpoints import Step
from app.store import deliveries, webhooks
from app.store.database import commit
from app.store.tables import Delivery, Webhook
from app.webhooks import addresses
from app.webhooks.signing import new_secret

router = APIRouter(tags=["webhooks"])

JobEvent = Literal["job.succeeded", "job.failed", "job.cancelled"]


class WebhookRequest(RequestModel):
    """Where to send what."""

    url: str = Field(
        max_length=addresses.MOST_CHARACTERS,
        description="https or http, an address that the internet can reach. Names are resolved at every attempt.",
    )
    events: list[JobEvent] = Field(
        default=["job.succeeded", "job.failed", "job.cancelled"], min_length=1, max_length=10
    )
    description: str = Field(default="", max_length=255)


class NoFields(RequestModel):
    """A request that says all by its address."""


class WebhookResponse(ResponseModel):
    """A webhook; its secret is shown when it is made, and never again."""

    id: str
    url: str
    events: list[str]
    description: str
    created_at: datetime
    disabled_at: datetime | None = Field(
        description="When the receiver answered 410; nothing was sent to it since."
    )


class WebhookSecretResponse(WebhookResponse):
    """A webhook with its new secret."""

    secret: str = Field(description="`whsec_` and the key in base64, for verifying signatures. Keep it now.")


class DeliveryResponse(ResponseModel):
    """A message to a webhook, and what became of it."""

    id: str = Field(description="The header `webhook-id` of every attempt.")
    event: str
    job_id: str | None
    status: str = Field(description="pending, delivered or failed.")
    attempts: int
    next_attempt_at: datetime | None = Field(
        description="At the earliest: webhooks take turns, and rest while their receiver is silent or busy."
    )
    response_status: int | None = Field(description="Of the last attempt, where there was an answer.")
    error: str | None = Field(description="Why the last attempt failed.")
    created_at: datetime
    finished_at: datetime | None


@router.post(
    "/webhooks",
    status_code=201,
    response_model=WebhookSecretResponse,
    responses=problem_responses(409, 410, 422),
)
def create_webhook(
    asked: WebhookRequest, service: ServiceDep, session: WriteSession, owner: Owner, once: OnceDep
) -> Response:
    """Register an address; the answer holds the secret that its messages are signed with."""
    with once(asked) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        # Names are resolved and checked at every attempt: here a slow name server would only take the API's threads.
        addresses.check(asked.url, service.settings.allowed_networks)
        webhook = webhooks.register(
            session,
            owner=owner,
            url=asked.url,
            events=sorted(set(asked.events)),
            description=asked.description,
            secret=new_secret(),
        )
        answer = as_answer(_with_secret(webhook), 201)
        answer.headers["Location"] = f"/webhooks/{webhook.id}"
        attempt.record(answer, about=webhook.id)
        commit(session, Step.REGISTER_WEBHOOK)
    return answer


@router.get("/webhooks", responses=problem_responses(422))
def list_webhooks(session: ReadSession, owner: Owner, query: PageParameters) -> Page[WebhookResponse]:
    """Webhooks, newest first."""
    found = webhooks.page(session, owner, query.limit, query.after)
    return Page(
        items=[_as_response(each) for each in found],
        next_cursor=query.next_cursor([each.id for each in found]),
    )


@router.get("/webhooks/{webhook_id}", responses=problem_responses(404))
def read_webhook(webhook_id: str, session: ReadSession, owner: Owner) -> WebhookResponse:
    """One webhook."""
    return _as_response(webhooks.get(session, owner, webhook_id))


@router.delete("/webhooks/{webhook_id}", status_code=204, responses=problem_responses(404))
def delete_webhook(webhook_id: str, session: WriteSession, owner: Owner) -> None:
    """Delete it with its secret and its deliveries; what waits is not sent any more."""
    webhooks.delete(session, owner, webhook_id)
    commit(session, Step.DELETE_WEBHOOK)


@router.post(
    "/webhooks/{webhook_id}/secret",
    status_code=201,
    response_model=WebhookSecretResponse,
    responses=problem_responses(404, 409, 410, 422),
)
def rotate_secret(webhook_id: str, session: WriteSession, owner: Owner, once: OnceDep) -> Response:
    """Make a new secret; for a day messages are signed with the one before too."""
    with once(NoFields()) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        webhook = webhooks.rotate(session, owner, webhook_id, new_secret())
        answer = as_answer(_with_secret(webhook), 201)
        attempt.record(answer, about=webhook.id)
        commit(session, Step.ROTATE_SECRET)
    return answer


@router.post(
    "/webhooks/{webhook_id}/test",
    status_code=202,
    response_model=DeliveryResponse,
    responses=problem_responses(404, 409, 410, 422),
)
def test_webhook(webhook_id: str, session: WriteSession, owner: Owner, once: OnceDep) -> Response:
    """Send a message of the type `webhook.test`."""
    with once(NoFields()) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        delivery = deliveries.record_test(session, webhooks.get_enabled(session, owner, webhook_id))
        answer = as_answer(_as_delivery(delivery), 202)
        attempt.record(answer, about=webhook_id)
        commit(session, Step.TEST_WEBHOOK)
    return answer


@router.get("/webhooks/{webhook_id}/deliveries", responses=problem_responses(404, 422))
def list_deliveries(
    webhook_id: str, session: ReadSession, owner: Owner, query: PageParameters
) -> Page[DeliveryResponse]:
    """What the webhook was told, newest first; what has been over for 30 days is forgotten."""
    found = deliveries.page(session, owner, webhook_id, query.limit, query.after)
    return Page(
        items=[_as_delivery(each) for each in found],
        next_cursor=query.next_cursor([each.id for each in found]),
    )


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
    status_code=202,
    responses=problem_responses(404, 409),
)
def retry_delivery(
    webhook_id: str, delivery_id: str, session: WriteSession, owner: Owner
) -> DeliveryResponse:
    """Send the message again, under its id; one that is being sent right now is left as it is."""
    delivery = deliveries.send_again(session, owner, webhook_id, delivery_id)
    answer = _as_delivery(delivery)
    commit(session, Step.RETRY_DELIVERY)
    return answer


def _as_response(webhook: Webhook) -> WebhookResponse:
    return WebhookResponse(
        id=webhook.id,
        url=webhook.url,
        events=webhook.events,
        description=webhook.description,
        created_at=as_time(webhook.created_at),
        disabled_at=as_time(webhook.disabled_at),
    )


def _with_secret(webhook: Webhook) -> WebhookSecretResponse:
    return WebhookSecretResponse(**_as_response(webhook).model_dump(), secret=webhook.secret)


def _as_delivery(delivery: Delivery) -> DeliveryResponse:
    return DeliveryResponse(
        id=delivery.id,
        event=delivery.event,
        job_id=delivery.job_id,
        status=delivery.status,
        attempts=delivery.attempt,
        next_attempt_at=as_time(delivery.next_at) if delivery.status == "pending" else None,
        response_status=delivery.response_status,
        error=delivery.error,
        created_at=as_time(delivery.created_at),
        finished_at=as_time(delivery.finished_at),
    )
