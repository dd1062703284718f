"""What an answer must keep to: which configurations are out of the question, and why."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from app.errors import InvalidRequestError, NothingFeasibleError
from app.metalearning.portfolio import ALGORITHMS, Configuration, Size
from app.metalearning.table import FloatArray


@dataclass(frozen=True)
class Constraints:
    """Wishes that exclude; whatever is not given excludes nothing. Costs are those predicted for the dataset."""

    algorithms: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    without_algorithms: frozenset[str] = frozenset()
    without_families: frozenset[str] = frozenset()
    interpretable_only: bool = False
    max_fit_cpu_seconds: float | None = None
    max_predict_cpu_seconds_per_1000_rows: float | None = None
    max_memory_bytes: float | None = None

    def __post_init__(self) -> None:
        """Refuse names that there are not.

        Raises: InvalidRequestError.
        """
        families = {algorithm.family for algorithm in ALGORITHMS.values()}
        for name, known in (("algorithms", set(ALGORITHMS)), ("families", families)):
            for wish in (name, f"without_{name}"):
                if unknown := sorted(getattr(self, wish) - known):
                    near = difflib.get_close_matches(unknown[0], known, n=3) or sorted(known)
                    raise InvalidRequestError(
                        f"{wish} names {unknown[0][:100]!r}, which there is not.",
                        f"Known are: {', '.join(near)}.",
                    )


@dataclass(frozen=True)
class PredictedCosts:
    """What every configuration is expected to cost on the dataset, shape (configurations,) each."""

    fit_cpu_seconds: FloatArray
    predict_cpu_seconds_per_1000_rows: FloatArray
    memory_bytes: FloatArray


@dataclass(frozen=True)
class Feasible:
    """Indices of what may be recommended, and for everything else why not."""

    indices: list[int]
    excluded: dict[str, str] = field(default_factory=dict)


def feasible_among(
    configurations: Iterable[Configuration], size: Size, costs: PredictedCosts, constraints: Constraints
) -> Feasible:
    """What can run on such a dataset and keeps to the constraints.

    Raises: NothingFeasibleError, whose evidence tells how many configurations each reason excludes.
    """
    indices: list[int] = []
    excluded: dict[str, str] = {}
    causes: dict[str, int] = {}
    is_free = constraints == Constraints()
    for index, configuration in enumerate(configurations):
        # No evidence of a configuration that needs a GPU has been shipped yet, so none of these can be asked about here.
        reason = configuration.algorithm.requirements.why_not(size, gpu=False)
        cause = "the dataset"
        if reason is None and not is_free:
            cause, reason = _broken(configuration, constraints, costs, index)
        if reason is None:
            indices.append(index)
        else:
            excluded[configuration.id] = reason
            causes[cause] = causes.get(cause, 0) + 1
    if not indices:
        told = ", ".join(f"{cause} excludes {count}" for cause, count in causes.items())
        raise NothingFeasibleError(
            f"Nothing is left to recommend: {told} of {len(excluded)} configurations.",
            "Loosen one of the constraints.",
            excluded_by=causes,
        )
    return Feasible(indices, excluded)


def _broken(
    configuration: Configuration, constraints: Constraints, costs: PredictedCosts, index: int
) -> tuple[str, str | None]:
    """The first constraint that the configuration breaks, and how; the last is None where it breaks none."""
    algorithm = configuration.algorithm
    rules = (
        (
            "algorithms",
            constraints.algorithms and algorithm.name not in constraints.algorithms,
            "is not among the algorithms",
        ),
        (
            "families",
            constraints.families and algorithm.family not in constraints.families,
            "is not of the families",
        ),
        (
            "without_algorithms",
            algorithm.name in constraints.without_algorithms,
            "is an algorithm to leave out",
        ),
        ("without_families", algorithm.family in constraints.without_families, "is of a family to leave out"),
        (
            "interpretable_only",
            constraints.interpretable_only and not algorithm.interpretable,
            "is not interpretable",
        ),
    )
    for name, broken, reason in rules:
        if broken:
            return name, reason
    for each in fields(costs):
        name, most = f"max_{each.name}", getattr(constraints, f"max_{each.name}")
        predicted = float(getattr(costs, each.name)[index])
        if most is not None and predicted > most:
            return name, f"is expected to need {predicted:.3g} {each.name.replace('_', ' ')}"
    return "", None
