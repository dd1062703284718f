"""What the service knows of one task type: evidence, trained meta-learners, laws of cost; and how far it reaches."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from app.metalearning.costs import Costs, fit_costs
from app.metalearning.experience import FEWEST_METAFEATURES, Experience, unlike_any_known
from app.metalearning.metadataset import DATA_DIR, TabularEvidence, load_evidence
from app.metalearning.metafeatures import LEARNED
from app.metalearning.metalearners import all_metalearners
from app.metalearning.metalearners.hybrid import Hybrid
from app.metalearning.metalearners.trained import Trained
from app.metalearning.portfolio import Configuration, Size, find_configuration
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray, TaskType

_MOST_BEYOND = 4.0  # a size this many times larger than any known one is outside experience


@dataclass(frozen=True)
class Knowledge(Experience):
    """All that is needed to answer for one task type."""

    evidence: TabularEvidence
    costs: Costs

    @cached_property
    def hybrids(self) -> dict[str, Hybrid]:
        """The hybrid by metric: what its posterior expects are losses of that metric."""
        losses = self.evidence.losses.items()
        return {name: Hybrid(self.trained.forest, self.evidence.regret, values) for name, values in losses}

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        """What can be recommended, in the order of the evidence's columns."""
        return tuple(find_configuration(name) for name in self.evidence.configurations)


def load_knowledge(folder: Path = DATA_DIR) -> dict[TaskType, Knowledge]:
    """Read the shipped meta-dataset and meta-learners; no file of these is ever unpickled."""
    report = json.loads((folder / "meta-learners.json").read_text())
    version = _hash_of(folder)
    knowledge = {}
    for task_type in TaskType:
        evidence = load_evidence(task_type, folder)
        trained = Trained.load(folder / f"trained-{task_type}.npz")
        if (
            len(trained.forest.leaves) != len(evidence.datasets)
            or tuple(report[task_type]["configurations"]) != evidence.configurations
        ):
            raise RuntimeError(
                f"The meta-learners in {folder} were fitted on other evidence: metaselect metadataset fit"
            )
        knowledge[task_type] = Knowledge(
            evidence=evidence,
            learners=all_metalearners(evidence, trained),
            trained=trained,
            scale=QuantileScale(evidence.metafeatures),
            costs=fit_costs(evidence),
            report=report[task_type],
            version=version,
        )
    return knowledge


def outside_because(knowledge: Knowledge, vector: FloatArray) -> str | None:
    """In words, why there is no experience with such a dataset; None where there is."""
    if np.sum(~np.isnan(vector)) < FEWEST_METAFEATURES:
        return f"Fewer than {FEWEST_METAFEATURES} metafeatures are given."
    known = knowledge.evidence.metafeatures
    for name in ("nr_inst", "nr_attr", "nr_class"):
        index = LEARNED.index(name)
        if not np.isnan(vector[index]) and vector[index] > _MOST_BEYOND * np.nanmax(
            known[:, index], initial=1
        ):
            return f"{name} = {vector[index]:g} is far beyond every known dataset."
    return unlike_any_known(knowledge, vector)


def usual_size(vector: FloatArray) -> tuple[float, float, float]:
    """Rows, columns and classes, with common values for what is not given."""
    rows, columns, classes = (vector[LEARNED.index(name)] for name in ("nr_inst", "nr_attr", "nr_class"))
    return (
        1000.0 if math.isnan(rows) else float(rows),
        10.0 if math.isnan(columns) else float(columns),
        1.0 if math.isnan(classes) else float(classes),
    )


def known_size(vector: FloatArray) -> Size:
    """The size that the metafeatures tell; what they do not tell excludes nothing."""
    names = ("nr_inst", "nr_attr", "nr_class", "freq_class.min")
    rows, columns, classes, rarest = (
        None if math.isnan(value) else float(value)
        for value in (vector[LEARNED.index(name)] for name in names)
    )
    smallest = round(rows * rarest) if rows is not None and rarest is not None else None
    return Size(rows, columns, classes, smallest)


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".parquet", ".npz", ".json"}:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
