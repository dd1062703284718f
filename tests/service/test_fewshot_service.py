"""Few-shot jobs over HTTP, with workers that compute them."""

import httpx
import pytest
from sklearn.datasets import load_iris

from app.metalearning.fewshot.methods import Method
from tests.deployments import Deployment

NAMES = ("setosa", "versicolor", "virginica")


def irises() -> tuple[list[dict[str, float]], list[str], list[dict[str, float]], list[str]]:
    """Five labelled rows of each class, ten others, and the labels of both."""
    data, target = load_iris(return_X_y=True)
    rows = [dict(zip("abcd", map(float, row), strict=True)) for row in data]
    names = [NAMES[code] for code in target]
    known = [start + at for start in (0, 50, 100) for at in range(5)]
    asked = [start + at for start in (0, 50, 100) for at in range(20, 30)]
    return (
        [rows[at] for at in known],
        [names[at] for at in known],
        [rows[at] for at in asked],
        [names[at] for at in asked],
    )


@pytest.mark.parametrize("method", Method)
def test_few_rows_are_learned_from(deployment: Deployment, method: Method) -> None:
    support, labels, query, answers = irises()
    told = deployment.client.label(support, labels, query, method)
    assert told["classes"] == list(NAMES)
    right = sum(said == true for said, true in zip(told["predictions"], answers, strict=True))
    assert right >= 24
    for said, confidence, shares in zip(
        told["predictions"], told["confidence"], told["probabilities"], strict=True
    ):
        assert sum(shares) == pytest.approx(1.0)
        assert confidence == max(shares) == shares[NAMES.index(said)]
    job = deployment.client.job(told["job_id"])
    assert (job["kind"], job["status"], job["dataset_id"]) == ("few-shot", "succeeded", None)
    assert job["result"] == {
        "predictions": f"/jobs/{job['id']}/predictions", "method": told["method"], "because": told["because"],
        "n_support": 15, "n_query": 30, "n_features": 4,
    }  # fmt: skip
    assert method in (Method.AUTO, told["method"])
    assert httpx.get(f"{deployment.url}/jobs/{job['id']}/report").status_code == 200


def test_vectors_are_learned_from_too(deployment: Deployment) -> None:
    told = deployment.client.label([[0.0, 1.0], [1.0, 0.0]], [True, False], [[0.1, 0.8], [0.9, 0.1]])
    assert told["predictions"] == [True, False]
