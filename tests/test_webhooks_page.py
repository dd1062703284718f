"""The page about webhooks says what the code does."""

import re
import time
from pathlib import Path

import pytest

from app.config import Settings
from app.store import deliveries, webhooks
from app.store.deliveries import JOB_EVENTS
from app.webhooks import sending
from app.webhooks.retrying import LONGEST_REST, PAUSES
from app.webhooks.signing import TOLERANCE_SECONDS, new_secret, signed_headers

PAGE = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text()


def test_schedule_is_the_one_that_is_kept() -> None:
    words = {1: "s", 60: "min", 3600: "h"}

    def said(seconds: float) -> str:
        unit = max(each for each in words if seconds >= each)
        return f"{seconds / unit:g} {words[unit]}"

    *first, last = [said(each) for each in PAUSES]
    assert f"after {', '.join(first)} and {last}, each" in PAGE
    assert f"these {['nine', 'ten', 'eleven'][len(PAUSES) - 8]} attempts" in PAGE


@pytest.mark.parametrize(
    "said",
    [
        *(f"`{event}`" for event in JOB_EVENTS),
        f"at most {webhooks.MOST_WEBHOOKS} webhooks",
        f"over for {deliveries.KEPT_SECONDS / 86_400:g} days",
        f"for {deliveries.BOTH_SECRETS_SECONDS / 3600:g} hours",
        f"within {sending.TOTAL_SECONDS:g} seconds",
        f"< {TOLERANCE_SECONDS:g}",
        f"{LONGEST_REST:g} seconds at most",
        f"`WEBHOOK_SENDERS` ({Settings.model_fields['webhook_senders'].default})",
    ],
)
def test_figures_are_those_of_the_code(said: str) -> None:
    assert said in PAGE


def test_receiver_of_the_page_knows_what_is_genuine() -> None:
    [code] = [
        each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def is_genuine" in each
    ]
    names: dict = {}
    exec(code, names)
    old, new = new_secret(), new_secret()
    headers = signed_headers("msg_1", int(time.time()), b"{}", (new, old))
    assert [names["is_genuine"](b"{}", headers, each) for each in (old, new, new_secret())] == [
        True,
        True,
        False,
    ]
    assert not names["is_genuine"](b"{ }", headers, new)
    for name in headers:
        assert not names["is_genuine"](b"{}", {k: v for k, v in headers.items() if k != name}, new)
        for strange in ("", "ü", "\udcff", "\u0661", "9" * 5000):
            assert not names["is_genuine"](b"{}", headers | {name: strange}, new)
    late = signed_headers("msg_1", int(time.time()) - 301, b"{}", (new,))
    assert not names["is_genuine"](b"{}", late, new)
