"""Where tasks keep files on their worker's disk: each attempt for itself, and what the next attempt may go on from.

`retention` removes what nobody needs any more.
"""

from collections.abc import Iterable
from pathlib import Path


def of_attempt(scratch_dir: Path, task_id: str, attempt: int) -> Path:
    """The folder of one attempt, gone when that ends."""
    return scratch_dir / f"{task_id}-{attempt}"


def kept(scratch_dir: Path, task_id: str) -> Path:
    """What lasts from one attempt at a task to the next on the same machine; gone an hour after it was last held, if not before."""
    return scratch_dir / f"{task_id}-kept"


def names(running: Iterable[tuple[str, int]]) -> set[str]:
    """How the folders of these attempts are called, and those of their tasks."""
    nowhere = Path()
    return {
        folder.name
        for task_id, attempt in running
        for folder in (of_attempt(nowhere, task_id, attempt), kept(nowhere, task_id))
    }
