import json
import re
from collections import Counter
from typing import Any

import pytest

from app.errors import UnknownConfigurationError
from app.metalearning.portfolio import ALGORITHMS, CONFIGURATIONS, configurations_of, find_configuration
from app.metalearning.portfolio.expressions import call, imports, source
from app.metalearning.table import TaskType
from workers.experiments import pipelines

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def run(snippet: str, name: str) -> Any:
    names: dict[str, Any] = {}
    exec(snippet, names)
    return names[name]


def details(estimator: Any) -> dict[str, str]:
    """Every parameter at every depth; an estimator's own text can be abbreviated."""
    parameters = {key: ADDRESS.sub("", repr(value)) for key, value in estimator.get_params().items()}
    return {"": ADDRESS.sub("", repr(estimator)), **parameters}


# The others need the extra `deep`: tests/deep has them.
HERE = {name: each for name, each in CONFIGURATIONS.items() if each.algorithm.queue == "cpu"}


@pytest.mark.parametrize("configuration", HERE.values(), ids=HERE)
def test_snippet_builds_the_pipeline_that_is_measured(configuration):
    written, built = run(configuration.snippet, "pipeline"), pipelines.build(configuration.pipeline)
    assert details(written) == details(built)
    assert source(configuration.pipeline) in configuration.snippet
    last = built.steps[-1][1]
    parameters = {key.rpartition("__")[2]: value for key, value in last.get_params().items()}
    arguments = configuration.algorithm.arguments(configuration.hyperparameters)
    assert {name: pipelines.build(value) for name, value in arguments.items()}.items() <= parameters.items()


def test_ids_and_fingerprints_are_unique_and_tell_the_task_type():
    everything = list(CONFIGURATIONS.values())
    assert len({each.fingerprint for each in everything}) == len(everything)
    assert [each.id for each in everything] == list(CONFIGURATIONS)
    by_task_type = [configurations_of(task_type) for task_type in TaskType]
    assert sum(map(len, by_task_type)) == len(everything)
    for configuration in everything:
        assert configuration.id.startswith("clf" if configuration.task_type == "classification" else "reg")
        assert configuration in configurations_of(configuration.task_type)


def test_hyperparameters_survive_json():
    for configuration in CONFIGURATIONS.values():
        back = json.loads(json.dumps(configuration.hyperparameters, allow_nan=False))
        pipeline = configuration.algorithm.pipeline(
            configuration.task_type,
            {key: tuple(value) if isinstance(value, list) else value for key, value in back.items()},
        )
        assert source(pipeline) == source(configuration.pipeline)


@pytest.mark.requirement("R8")
def test_every_algorithm_is_seeded_and_has_one_thread():
    for configuration in HERE.values():
        parameters = pipelines.build(configuration.pipeline).get_params()
        seeds = [value for key, value in parameters.items() if re.search(r"__random_(state|seed)$", key)]
        threads = [value for key, value in parameters.items() if re.search(r"__(n_jobs|thread_count)$", key)]
        needs_seed = configuration.algorithm.settings.keys() & {"random_state", "random_seed"}
        assert not needs_seed or 0 in seeds
        assert set(threads) <= {1, None}, configuration.id


def test_every_algorithm_can_be_recommended():
    assert {each.algorithm.name for each in CONFIGURATIONS.values()} == set(ALGORITHMS)


def test_a_changed_hyperparameter_changes_the_fingerprint():
    one = find_configuration("clf-knn-5")
    other = type(one)(one.id, one.algorithm, one.task_type, {"n_neighbors": 6})
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("task_type", TaskType)
def test_the_portfolio_is_wide_and_deep(task_type):
    on_a_cpu = [each for each in configurations_of(task_type) if each.algorithm.queue == "cpu"]
    assert len(on_a_cpu) >= 40
    assert len({each.algorithm.name for each in on_a_cpu}) >= 16
    assert max(Counter(each.algorithm.name for each in on_a_cpu).values()) <= len(on_a_cpu) / 6


def test_unknown_configuration_is_refused():
    with pytest.raises(UnknownConfigurationError):
        find_configuration("clf-knn-6")


@pytest.mark.parametrize(
    "value",
    [
        'quotes " and \\ and \n newline',
        "größe",
        "😀",
        float("inf"),
        -0.1,
        True,
        None,
        (1,),
        [(1, "a"), []],
        ("long " * 10, "long " * 10, "long " * 10),
    ],
    ids=repr,
)
def test_source_of_a_value_evaluates_to_the_value(value):
    assert eval(source(value)) == value
    assert run(f"answer = {source([value])}", "answer") == [value]


def test_source_takes_a_line_per_argument_where_one_is_too_long():
    expression = call("a.b.C", *["x" * 30] * 3, deep=call("a.b.D", 1))
    assert source(expression).splitlines()[0] == "C("
    assert source(expression).splitlines()[-2:] == ["    deep=D(1),", ")"]
    assert imports(expression) == ["from a.b import C, D"]
