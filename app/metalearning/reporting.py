"""Whether reported scores can be true: known configurations, known metrics, each within its range."""

from collections.abc import Mapping, Sequence

from app.errors import InvalidRequestError, ScoreOutOfRangeError, UnknownConfigurationError
from app.metalearning.metrics import METRICS, Metric, check_metric
from app.metalearning.portfolio import CONFIGURATIONS, Configuration
from app.metalearning.table import TaskType


def configuration_for(name: str, task_type: TaskType) -> Configuration:
    """The configuration of this name, for this task type.

    Raises: UnknownConfigurationError.
    """
    found = CONFIGURATIONS.get(name)
    if found is None or found.task_type is not task_type:
        raise UnknownConfigurationError(
            f"There is no configuration {name[:100]!r} for {task_type}.", "GET /configurations lists them."
        )
    return found


def check_score(name: str, metric: Metric, score: float) -> None:
    """Refuse what the metric never is.

    Raises: ScoreOutOfRangeError.
    """
    if not metric.holds(score):
        low, high = sorted((metric.best, metric.worst))
        raise ScoreOutOfRangeError(
            f"{name} has {metric.name} {score:g}.", f"{metric.name} lies between {low:g} and {high:g}."
        )


def check_scores(
    task_type: TaskType, headline: Metric, told: Sequence[tuple[str, Mapping[str, float] | None]]
) -> dict[str, str]:
    """Configuration → fingerprint, of what is told of a dataset: scores by metric, or None where it failed.

    Args:
        task_type: of the dataset.
        headline: its metric, which ranking goes by.
        told: every configuration once.

    Raises: InvalidRequestError, of which unknown configurations, metrics and impossible scores are kinds.
    """
    fingerprints: dict[str, str] = {}
    for name, scores in told:
        configuration = configuration_for(name, task_type)
        if name in fingerprints:
            raise InvalidRequestError(f"{name} is told of twice.", "Report its mean, once.")
        fingerprints[name] = configuration.fingerprint
        for metric, score in (scores or {}).items():
            check_metric(metric, task_type)
            check_score(name, METRICS[metric], score)
        if scores is not None and headline.name not in scores:
            raise InvalidRequestError(
                f"{name} has no {headline.name}, which configurations are ranked by on such a dataset.",
                f"Report {headline.name} with it, or null where it failed.",
            )
    return fingerprints
