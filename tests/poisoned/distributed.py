"""The distributed worker, poisoned: `celery -A tests.poisoned.distributed worker`."""

from tests.poisoned import poison

poison()

from workers.main import app  # noqa: E402  after its kinds of task were poisoned

__all__ = ["app"]
