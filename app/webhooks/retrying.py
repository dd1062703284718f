"""When to try again: soon at first, then more and more rarely, for three days in all."""

import random

from app.webhooks.sending import Answer

# Before the second attempt, the third, and so on; after the last of them a delivery has failed.
PAUSES = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
LONGEST_PAUSE = 86_400.0  # that a receiver may ask for
LONGEST_REST = 60.0  # unless the receiver asks for more
_JITTER = 0.2  # so that what failed together does not come back together
_GONE = 410
_BUSY = (429, 503)


def is_delivered(answer: Answer) -> bool:
    """Whether the receiver has the message."""
    return answer.status is not None and 200 <= answer.status < 300


def is_gone(answer: Answer) -> bool:
    """Whether the receiver wants nothing any more, from now on."""
    return answer.status == _GONE


def reason(answer: Answer) -> str:
    """Why the attempt failed."""
    if answer.status is None:
        return answer.error or "The receiver did not answer."
    if 300 <= answer.status < 400:
        return f"HTTP status {answer.status}: redirects are not followed."
    return f"HTTP status {answer.status}."


def rest(answer: Answer, pause: float | None) -> float:
    """Seconds in which the receiver is sent nothing else either: one that is silent or busy would only get more to do.

    `pause` is that of the delivery.
    """
    if answer.status is not None and answer.status not in _BUSY:
        return 0.0
    return max(min(pause or LONGEST_REST, LONGEST_REST), _asked_for(answer))


def pause(answer: Answer, failures: int) -> float | None:
    """Seconds until the next attempt after so many that failed before this one; None where there is none."""
    if failures >= len(PAUSES):
        return None
    scheduled = PAUSES[failures] * random.uniform(1.0, 1.0 + _JITTER)  # noqa: S311  jitter, not secrecy
    return max(scheduled, _asked_for(answer))


def _asked_for(answer: Answer) -> float:
    """How long a busy receiver wants to be left alone."""
    return min(answer.retry_after or 0.0, LONGEST_PAUSE) if answer.status in _BUSY else 0.0
