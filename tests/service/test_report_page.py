"""The report of a job: all that is known of it, on one page that loads nothing."""

import re
from pathlib import Path

import httpx
import pytest

from tests.deployments import Deployment
from tests.service import data

HOSTILE = "<script>alert(1)</script>"
OF_EVERY_VERIFICATION = (
    "Ranking before anything was run",
    "Leaderboard",
    "Learning curves",
    "What it looks at",
    "What the ranking rests on",
    "Similar datasets",
    "What it cost",
)


def page(deployment: Deployment, job_id: str) -> str:
    """The page; it is whole, and nothing in it is loaded from anywhere."""
    answer = httpx.get(f"{deployment.url}/jobs/{job_id}/report")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|\bhref=|url\(", answer.text)
    assert answer.text.rstrip().endswith("</html>")
    return answer.text


def headings(text: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", text)


def test_a_classification_is_told_whole_and_less_once_it_was_erased(
    deployment: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    client = deployment.client
    answer = client.recommend(path, target="species", verify=True, k=3, metric="accuracy", name=HOSTILE)
    job_id = answer["job"]["id"]
    page(deployment, job_id)  # while it runs, there is one as well
    job = client.wait(job_id, timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    text = page(deployment, job_id)
    assert set(headings(text)) >= {
        *OF_EVERY_VERIFICATION,
        "What was taken for what",
        "Are its probabilities true?",
    }
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for row in job["result"]["leaderboard"]:
        assert row["name"] in text
        assert f"{row['scores']['accuracy']:.4g}" in text
    card = client.model(job["result"]["model_id"])["card"]
    diagnosis = card["diagnosis"]
    counts = diagnosis["confusion"]["counts"]
    assert [sum(row) for row in counts] == [50, 50, 50]
    right = sum(counts[place][place] for place in range(3)) / 150
    assert right == pytest.approx(card["scores"]["accuracy"])
    assert diagnosis["interval"][0] <= card["scores"]["accuracy"] <= diagnosis["interval"][1]
    assert sum(each["rows"] for each in diagnosis["reliability"]) == 150
    largest = diagnosis["importance"]["columns"][0]
    assert largest["name"] in {"c", "d"}  # of the petals
    assert largest["mean"] > 0
    client.delete_dataset(answer["dataset_id"])
    erased = page(deployment, job_id)
    assert not any(word in erased for word in ("alert(1)", *card["classes"]))
    assert headings(text) != headings(erased)
    assert job["result"]["winner"] in erased


def test_a_regression_shows_its_errors_and_a_measurement_its_scores(
    deployment: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "diabetes.csv"
    path.write_bytes(data.diabetes())
    client = deployment.client
    answer = client.recommend(path, target="progression", verify=True, k=2)
    job = client.wait(answer["job"]["id"], timeout=120)
    text = page(deployment, job["id"])
    assert "Predicted against true" in headings(text)
    assert "What was taken for what" not in headings(text)
    card = client.model(job["result"]["model_id"])["card"]
    residuals = card["diagnosis"]["residuals"]
    assert residuals["quantiles"]["0.25"] < 0 < residuals["quantiles"]["0.75"]
    assert 50 < len(residuals["points"]) <= 300
    names = [each["configuration"] for each in answer["candidates"]]
    measured = client.wait(client.measure(answer["dataset_id"], names)["id"], timeout=120)
    assert headings(page(deployment, measured["id"])) == ["Learning curves", "What it cost"]


def test_an_unknown_job_has_no_report(deployment: Deployment) -> None:
    assert httpx.get(f"{deployment.url}/jobs/job_unknown/report").json()["code"] == "job_not_found"
