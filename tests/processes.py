"""What tests ask about processes that may end while they are asked about."""

from collections.abc import Iterable

import psutil


def lives(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie has ended, only nobody has asked how."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def commanded(words: str, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run and whose command line holds `words`."""
    return [process for process in processes if lives(process) and words in _command(process)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
