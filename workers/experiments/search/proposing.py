"""Which configurations a search tries next, as a child works it out."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from app.isolation import Report
from app.metalearning.portfolio import Configuration, configuration_with, find_configuration
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
            `algorithm`, `hyperparameters` and `loss` (null without a score), the latter in order of their numbers; and how
            many to `propose`.
        report: not told of anything.

    Returns: `proposals`, each with `number`, `algorithm`, `hyperparameters` and `source`, and whether the space is
        `exhausted`: nothing was left that was not tried, so there are fewer than were asked for.
    """
    task_type = TaskType(payload["task_type"])
    spaces = spaces_of(payload["algorithms"], task_type, as_wishes(payload["space"]))
    sampler = sampler_of(payload)
    known = [_seen(each, task_type) for each in payload["known"]]
    trials = [_seen(each, task_type) for each in payload["trials"]]
    proposals: list[dict[str, Any]] = []
    for number in range(len(trials), len(trials) + payload["propose"]):
        ended = max(0, number - payload["parallel"] + 1)
        pending = tuple(each.configuration for each in trials[ended:])
        wanted = _wanted(
            payload["recommended"],
            sampler,
            History(spaces, (*known, *trials[:ended]), pending),
            np.random.default_rng([payload["seed"], number]),
        )
        tried = {each.configuration.fingerprint for each in (*known, *trials)}
        chosen = _first_new(wanted, task_type, tried)
        if chosen is None:
            break
        configuration, is_recommended = chosen
        trials.append(Seen(configuration, None))
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
        configuration = find_configuration(name)
        yield Point(configuration.algorithm.name, configuration.hyperparameters), True
    for point in sampler(history, random):
        yield point, False


def _first_new(
    wanted: Iterator[tuple[Point, bool]], task_type: TaskType, tried: set[str]
) -> tuple[Configuration, bool] | None:
    for point, is_recommended in wanted:
        configuration = configuration_with(point.algorithm, task_type, point.hyperparameters)
        if configuration.fingerprint not in tried:
            return configuration, is_recommended
    return None


def _bracket(method: str, number: int) -> dict[str, int]:
    """Where a trial may be given up: ASHA is Hyperband's first bracket."""
    brackets = {Method.ASHA: 0, Method.HYPERBAND: halving.bracket_of(number)}
    return {"bracket": brackets[Method(method)]} if method in brackets else {}


def _seen(trial: dict[str, Any], task_type: TaskType) -> Seen:
    return Seen(configuration_with(trial["algorithm"], task_type, trial["hyperparameters"]), trial["loss"])
