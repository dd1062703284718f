"""How large this process has been, also in one that measures several configurations one after another."""

import ctypes
import gc
from pathlib import Path

import psutil

_FORGET_PEAK = "5"  # see clear_refs in proc(5)


def resident_bytes() -> int:
    """How large the process is now."""
    return int(psutil.Process().memory_info().rss)


def peak_resident_bytes() -> int:
    """How large the process has been since its start, or since its peak was last forgotten."""
    with Path("/proc/self/status").open() as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def give_back() -> None:
    """Return free memory to the system, so that what comes next does not grow into it unseen."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; elsewhere freed memory counts as used
    if trim is not None:
        trim(0)


def forget_peak() -> bool:
    """Count the peak from here; false where the system does not let us."""
    try:
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True
