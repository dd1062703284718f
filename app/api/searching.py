"""Beginning a search: what it may try on this dataset, and what it tries first."""

import difflib
from typing import Any

from sqlalchemy.orm import Session

from app.api.asking import SearchRequest
from app.api.dependencies import Service
from app.api.described import description_of
from app.errors import InvalidRequestError, NoGpuWorkerError, NothingFeasibleError
from app.metalearning import protocol
from app.metalearning.constraints import Constraints
from app.metalearning.knowledge import known_size
from app.metalearning.metafeatures import as_vector
from app.metalearning.metrics import requested_metric
from app.metalearning.portfolio import ALGORITHMS
from app.metalearning.recommendation import Candidate, Question, recommend
from app.metalearning.search import Spaces, Wishes, as_wishes, lies_in, spaces_of
from app.metalearning.table import TaskType
from app.store import datasets, searches, workers
from app.store.tables import Dataset, Job

_N_RECOMMENDED = 10  # of which those come first that lie in the space


def begin_search(
    service: Service, session: Session, owner: str, request: SearchRequest, origin: dict[str, Any]
) -> Job:
    """Write the search that is asked for.

    Raises: DatasetNotFoundError, DatasetExpiredError, JobNotFoundError, SearchUnderWayError, SearchSpaceError,
        InvalidRequestError, UnknownMetricError, NothingFeasibleError, NoGpuWorkerError, MetafeatureVersionError.
    """
    if request.extends is not None:
        before = searches.to_extend(session, owner, request.extends)
        dataset = datasets.get(session, owner, before.dataset_id or "", lock=True)
        wishes = {name: value for name, value in before.request.items() if name in _INHERITED}
        _check_gpu(wishes["algorithms"], workers.has_gpu(session))
    else:
        dataset = datasets.get(session, owner, request.dataset_id or "", lock=True)
        wishes = _wishes(service, session, dataset, request)
    request.stack.check(dataset)
    return searches.begin(
        session,
        owner=owner,
        dataset_id=dataset.id,
        request={
            **wishes,
            "trials": request.trials,
            "extends": request.extends,
            "stack": request.stack.model_dump(),
        },
        time_budget_seconds=request.time_budget_seconds,
        origin=origin,
    )


_INHERITED = (
    *("method", "algorithms", "space", "metric", "warm_start", "parallel", "grid_points", "seed"),
    *("recommended", "expected_trial_seconds"),
)


def _wishes(service: Service, session: Session, dataset: Dataset, request: SearchRequest) -> dict[str, Any]:
    """What the search is to do, settled once for all of its trials."""
    task_type = TaskType(dataset.task_type)
    space = {
        algorithm: {name: each.model_dump(exclude_none=True) for name, each in ranges.items()}
        for algorithm, ranges in request.space.items()
    }
    algorithms = _algorithms(session, dataset, request.algorithms)
    ranges = as_wishes(space)
    spaces = spaces_of(algorithms, task_type, ranges)
    metric = requested_metric(request.metric, task_type, len(dataset.classes))
    candidates = _candidates(service, dataset, request.metric, algorithms)
    return {
        "method": str(request.method),
        "algorithms": algorithms,
        "space": space,
        "metric": metric.name,
        "warm_start": request.warm_start,
        "parallel": request.parallel,
        "grid_points": request.grid_points,
        "seed": request.seed,
        "recommended": _inside(candidates, spaces, ranges) if request.warm_start else [],
        "expected_trial_seconds": _cheapest(candidates, dataset.n_rows),
    }


def _algorithms(session: Session, dataset: Dataset, named: list[str] | None) -> list[str]:
    """The algorithms that are named, or all that fit.

    Raises: InvalidRequestError, NothingFeasibleError, NoGpuWorkerError.
    """
    task_type, metafeatures = description_of(dataset)
    known = {name for name, each in ALGORITHMS.items() if task_type in each.task_types}
    for name in named or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or sorted(known)
            raise InvalidRequestError(
                f"algorithms names {name[:100]!r}, which there is not for {task_type}.",
                f"Known are: {', '.join(near)}.",
            )
    size = known_size(as_vector(metafeatures, task_type))
    gpu = workers.has_gpu(session)
    _check_gpu(named or [], gpu)
    excluded = {name: ALGORITHMS[name].requirements.why_not(size, gpu=gpu) for name in named or sorted(known)}
    for name in named or ():
        if excluded[name] is not None:
            raise NothingFeasibleError(
                f"{name} {excluded[name]}.", "Name other algorithms.", excluded_by={name: 1}
            )
    return [name for name, reason in excluded.items() if reason is None]


def _check_gpu(algorithms: list[str], gpu: bool) -> None:
    for name in algorithms:
        if ALGORITHMS[name].requirements.gpu and not gpu:
            raise NoGpuWorkerError(
                f"{name} can be measured only where there is a GPU, and no worker with one is running.",
                "Start a worker with WORKER_QUEUE=gpu and the extra `deep`, or name other algorithms.",
            )


def _candidates(
    service: Service, dataset: Dataset, metric: str | None, algorithms: list[str]
) -> tuple[Candidate, ...]:
    """What is recommended among the algorithms; nothing where no evidence speaks of any of them."""
    task_type, metafeatures = description_of(dataset)
    question = Question(
        task_type,
        metafeatures,
        metric=metric,
        k=_N_RECOMMENDED,
        target_sd=dataset.target_sd,
        constraints=Constraints(algorithms=frozenset(algorithms)),
        explain=False,
    )
    try:
        return recommend(service.knowledge[task_type], question).candidates
    except NothingFeasibleError:
        return ()


def _inside(candidates: tuple[Candidate, ...], spaces: Spaces, wishes: Wishes) -> list[str]:
    """Names of those that the space holds."""
    found = []
    for each in candidates:
        algorithm = each.configuration.algorithm.name
        if lies_in(spaces[algorithm], wishes.get(algorithm, {}), each.configuration.hyperparameters):
            found.append(each.configuration.id)
    return found


def _cheapest(candidates: tuple[Candidate, ...], n_rows: int) -> float | None:
    """CPU seconds that the quickest of what is recommended is expected to take for all of its fits."""
    fits = protocol.n_folds(min(n_rows, protocol.MOST_ROWS))
    return min((fits * each.fit_cpu_seconds for each in candidates), default=None)
