"""Which configurations a search tries next, as a child works it out."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from app.isolation import Report
from app.metalearning.portfolio import CONFIGURATIONS, Configuration, configuration_with
from app.metalearning.search import Method, as_wishes, spaces_of
from app.metalearning.table import TaskType
from workers.experiments.search import halving
from workers.experiments.search.bayesian import gp, tpe
from workers.experiments.search.history import History, Point, Sampler, Seen
from workers.experiments.search.sampling import Grid, at_random

RECOMMENDED = "recommended"  # the source of a trial that the search's own method did not choose


def propose(payload: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001  too quick to tell of
    """The next trials of a search: what is recommended first, then what its method chooses.

    Args:
        payload: of the search `task_type`, `method`, `algorithms`, `space` (wishes), `seed`, `parallel`, `grid_points` and
            `recommended` (names of configurations); `known`, what was measured before it began, and `trials`, each with
            `algorithm`, `hyperparameters` and `loss` (null without a score), the latter with their `number` and in its
            order; and how many to `propose`.
        report: not told of anything.

    Returns: `proposals`, each with `number`, `algorithm`, `hyperparameters` and `source`, and whether the space is
        `exhausted`: nothing was left that was not tried, so there are fewer than were asked for.
    """
    task_type = TaskType(payload["task_type"])
    spaces = spaces_of(payload["algorithms"], task_type, as_wishes(payload["space"]))
    sampler = sampler_of(payload)
    known = [_seen(each, task_type) for each in payload["known"]]
    trials = {int(each["number"]): _seen(each, task_type) for each in payload["trials"]}
    tried = {_content(each.configuration) for each in (*known, *trials.values())}
    first = max(trials, default=-1) + 1
    proposals: list[dict[str, Any]] = []
    for number in range(first, first + payload["propose"]):
        latest = number - payload["parallel"]
        ended = [each for earlier, each in trials.items() if earlier <= latest]
        pending = tuple(each.configuration for earlier, each in trials.items() if earlier > latest)
        wanted = _wanted(
            payload["recommended"],
            sampler,
            History(spaces, (*known, *ended), pending),
            np.random.default_rng([payload["seed"], number]),
        )
        chosen = _first_new(wanted, task_type, tried)
        if chosen is None:
            break
        configuration, is_recommended = chosen
        trials[number] = Seen(configuration, None)
        tried.add(_content(configuration))
        proposals.append(
            {
                "number": number,
                "algorithm": configuration.algorithm.name,
                "hyperparameters": configuration.hyperparameters,
                "source": RECOMMENDED if is_recommended else payload["method"],
                **_bracket(payload["method"], number),
            }
        )
    return {"proposals": proposals, "exhausted": len(proposals) < payload["propose"]}


def sampler_of(payload: dict[str, Any]) -> Sampler:
    """How a search chooses; those that give trials up halfway choose at random."""
    samplers: dict[Method, Sampler] = {Method.TPE: tpe, Method.GP: gp}
    method = Method(payload["method"])
    if method is Method.GRID:
        return Grid(payload["grid_points"], payload["seed"])
    return samplers.get(method, at_random)


def _wanted(
    recommended: list[str], sampler: Sampler, history: History, random: np.random.Generator
) -> Iterator[tuple[Point, bool]]:
    """Points with whether they are recommended."""
    for name in recommended:
        if name not in CONFIGURATIONS:
            continue  # of a portfolio that was
        configuration = CONFIGURATIONS[name]
        yield Point(configuration.algorithm.name, configuration.hyperparameters), True
    for point in sampler(history, random):
        yield point, False


def _first_new(
    wanted: Iterator[tuple[Point, bool]], task_type: TaskType, tried: set[str]
) -> tuple[Configuration, bool] | None:
    for point, is_recommended in wanted:
        configuration = configuration_with(point.algorithm, task_type, point.hyperparameters)
        if _content(configuration) not in tried:
            return configuration, is_recommended
    return None


def _content(configuration: Configuration) -> str:
    """The same for all that means the same: a hyperparameter that is left out has the library's own value."""
    algorithm = configuration.algorithm
    effective = algorithm.space(configuration.task_type).effective(configuration.hyperparameters)
    told = {name: float(value) if type(value) is int else value for name, value in effective.items()}
    return f"{algorithm.name} {json.dumps(told, sort_keys=True)}"


def _bracket(method: str, number: int) -> dict[str, int]:
    """Where a trial may be given up: ASHA is Hyperband's first bracket."""
    brackets = {Method.ASHA: 0, Method.HYPERBAND: halving.bracket_of(number)}
    return {"bracket": brackets[Method(method)]} if method in brackets else {}


def _seen(trial: dict[str, Any], task_type: TaskType) -> Seen:
    return Seen(configuration_with(trial["algorithm"], task_type, trial["hyperparameters"]), trial["loss"])
