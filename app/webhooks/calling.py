"""The part of the Python client that is about webhooks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Answer = dict[str, Any]


@dataclass(frozen=True)
class Webhooks:
    """What `Client.webhooks` offers. Receivers verify what comes by `app.webhooks.signing.verify`.

    Every method raises `ProblemError` where the service refuses.
    """

    _call: Callable[..., Answer]
    _create: Callable[..., Answer]
    _pages: Callable[..., Iterator[Answer]]

    def register(self, url: str, **wishes: Any) -> Answer:
        """Have this address told of the end of every job; the answer holds the `secret`, once.

        `wishes` are `events` (a list of types) and `description`.
        """
        return self._create("/webhooks", json={"url": url, **wishes})

    def list(self) -> Iterator[Answer]:
        """All webhooks, newest first, page by page."""
        return self._pages("/webhooks")

    def get(self, webhook_id: str) -> Answer:
        """One webhook."""
        return self._call("GET", f"/webhooks/{webhook_id}")

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook with its deliveries."""
        self._call("DELETE", f"/webhooks/{webhook_id}")

    def rotate_secret(self, webhook_id: str) -> Answer:
        """Make a new `secret`; for a day messages are signed with the one before too."""
        return self._create(f"/webhooks/{webhook_id}/secret")

    def test(self, webhook_id: str) -> Answer:
        """Send a message that tells of nothing."""
        return self._create(f"/webhooks/{webhook_id}/test")

    def deliveries(self, webhook_id: str) -> Iterator[Answer]:
        """What the webhook was told, newest first, page by page."""
        return self._pages(f"/webhooks/{webhook_id}/deliveries")

    def retry(self, webhook_id: str, delivery_id: str) -> Answer:
        """Send a message again, under its id."""
        return self._call("POST", f"/webhooks/{webhook_id}/deliveries/{delivery_id}/retry")
