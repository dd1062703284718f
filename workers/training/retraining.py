"""Fit the meta-learners of one task type anew, on what ships and what was learned since, and prove them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.isolation import Report
from app.metalearning.knowledge import dump, load_trained
from app.metalearning.learned import grown, of_lines
from app.metalearning.metadataset import DATA_DIR, load_evidence
from app.metalearning.table import TaskType
from workers.training import networks
from workers.training.contract import KNOWLEDGE_FILE, LEARNED_FILE
from workers.training.fitting import folds_of, prove_all
from workers.training.forests import train
from workers.training.proof import Follow


def retrain(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Read what was learned, fit, hold the shipped groups out in turn, and write the knowledge to the task's folder.

    Networks stay those that ship: they know datasets by their metafeatures and results alone, old ones and new.

    The datasets that are held out are those that ship, always in the same folds: so the scores of all candidates that there
    ever were can be compared. What was learned teaches in every fold but those of its near-duplicates.

    Args:
        payload: `folder`, and `task_type`.
        report: told of every fold.

    Returns: the report of the proof.
    """
    folder = Path(payload["folder"])
    task_type = TaskType(payload["task_type"])
    shipped = load_evidence(task_type)
    evidence = grown(shipped, of_lines(json.loads((folder / LEARNED_FILE).read_text())))

    def follow(name: str) -> Follow:
        return lambda folds: _told(name, folds, report)

    folds: list[str | None] = [*folds_of(shipped), *[None] * (len(evidence.datasets) - len(shipped.datasets))]
    proven = prove_all(evidence, folds, networks.training_of(shipped, task_type, DATA_DIR), follow)
    trained = replace(train(evidence), networks=load_trained(task_type).networks)
    (folder / KNOWLEDGE_FILE).write_bytes(dump(evidence, trained, proven))
    return {"report": proven}


def _told(name: str, folds: list[str], report: Report) -> Iterator[str]:
    for done, fold in enumerate(folds):
        report({"kind": "progress", "phase": name, "done": done, "total": len(folds)})
        yield fold
