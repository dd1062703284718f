"""The meta-dataset over HTTP, and by the client."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.client import Client, ProblemError
from app.config import Settings
from app.main import create_app
from app.metalearning.contents import load_contents

TASK_TYPES = ["classification", "regression"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = Settings(data_dir=Path(tmp_path_factory.mktemp("service")))
    with TestClient(create_app(settings)) as http, Client() as client:
        client._http = http
        yield client


def test_contents_are_told_with_the_version_of_recommendations(client: Client) -> None:
    told = client.meta_dataset()
    contents = load_contents().contents
    assert [each["task_type"] for each in told["task_types"]] == TASK_TYPES
    for each, known in zip(told["task_types"], contents.task_types, strict=True):
        assert each["cells"] == known.cells
        assert each["datasets"] == known.datasets
        assert each["recommendable"] <= each["configurations"]
        assert each["regret"][each["default_strategy"]]["1"] < each["regret"]["single_best"]["1"]
    assert told["protocols"] == {"1": sum(contents.protocols.values())}
    assert told["versions"] == contents.versions
    assert told["probe_seconds"]["least"] <= told["probe_seconds"]["median"] <= told["probe_seconds"]["most"]
    answering = client._http.app.state.service.knowledge
    assert {each["task_type"]: each["knowledge_version"] for each in told["task_types"]} == {
        task_type: knowledge.version for task_type, knowledge in answering.items()
    }


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_map_has_every_recommendable_dataset_of_what_ships(client: Client, task_type: str) -> None:
    told = client._call("GET", "/meta-dataset/map", params={"task_type": task_type})
    knowledge = client._http.app.state.service.knowledge[task_type]
    assert [each["name"] for each in told["datasets"]] == list(knowledge.evidence.datasets)
    places = np.array([(each["x"], each["y"]) for each in told["datasets"]])
    assert np.abs(places.mean(axis=0)).max() < 1e-6 * np.abs(places).max()
    assert places[:, 0].var() >= places[:, 1].var() > 0
    for each, regret in zip(told["datasets"], knowledge.evidence.regret, strict=True):
        assert each["best_configuration"] == knowledge.evidence.configurations[regret.argmin()]


@pytest.mark.parametrize("asked", [{}, {"task_type": "clustering"}])
def test_a_map_of_no_task_type_is_refused(client: Client, asked: dict[str, str]) -> None:
    with pytest.raises(ProblemError, match="invalid_request"):
        client._call("GET", "/meta-dataset/map", params=asked)


def test_datasets_come_in_pages_by_name_and_task_type(client: Client) -> None:
    known = load_contents().contents.datasets
    assert [each["name"] for each in client.measured_datasets()] == [each.name for each in known]
    for task_type in TASK_TYPES:
        shown = list(client.measured_datasets(task_type))
        assert [each["name"] for each in shown] == [
            each.name for each in known if each.task_type == task_type
        ]
    first = client._call("GET", "/meta-dataset/datasets", params={"limit": 2})
    assert [each["name"] for each in first["items"]] == [each.name for each in known[:2]]
    assert first["next_cursor"]


def test_dataset_is_told_with_every_evaluation(client: Client) -> None:
    known = next(each for each in load_contents().contents.datasets if each.cells.keys() > {"ok"})
    told = client.measured_dataset(known.name)
    assert told["name"] == known.name
    assert told["cells"] == Counter(each["status"] for each in told["evaluations"]) == known.cells
    for each in told["evaluations"]:
        if each["status"] == "ok":
            assert each["scores"].keys() == each["scores_a"].keys() == each["fold_scores"][0].keys()
            assert each["error"] is None
        else:
            assert (each["scores"], each["fold_scores"], each["fit_cpu_seconds"]) == ({}, [], None)
    best = next(each for each in told["evaluations"] if each["configuration"] == told["best_configuration"])
    assert best["scores"][told["metric"]] == told["best_score"]
    assert any(each["learning_curve"] for each in told["evaluations"])


def test_what_is_not_there_is_refused_with_a_code(client: Client) -> None:
    for name in ("titanic_of_mars", "../configurations", "ä b"):
        with pytest.raises(ProblemError) as refused:
            client.measured_dataset(name)
        assert refused.value.problem["status"] == 404
    assert refused.value.code == "dataset_not_measured"
    assert "GET /meta-dataset/datasets" in refused.value.problem["advice"]
    with pytest.raises(ProblemError) as refused:
        next(client.measured_datasets("clustering"))
    assert refused.value.code == "invalid_request"
