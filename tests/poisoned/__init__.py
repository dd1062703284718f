"""A worker to which some jobs are poison: those whose request says which function of `tests.children` ends their tasks.

Everything else about it is the worker's own, and every other job is done in earnest.
"""

from app.config import pin_threads

pin_threads()

from collections.abc import Callable  # noqa: E402  threads are fixed before any numeric library loads
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from sqlalchemy.orm import Session  # noqa: E402

from app.config import Settings  # noqa: E402
from app.isolation import Limits  # noqa: E402
from app.store.tables import Job  # noqa: E402
from app.store.tasks import Claim  # noqa: E402
from workers.attempt import KINDS  # noqa: E402

WALL_SECONDS, MEMORY_BYTES = 8.0, 900 << 20
Loaded = tuple[str, dict[str, Any], Limits]


def poison() -> None:
    """Have this process's tasks ask their jobs for poison first."""
    for kind, module in KINDS.items():
        module.load = _or_poison(kind, module.load)


def _or_poison(kind: str, load: Callable[..., Loaded]) -> Callable[..., Loaded]:
    def load_or_poison(session: Session, held: Claim, folder: Path, settings: Settings) -> Loaded:
        function = session.get_one(Job, held.job_id).request.get("poison", {}).get(kind)
        if function is None:
            return load(session, held, folder, settings)
        return f"tests.children:{function}", {}, Limits(WALL_SECONDS, MEMORY_BYTES)

    return load_or_poison
