"""What the service knows of one task type: evidence, trained meta-learners, laws of cost; and how far it reaches."""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.costs import Costs, fit_costs
from app.metalearning.experience import FEWEST_METAFEATURES, Experience, unlike_any_known
from app.metalearning.learned import seen_by
from app.metalearning.metadataset import DATA_DIR, TabularEvidence, load_evidence
from app.metalearning.metafeatures import LEARNED
from app.metalearning.metalearners import all_metalearners
from app.metalearning.metalearners.networks import Networks
from app.metalearning.metalearners.trained import Trained
from app.metalearning.metrics import Metric
from app.metalearning.portfolio import Configuration, Size, find_configuration
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray, TaskType

FORMAT = 2  # since the second there are networks in it
_EVIDENCE, _TRAINED = "evidence_", "trained_"  # how the arrays of each are called in a file
_VERSION = 12  # characters
_USUAL_REGRET = 1.0  # where nobody tried
_MOST_BEYOND = 4.0  # a size this many times larger than any known one is outside experience


class OutdatedKnowledgeError(RuntimeError):
    """Another version of the service wrote it, in a format that this one does not read."""


@dataclass(frozen=True)
class Knowledge(Experience):
    """All that is needed to answer for one task type."""

    evidence: TabularEvidence
    costs: Costs

    def by(self, metric: Metric, headline: Metric) -> "Knowledge":
        """The same, ranking by this metric; what trees learned of configurations they learned by the headline metrics.

        Args:
            metric: what is asked for.
            headline: of the dataset that is asked about. By that one regrets are those that the proof is about.
        """
        key = (metric.name, metric is headline)
        if key not in self._by_metric:
            evidence = seen_by(self.evidence, metric, keeps_regret=metric is headline)
            learners = all_metalearners(evidence, self.trained)
            self._by_metric[key] = replace(self, evidence=evidence, learners=learners)
        return self._by_metric[key]

    @cached_property
    def _by_metric(self) -> dict[tuple[str, bool], "Knowledge"]:
        return {}

    def regret_at_nodes(self, configuration: int) -> FloatArray:
        """The configuration's mean regret at every node of the forest, shape (nodes,); few are ever asked about."""
        if configuration not in self._regret_at_nodes:
            regret = np.nan_to_num(self.evidence.regret[:, configuration], nan=_USUAL_REGRET)
            self._regret_at_nodes[configuration] = self.trained.forest.node_means(regret)
        return self._regret_at_nodes[configuration]

    @cached_property
    def _regret_at_nodes(self) -> dict[int, FloatArray]:
        return {}

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        """What can be recommended, in the order of the evidence's columns."""
        return tuple(find_configuration(name) for name in self.evidence.configurations)


def load_knowledge(folder: Path = DATA_DIR) -> dict[TaskType, Knowledge]:
    """Read the shipped meta-dataset and meta-learners; no file of these is ever unpickled."""
    report = json.loads((folder / "meta-learners.json").read_text())
    version = shipped_version(folder)
    return {
        each: _assembled(load_evidence(each, folder), load_trained(each, folder), report[each], version)
        for each in TaskType
    }


def load_trained(task_type: TaskType, folder: Path = DATA_DIR) -> Trained:
    """What was trained on the meta-dataset in a folder: trees and networks."""
    trained = Trained.load(folder / f"trained-{task_type}.npz")
    return replace(trained, networks=Networks.load(networks_path(task_type, folder)))


def networks_path(task_type: TaskType, folder: Path = DATA_DIR) -> Path:
    """Where the networks of the meta-dataset in a folder are."""
    return folder / f"networks-{task_type}.npz"


def dump(evidence: TabularEvidence, trained: Trained, report: dict[str, Any]) -> bytes:
    """Knowledge of one task type as a file of named arrays (npz), of which one holds the report as JSON text."""
    text = json.dumps({"format": FORMAT, "task_type": evidence.task_type, "report": report}, allow_nan=False)
    arrays = {f"{_EVIDENCE}{name}": values for name, values in evidence.arrays().items()}
    arrays |= {f"{_TRAINED}{name}": values for name, values in trained.arrays().items()}
    file = io.BytesIO()
    np.savez_compressed(file, header=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
    return file.getvalue()


def read(content: bytes) -> Knowledge:
    """Read what `dump` wrote, refusing anything but numbers and names.

    Raises: OutdatedKnowledgeError; RuntimeError where the parts do not belong together.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            raise OutdatedKnowledgeError(
                f"The meta-learners are stored in format {header['format']}: retrain them."
            )
        evidence = TabularEvidence.of_arrays(_beginning(_EVIDENCE, arrays), TaskType(header["task_type"]))
        trained = Trained.of_arrays(_beginning(_TRAINED, arrays))
    return _assembled(evidence, trained, header["report"], version_of(hashlib.sha256(content).hexdigest()))


def version_of(content_hash: str) -> str:
    """How answers quote knowledge with this hash."""
    return content_hash[:_VERSION]


def shipped_report(task_type: TaskType, folder: Path = DATA_DIR) -> dict[str, Any]:
    """The proof and the calibration of the shipped meta-learners."""
    report: dict[str, Any] = json.loads((folder / "meta-learners.json").read_text())[task_type]
    return report


def _beginning(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def _assembled(
    evidence: TabularEvidence, trained: Trained, report: dict[str, Any], version: str
) -> Knowledge:
    """Raises: RuntimeError where the parts do not belong together."""
    fitted_on = (len(trained.forest.leaves), tuple(report["configurations"]))
    if fitted_on != (len(evidence.datasets), evidence.configurations):
        raise RuntimeError("The meta-learners were fitted on other evidence: metaselect metadataset fit")
    networks = trained.networks
    if networks is not None and networks.configurations != evidence.configurations:
        raise RuntimeError(
            "The networks were trained on other evidence: metaselect metadataset train-networks"
        )
    return Knowledge(
        evidence=evidence,
        learners=all_metalearners(evidence, trained),
        trained=trained,
        scale=QuantileScale(evidence.metafeatures),
        costs=fit_costs(evidence),
        report=report,
        version=version,
    )


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


@cache
def shipped_version(folder: Path = DATA_DIR) -> str:
    """Of what ships: the hash of its files, which nobody changes under a process that asked."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".parquet", ".npz", ".json"}:
            digest.update(path.name.encode() + path.read_bytes())
    return version_of(digest.hexdigest())
