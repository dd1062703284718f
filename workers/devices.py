"""What a worker computes on: chosen at its start, one child at a time on each GPU."""

import subprocess
from dataclasses import dataclass

import structlog

from app.config import Settings

log = structlog.get_logger(__name__)

CPU = "cpu"
_SECONDS = 20.0  # a driver that wakes up takes its time
_ASK = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


@dataclass(frozen=True)
class Device:
    """A place for one child."""

    name: str  # `CPU`, or the GPU's as its driver calls it
    number: int | None = None  # of the GPU

    @property
    def environment(self) -> dict[str, str]:
        """What shows a child this GPU and no other, and one that has none no GPU at all."""
        return {"CUDA_VISIBLE_DEVICES": "" if self.number is None else str(self.number)}


def places(settings: Settings) -> list[Device]:
    """A place for every child that the worker may run at a time.

    A worker of the queue `gpu` has as many as there are GPUs, up to its slots. Where there is none it computes on the CPU,
    and says so: the same, slower.
    """
    if settings.worker_queue == "gpu" and settings.worker_device == "auto":
        gpus = places_of_gpus()
        if gpus:
            return gpus[: settings.worker_slots]
        log.warning("no_gpu", advice="Tasks of the queue `gpu` are computed on the CPU.")
    return [Device(CPU)] * settings.worker_slots


def places_of_gpus() -> list[Device]:
    """A place for each GPU of this machine."""
    return [Device(name, number) for number, name in enumerate(_gpus())]


def _gpus() -> list[str]:
    """The names of the GPUs that the driver tells of; none without a driver."""
    try:
        told = subprocess.run(  # noqa: S603  a fixed command
            _ASK, capture_output=True, text=True, check=True, timeout=_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]
