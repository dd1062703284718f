"""Delivers what webhooks are to be told: claim, send, settle. No session is open while a message is under way."""

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app import failpoints
from app.config import Settings
from app.failpoints import Step
from app.store import deliveries
from app.store.database import Database, cause_of, commit
from app.store.deliveries import Claim
from app.webhooks import retrying
from app.webhooks.sending import Answer, Sender

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


class Deliverer:
    """`deliver_until` is run by as many threads as messages may be under way at a time.

    A process that dies in the middle leaves a lease, which runs out: the message is sent again, under the same id.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._sender = Sender(settings.allowed_networks)

    def deliver_until(self, stopping: threading.Event) -> None:
        """Deliver what is due, and look again, until it is time to stop; what is under way then is finished."""
        while not stopping.is_set():
            try:
                delivered = self.deliver_once()
            except SQLAlchemyError as error:
                log.warning("database_unavailable", error=cause_of(error))
                delivered = False
            except Exception:
                log.exception("could_not_deliver")
                delivered = False
            if not delivered:
                stopping.wait(_LOOK_SECONDS)

    def deliver_once(self) -> bool:
        """Take the delivery whose turn it is and send it; false where there is none."""
        with self._database.read() as session:
            if not deliveries.is_any_due(session):
                return False
        with self._database.write() as session:
            held = deliveries.claim(session)
            commit(session, Step.CLAIM_DELIVERY)
        if held is None:
            return False
        with structlog.contextvars.bound_contextvars(
            webhook=held.webhook_id, delivery=held.id, attempt=held.attempt
        ):
            self._settle(held, self._send(held))
        return True

    def _send(self, held: Claim) -> Answer:
        try:
            with failpoints.around(Step.SEND_DELIVERY, _lost_connection):
                return self._sender.send(held.url, held.id, held.body, held.secrets)
        except ConnectionError as error:
            return Answer(None, f"The connection failed: {error}.")
        except Exception as error:  # noqa: BLE001  whatever it is, others wait behind this delivery
            log.warning("sending_failed", error=type(error).__name__)  # its words may quote the address
            return Answer(None, f"Sending failed: {type(error).__name__}.")

    def _settle(self, held: Claim, answer: Answer) -> None:
        reason, pause = retrying.reason(answer), retrying.pause(answer, held.failures)
        with self._database.write() as session:
            if retrying.is_delivered(answer):
                assert answer.status is not None
                settled = deliveries.succeed(session, held, answer.status)
            elif retrying.is_gone(answer):
                assert answer.status is not None
                settled = deliveries.disable_webhook(session, held, answer.status, reason)
            else:
                rest = retrying.rest(answer, pause)
                settled = deliveries.fail_attempt(session, held, answer.status, reason, pause, rest)
            commit(session, Step.SETTLE_DELIVERY)
        if not settled:
            log.warning("delivery_was_lost")
        elif retrying.is_delivered(answer):
            log.info("delivered")
        else:
            # Without the reason, which may name the host.
            log.info("delivery_failed", response_status=answer.status, pause=pause)


def _lost_connection() -> Exception:
    return ConnectionResetError("the connection was lost")
