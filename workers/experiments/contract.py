"""What experiments promise those who start them: names and limits, without a learning library.

Supervisors know this and nothing more of experiments, so that a worker is up long before its forkserver is warm.
"""

import importlib.util

from app.errors import ServiceError
from app.isolation import Limits
from app.metalearning import protocol
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.portfolio.expressions import imports

PREDICTIONS_FILE = "predictions.npz"  # what an experiment leaves in its task's folder
ARTIFACT_FILE, SCRIPT_FILE = "model.skops", "script.py"  # what stacking leaves there
ONNX_FILE = "model.onnx"  # what exporting leaves there
ANSWER_FILE = "answer.json"  # what predicting leaves there


class NotApplicableError(ServiceError):
    """The algorithm's own rules leave this dataset out; nothing was tried."""

    status, code, title = 422, "not_applicable", "Configuration not applicable"


def limits(memory_bytes: int, wall_seconds: float = float("inf")) -> Limits:
    """The limits of one experiment: protocol 1's for every fit, the caller's for the whole."""
    return Limits(
        wall_seconds=wall_seconds,
        memory_bytes=memory_bytes,
        fit_cpu_seconds=protocol.FIT_CPU_SECONDS,
        fit_wall_seconds=protocol.FIT_WALL_SECONDS,
    )


def libraries() -> list[str]:
    """The installed modules that the portfolio's pipelines come from, for a forkserver to import before its children."""
    names = {line.split()[1] for each in CONFIGURATIONS.values() for line in imports(each.pipeline)}
    return sorted(name for name in names if importlib.util.find_spec(name.partition(".")[0]))
