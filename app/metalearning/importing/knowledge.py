"""What was learned from an imported matrix, as arrays that are served without any training library."""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.metalearning.experience import Experience
from app.metalearning.importing.evidence import LossScale, as_evidence, measured_rows
from app.metalearning.importing.matrix import STATUSES, Measure, PerformanceMatrix
from app.metalearning.metalearners import all_metalearners
from app.metalearning.metalearners.trained import Trained
from app.metalearning.scaling import QuantileScale

FORMAT = 2
_NAMES = ("datasets", "algorithms", "feature_names", "groups")
_ARRAYS = ("performances", "statuses", "features", "feature_seconds", "seconds", "folds")


@dataclass(frozen=True)
class ImportedKnowledge(Experience):
    """All that is needed to answer from an imported meta-dataset."""

    matrix: PerformanceMatrix
    rows: list[int]  # of the matrix, one per dataset of the evidence
    losses: LossScale


@dataclass(frozen=True)
class Fitted:
    """What fitting adds to a matrix: the grown trees, the proof and the calibration."""

    trained: Trained
    report: dict[str, Any]


def dump(matrix: PerformanceMatrix, fitted: Fitted) -> bytes:
    """A file of named arrays (npz), of which one holds the names and the report as JSON text."""
    header = {
        "format": FORMAT,
        "measure": asdict(matrix.measure),
        "report": fitted.report,
        **{name: getattr(matrix, name) for name in _NAMES},
    }
    arrays = {name: getattr(matrix, name) for name in _ARRAYS}
    arrays |= fitted.trained.arrays()
    text = json.dumps(header, allow_nan=False).encode()
    file = io.BytesIO()
    np.savez_compressed(file, header=np.frombuffer(text, dtype=np.uint8), **arrays)
    return file.getvalue()


def summarise(matrix: PerformanceMatrix, fitted: Fitted) -> dict[str, Any]:
    """What is told of a meta-dataset without reading it: counts, names, and the proof."""
    runs = np.bincount(matrix.statuses.ravel(), minlength=len(STATUSES))
    return {
        "measure": asdict(matrix.measure),
        "datasets": len(matrix.datasets),
        "algorithms": list(matrix.algorithms),
        "metafeatures": list(matrix.feature_names),
        "runs": {status: int(count) for status, count in zip(STATUSES, runs, strict=True) if count},
        "report": fitted.report,
    }


def load(content: bytes) -> ImportedKnowledge:
    """Read what `dump` wrote, refusing anything but numbers."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            raise RuntimeError(f"The meta-dataset is stored in format {header['format']}: import it again.")
        parts: dict[str, Any] = {name: tuple(header[name]) for name in _NAMES}
        parts |= {name: arrays[name] for name in _ARRAYS}
        matrix = PerformanceMatrix(measure=Measure(**header["measure"]), **parts)
        trained = Trained.of_arrays(arrays)
    evidence = as_evidence(matrix)
    return ImportedKnowledge(
        evidence=evidence,
        learners=all_metalearners(evidence, trained),
        trained=trained,
        scale=QuantileScale(evidence.metafeatures),
        report=header["report"],
        version=hashlib.sha256(content).hexdigest()[:12],
        matrix=matrix,
        rows=measured_rows(matrix),
        losses=LossScale.of(matrix),
    )
