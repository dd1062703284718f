"""Signatures by the Standard Webhooks specification 1.0: a receiver knows who sent what, and when.

What is signed is `id.timestamp.body`, by HMAC-SHA256. The id is the same at every attempt, so that what comes twice can be told;
the timestamp is that of the attempt, so that nobody can play an old message again.
"""

import base64
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300.0
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SECRET_BYTES = 32  # the specification wants 24 to 64


class SignatureError(ValueError):
    """The message is not what its sender sent, or was sent too long ago."""


def new_secret() -> str:
    """A random secret, in the form in which receivers keep it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(message_id: str, timestamp: int, body: bytes, keys: tuple[str, ...]) -> dict[str, str]:
    """The three headers of the specification, with one signature by each of the secrets."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(message_id, str(timestamp), body, key) for key in keys),
    }


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """For receivers: the message, if whoever knows the secret sent exactly these bytes just now.

    Args:
        body: as it arrived, before anything parsed it.
        headers: of the request; case does not matter.
        secret: as registering the webhook answered it.
        tolerance_seconds: how far the clocks may be apart, and how long the message may have travelled.
        now: seconds since 1970, unless the clock here is right.

    Raises: SignatureError.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (
            given[f"webhook-{part}"] for part in ("id", "timestamp", "signature")
        )
    except KeyError as missing:
        raise SignatureError(f"The header {missing} is missing.") from None
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureError("The header 'webhook-timestamp' is no time.")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_seconds:
        raise SignatureError("The message was sent too long ago, or in the future.")
    expected = _signature(message_id, timestamp, body, secret).encode()
    # As bytes: headers may hold any characters, and the comparison must not tell where they differ.
    if not any(hmac.compare_digest(expected, _bytes(each)) for each in signatures.split(" ")):
        raise SignatureError("No signature is by this secret of this message.")
    try:
        message: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):
        raise SignatureError("The body is no message, although it is signed.") from None
    return message


def _signature(message_id: str, timestamp: str, body: bytes, secret: str) -> str:
    signed = _bytes(f"{message_id}.{timestamp}.") + body
    return f"v1,{base64.b64encode(hmac.digest(_key(secret), signed, 'sha256')).decode()}"


def _bytes(header: str) -> bytes:
    """Whatever it holds: some servers hand bytes over as lone surrogates, which no encoding has."""
    return header.encode(errors="surrogatepass")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:  # also where it is not ASCII
        raise SignatureError("The secret is not one that was given for a webhook.") from None
