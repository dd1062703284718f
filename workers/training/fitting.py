"""Fit the meta-learners on the meta-dataset, and write them as arrays that the API serves without a training library."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from rich.progress import track
from sklearn.ensemble import ExtraTreesRegressor

from app.metalearning import metadataset
from app.metalearning.evidence import Evidence
from app.metalearning.experience import LARGEST_LOSS
from app.metalearning.metadataset import load_evidence
from app.metalearning.metafeatures import extract
from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.table import FloatArray, TaskType
from workers.training import proof
from workers.training.building import load_source, read_inventory

N_TREES = 300
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


def fit_metalearners(folder: Path) -> dict[str, dict[str, object]]:
    """Fit on all datasets, prove on held-out groups, write `forest-*.npz` and `meta-learners.json`."""
    report = {}
    for task_type in TaskType:
        evidence = load_evidence(task_type, folder)
        fit_forest(evidence.metafeatures, evidence.regret).save(folder / f"forest-{task_type}-regret.npz")
        fit_level_forest(evidence).save(folder / f"forest-{task_type}-level.npz")
        report[str(task_type)] = proof.prove(evidence, fit_forest, fit_level_forest, task_type)
    (folder / "meta-learners.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return report


def fit_level_forest(evidence: Evidence) -> ForestArrays:
    """A forest whose leaves hold datasets on which the same configurations reach the same losses."""
    losses = np.minimum(evidence.headline_losses, LARGEST_LOSS)
    middle = np.nanmedian(losses, axis=1, keepdims=True)
    return fit_forest(evidence.metafeatures, np.where(np.isnan(losses), middle, losses))


def fit_forest(metafeatures: FloatArray, targets: FloatArray) -> ForestArrays:
    """Grow extremely randomised trees for all targets at once, and flatten them.

    Args:
        metafeatures: shape (datasets, metafeatures), NaN where missing.
        targets: shape (datasets, configurations), NaN where nobody tried.
    """
    with np.errstate(all="ignore"):
        known = ~np.isnan(metafeatures)
        fill = np.array(
            [
                np.median(column[here]) if here.any() else 0.0
                for column, here in zip(metafeatures.T, known.T, strict=True)
            ]
        )
    filled = np.where(known, metafeatures, fill).astype(np.float32)
    targets = _without_gaps(targets)
    forest = ExtraTreesRegressor(
        N_TREES, min_samples_leaf=3, max_features=0.4, bootstrap=False, random_state=0, n_jobs=1
    ).fit(filled, targets)
    sizes = [tree.tree_.node_count for tree in forest.estimators_]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def nodes(name: str) -> FloatArray:
        return np.concatenate([getattr(tree.tree_, name) for tree in forest.estimators_])

    def children(name: str) -> FloatArray:
        return np.concatenate(
            [
                getattr(tree.tree_, name) + offset
                for tree, offset in zip(forest.estimators_, offsets, strict=True)
            ]
        )

    is_leaf = nodes("children_left") == -1
    return ForestArrays(
        roots=offsets.astype(np.int32),
        feature=np.where(is_leaf, -1, nodes("feature")).astype(np.int32),
        threshold=nodes("threshold"),
        left=np.where(is_leaf, 0, children("children_left")).astype(np.int32),
        right=np.where(is_leaf, 0, children("children_right")).astype(np.int32),
        fill=fill,
        leaves=(forest.apply(filled) + offsets).astype(np.int32),
    )


def _without_gaps(targets: FloatArray) -> FloatArray:
    """Targets in which a gap is what dataset and configuration let expect: trees that split by it learn nothing new."""
    known = ~np.isnan(targets)
    if known.all():
        return targets
    middle = targets[known].mean()
    counts = np.maximum(known.sum(axis=0), 1)
    columns = np.where(known.any(axis=0), np.where(known, targets, 0.0).sum(axis=0) / counts, middle)
    rest = np.where(known, targets - columns, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, targets, columns + rest[:, None])
