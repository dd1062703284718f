"""Which code a report is about: what earlier runs saw says nothing about another."""

import importlib.metadata
import subprocess
from pathlib import Path

CHANGED = "-changed"


def code(root: Path = Path(__file__).parents[1]) -> str:
    """The commit that is checked out, marked where the tree differs from it; the package's version without Git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + CHANGED if _git(root, "status", "--porcelain") else commit
    except (OSError, subprocess.CalledProcessError):
        return importlib.metadata.version("metaselect")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
