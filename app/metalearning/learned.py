"""Evidence that grew: datasets of which a few results came in since, beside those on which everything was tried.

What others of the configurations would have reached there nobody knows, so a few good ones must not pass for all: the best and
the median of the dataset are inferred from its results, by the posterior that the complete datasets give. Regrets are in
that unit, and what was not tried stays a gap.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from app.metalearning.baselines import WORST_REGRET, normalised_regret
from app.metalearning.experience import FEWEST_METAFEATURES, LARGEST_LOSS
from app.metalearning.metadataset import TabularEvidence
from app.metalearning.metafeatures import as_vector
from app.metalearning.metrics import Metric, headline_metric, loss_scale, metrics_of
from app.metalearning.posterior import Prior, Profiles
from app.metalearning.scaling import groups_with_more
from app.metalearning.table import FloatArray, TaskType

# Fewer scores say nothing of which configuration is better than which others.
FEWEST_SCORES = 3
_LEAST_GAP = 0.005


@dataclass(frozen=True)
class LearnedDataset:
    """A dataset that results came from: its description, and the scores of what was measured on it."""

    task_type: TaskType
    n_classes: int
    target_sd: float | None
    metafeatures: Mapping[str, float | None]
    scores: Mapping[str, Mapping[str, float] | None]  # configuration → metric → score; None where it failed

    @property
    def key(self) -> str:
        """The same of what describes the same dataset; answers must not quote it, since it tells who was learned from."""
        known = sorted((name, value) for name, value in self.metafeatures.items() if value is not None)
        return hashlib.sha256(repr((known, self.target_sd)).encode()).hexdigest()

    def teaches(self, configurations: Sequence[str]) -> bool:
        """Whether it is described well enough, and enough of these configurations have the loss that ranking goes by."""
        losses = self.losses(headline_metric(self.task_type, self.n_classes), configurations)
        n_metafeatures = np.sum(~np.isnan(as_vector(self.metafeatures, self.task_type)))
        return bool(n_metafeatures >= FEWEST_METAFEATURES and np.sum(~np.isnan(losses)) >= FEWEST_SCORES)

    def losses(self, metric: Metric, configurations: Sequence[str]) -> FloatArray:
        """Loss of every configuration, shape (C,), NaN where it failed or nobody tried; the useless are all alike."""
        entropy_bits = self.metafeatures.get("class_ent") or 0.0
        entropy = math.log(2) * entropy_bits if entropy_bits > 0 else math.log(max(2, self.n_classes))
        scale = loss_scale(metric, target_sd=self.target_sd or math.nan, prior_entropy=entropy)
        scores = [(self.scores.get(name) or {}).get(metric.name) for name in configurations]
        losses = metric.loss(np.array([np.nan if each is None else each for each in scores]), scale)
        return np.minimum(losses, LARGEST_LOSS)


def grown(evidence: TabularEvidence, learned: Sequence[LearnedDataset]) -> TabularEvidence:
    """The evidence with these datasets behind its own.

    Args:
        evidence: datasets on which every configuration was tried.
        learned: what teaches (`LearnedDataset.teaches`). A group that they form with known datasets is called after those.

    Raises: ValueError where one of them teaches nothing: it would pass for complete, and for failed throughout.
    """
    if not learned:
        return evidence
    configurations = evidence.configurations
    if not all(each.teaches(configurations) for each in learned):
        raise ValueError("some datasets have too few metafeatures, or too few losses of these configurations")
    task_type = evidence.task_type
    headline = np.stack(
        [each.losses(headline_metric(task_type, each.n_classes), configurations) for each in learned]
    )
    ranges = infer_ranges(evidence.headline_losses, headline)
    tried = np.array([[name in each.scores for name in configurations] for each in learned])
    regret = np.where(tried, _regret(headline, ranges), np.nan)
    vectors = np.stack([as_vector(each.metafeatures, task_type) for each in learned])
    metafeatures = np.concatenate([evidence.metafeatures, vectors])
    names = tuple(f"learned-{number}" for number in range(1, len(learned) + 1))
    seen = np.full((len(evidence.datasets), 2), np.nan)
    return replace(
        evidence,
        datasets=evidence.datasets + names,
        groups=tuple(groups_with_more(metafeatures, evidence.groups, names)),
        metafeatures=metafeatures,
        losses={
            metric.name: np.concatenate(
                [
                    evidence.losses[metric.name],
                    np.stack([each.losses(metric, configurations) for each in learned]),
                ]
            )
            for metric in metrics_of(task_type)
        },
        curves={name: _with_gaps(values, len(learned)) for name, values in evidence.curves.items()},
        headline_losses=np.concatenate([evidence.headline_losses, headline]),
        headline_losses_a=np.concatenate([evidence.headline_losses_a, headline]),
        headline_losses_b=np.concatenate([evidence.headline_losses_b, headline]),
        regret=np.concatenate([evidence.regret, regret]),
        regret_b=np.concatenate([evidence.regret_b, regret]),
        inferred_ranges=np.concatenate([seen, ranges]),
        # Costs are learned where they were measured under one protocol on one kind of machine.
        predict_seconds=_with_gaps(evidence.predict_seconds, len(learned)),
        memory_bytes=_with_gaps(evidence.memory_bytes, len(learned)),
        fit_seconds=_with_gaps(evidence.fit_seconds, len(learned)),
    )


def _with_gaps(values: FloatArray, n_rows: int) -> FloatArray:
    """So many more datasets of which nobody knows."""
    return np.concatenate([values, np.full((n_rows, *values.shape[1:]), np.nan)])


def infer_ranges(complete: FloatArray, partial: FloatArray) -> FloatArray:
    """The least and the median loss that all configurations would have had on datasets of which few were tried.

    Args:
        complete: losses on D datasets on which all were tried, shape (D, C), NaN for failures.
        partial: losses on L others, shape (L, C), NaN where a configuration failed or nobody tried.

    Returns: shape (L, 2), NaN where fewer than `FEWEST_SCORES` have a loss.
    """
    profiles = Profiles(complete, np.full(complete.shape, True))
    prior = Prior.of(profiles, np.full(len(complete), 1 / len(complete)))
    ranges = np.full((len(partial), 2), np.nan)
    for row, losses in enumerate(partial):
        known = np.flatnonzero(~np.isnan(losses))
        if len(known) >= FEWEST_SCORES:
            posterior = prior.condition({int(index): float(losses[index]) for index in known})
            expected = posterior.losses
            expected[known] = losses[known]
            ranges[row] = expected.min(), np.median(expected)
    return ranges


def seen_by(evidence: TabularEvidence, metric: Metric, *, keeps_regret: bool) -> TabularEvidence:
    """The evidence by one metric: its losses are the headline losses, and regret is that of them unless it is kept.

    Datasets of which few were tried, and fewer by this metric, teach nothing.
    """
    losses, inferred = evidence.losses[metric.name], evidence.inferred_ranges
    partial = np.full(len(losses), False) if inferred is None else ~np.isnan(inferred[:, 0])
    regret = evidence.regret.copy()
    if not keeps_regret:
        regret[~partial] = normalised_regret(losses[~partial], np.zeros(np.sum(~partial)))
    if inferred is not None:
        ranges = infer_ranges(losses[~partial], losses[partial])
        inferred = inferred.copy()
        inferred[partial] = ranges
        untold = np.isnan(losses[partial]) & ~np.isnan(evidence.headline_losses[partial])
        teaches = ~np.isnan(regret[partial]) & ~untold & ~np.isnan(ranges[:, :1])
        regret[partial] = np.where(teaches, _regret(losses[partial], ranges), np.nan)
    return replace(evidence, headline_losses=losses, regret=regret, inferred_ranges=inferred)


def _regret(losses: FloatArray, ranges: FloatArray) -> FloatArray:
    """Normalised regret within inferred ranges, 2 for failures."""
    best, median = ranges.T[:, :, None]
    gap = np.maximum(median - best, _LEAST_GAP)
    return np.where(np.isnan(losses), WORST_REGRET, np.clip((losses - best) / gap, 0.0, WORST_REGRET))


def as_lines(learned: Sequence[LearnedDataset]) -> list[dict[str, object]]:
    """What JSON holds of them, always in the same order."""
    return [asdict(each) for each in sorted(learned, key=lambda each: each.key)]


def of_lines(lines: Sequence[Mapping[str, object]]) -> list[LearnedDataset]:
    """The inverse of `as_lines`."""
    return [LearnedDataset(**{**line, "task_type": TaskType(str(line["task_type"]))}) for line in lines]  # type: ignore[arg-type]
