"""Signatures: those that the specification's own example has, and nothing else passes."""

import base64
import hashlib
import hmac

import pytest

from app.webhooks.signing import SignatureError, new_secret, signed_headers, verify

pytestmark = pytest.mark.requirement("A4")

# The published example of the Standard Webhooks specification and its libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, SENT_AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def example(**changes: str) -> dict[str, str]:
    headers = {"webhook-id": ID, "webhook-timestamp": str(SENT_AT), "webhook-signature": SIGNATURE}
    return headers | {f"webhook-{name}": value for name, value in changes.items()}


def test_published_example_is_signed_as_published() -> None:
    assert signed_headers(ID, SENT_AT, BODY, (SECRET,)) == example()
    assert verify(BODY, example(), SECRET, now=SENT_AT) == {"test": 2432232314}


def test_signature_is_what_the_specification_says_by_another_computation() -> None:
    secret, body = new_secret(), '{"name":"größe"}'.encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, b"msg_1.1700000000." + body, hashlib.sha256).digest()
    headers = signed_headers("msg_1", 1_700_000_000, body, (secret,))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_secret_is_random_and_as_long_as_the_specification_wants() -> None:
    secrets = [new_secret() for _ in range(100)]
    assert len(set(secrets)) == 100
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_while_a_secret_is_replaced_both_verify() -> None:
    old, new, other = (new_secret() for _ in range(3))
    headers = signed_headers(ID, SENT_AT, BODY, (new, old))
    for secret in (old, new):
        assert verify(BODY, headers, secret, now=SENT_AT)
    with pytest.raises(SignatureError):
        verify(BODY, headers, other, now=SENT_AT)


@pytest.mark.parametrize(
    ("body", "headers", "secret"),
    [
        (BODY + b" ", example(), SECRET),
        (BODY, example(id="msg_other"), SECRET),
        (BODY, example(timestamp=str(SENT_AT + 1)), SECRET),
        (BODY, example(), "whsec_" + base64.b64encode(b"x" * 24).decode()),
        (BODY, example(signature=SIGNATURE.removeprefix("v1,")), SECRET),
        (BODY, example(signature=SIGNATURE.replace("v1,", "v1a,")), SECRET),
        (BODY, example(signature=SIGNATURE[:-2]), SECRET),
        (BODY, example(signature=""), SECRET),
        (BODY, example(signature="v1,ü"), SECRET),
        (BODY, example(timestamp="soon"), SECRET),
        (BODY, example(timestamp="-1"), SECRET),
        (BODY, example(timestamp=""), SECRET),
        (BODY, {}, SECRET),
        *[(BODY, {k: v for k, v in example().items() if k != name}, SECRET) for name in example()],
        (BODY, example(), "whsec_not base64!"),
        (BODY, example(), "whsec_größe"),
        (BODY, example(timestamp="9" * 5000), SECRET),
        (BODY, example(timestamp="\u0661"), SECRET),
        (BODY, example(signature="v1,\udcff"), SECRET),
        (BODY, example(id="\udcff"), SECRET),
        *[
            (body, signed_headers(ID, SENT_AT, body, (SECRET,)), SECRET)
            for body in (b"no JSON", b"\xff", b"[" * 100_000)
        ],
    ],
)
def test_what_was_changed_is_refused(body: bytes, headers: dict[str, str], secret: str) -> None:
    with pytest.raises(SignatureError):
        verify(body, headers, secret, now=SENT_AT)


@pytest.mark.parametrize(
    ("seconds", "is_fresh"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)]
)
def test_old_messages_and_those_of_the_future_are_refused(seconds: int, is_fresh: bool) -> None:
    if is_fresh:
        assert verify(BODY, example(), SECRET, now=SENT_AT + seconds)
        return
    with pytest.raises(SignatureError, match="too long ago"):
        verify(BODY, example(), SECRET, now=SENT_AT + seconds)
    assert verify(BODY, example(), SECRET, now=SENT_AT + seconds, tolerance_seconds=600)


def test_case_of_headers_and_signatures_of_other_kinds_do_not_matter() -> None:
    headers = {name.title(): value for name, value in example(signature=f"v1a,abc {SIGNATURE} v2,x").items()}
    assert verify(BODY, headers, SECRET, now=SENT_AT)
