"""Fit the meta-learners on the meta-dataset, and write them as arrays that the API serves without a training library."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from rich.progress import track

from app.metalearning import metadataset
from app.metalearning.evidence import deal_folds
from app.metalearning.metadataset import TabularEvidence, compile_evidence
from app.metalearning.metafeatures import extract
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.table import TaskType
from workers.training import networks, proof, uncertainty
from workers.training.building import load_source, read_inventory
from workers.training.forests import train

DESCRIBING_SECONDS = 600.0  # nobody waits here: every metafeature is computed


def compile_metadataset(datasets: Path, parts: Path, folder: Path) -> None:
    """Gather the measured parts and the metafeatures of their datasets into the shipped files.

    What is shipped already stays, so that parts need not be kept; metafeatures are computed anew, they are cheap.
    """
    rows = {
        (row["dataset"], row["fingerprint"], row["protocol"]): row
        for path in (folder / "evaluations.parquet", *sorted(parts.glob("*.parquet")))
        for row in metadataset.read_evaluations(path)
    }
    current = {configuration.fingerprint for configuration in CONFIGURATIONS.values()}
    kept = [row for _, row in sorted(rows.items()) if row["fingerprint"] in current]
    metadataset.write_evaluations(kept, folder / "evaluations.parquet")
    measured = {row["dataset"] for row in kept}
    sources = [source for source in read_inventory(datasets) if source.name in measured]
    described = [
        {"dataset": source.name, **extract(load_source(source), DESCRIBING_SECONDS).values}
        for source in track(sources, "metafeatures")
    ]
    pa.parquet.write_table(
        pa.Table.from_pylist(described), folder / "metafeatures.parquet", compression="zstd"
    )


def folds_of(evidence: TabularEvidence) -> list[str]:
    """Which datasets are held out together."""
    return [str(fold) for fold in deal_folds(evidence.groups, proof.N_FOLDS)]


def prove_all(
    evidence: TabularEvidence,
    folds: Sequence[str | None],
    train: proof.Train,
    follow: Callable[[str], proof.Follow],
) -> dict[str, object]:
    """The report of meta-learners that are fitted on this evidence: regrets and calibration, groups held out.

    Args:
        evidence: what they are fitted on.
        folds: as in `proof.hold_out`.
        train: what `networks.training_of` gives.
        follow: tells of the progress of what it is handed the name of.
    """
    regrets = proof.hold_out(evidence, folds, train, follow(f"{evidence.task_type}, regret"))
    seen = uncertainty.hold_out(evidence, folds, follow(f"{evidence.task_type}, calibration"))
    return {**proof.summarise(evidence, regrets), "calibration": uncertainty.summarise(seen)}


def fit_metalearners(folder: Path) -> dict[str, dict[str, object]]:
    """Train on all datasets, prove on held-out groups, write `evidence-*.npz`, `trained-*.npz` and `meta-learners.json`."""
    report = {}
    for task_type in TaskType:
        evidence = compile_evidence(task_type, folder)
        evidence.save(folder / f"evidence-{task_type}.npz")
        train(evidence).save(folder / f"trained-{task_type}.npz")
        without_fold = networks.training_of(evidence, task_type, folder)
        report[str(task_type)] = prove_all(evidence, folds_of(evidence), without_fold, proof.shown)
    (folder / "meta-learners.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return report
