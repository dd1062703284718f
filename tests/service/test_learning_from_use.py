"""Learning from use over HTTP: reports and their quarantine, operators, retraining, promotion, roll-back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.client import ProblemError
from app.config import Settings
from app.main import create_app
from app.metalearning.knowledge import dump, load_knowledge, shipped_version
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.table import TaskType
from app.store import blobs, promotions
from app.store.database import Database
from app.store.tables import Job
from tests.conftest import OPERATOR_KEY
from tests.deployments import Deployment, wait_until
from tests.service import data
from tests.service.test_suggesting import refused

NAMES = [name for name, each in CONFIGURATIONS.items() if each.task_type is TaskType.CLASSIFICATION][:4]
METAFEATURES = {
    "nr_inst": 800, "nr_attr": 12, "nr_class": 2, "nr_num": 12, "nr_cat": 0, "missing_share": 0.0,
}  # fmt: skip
RESULTS = [{"configuration": name, "scores": {"roc_auc": 0.7, "accuracy": 0.6}} for name in NAMES]
REPORT: dict[str, Any] = {
    "source": "lab-7", "task_type": "classification", "metafeatures": METAFEATURES, "evaluations": RESULTS,
}  # fmt: skip
OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    more = settings.model_copy(update={"reported_evaluations": 10})
    keyed = Settings.model_validate(more.model_dump() | {"operator_key": OPERATOR_KEY})
    with TestClient(create_app(keyed)) as client:
        yield client


def test_a_report_waits_for_trust_and_goes_when_it_is_told_to(api: TestClient) -> None:
    answer = api.post("/evaluations", json=REPORT | {"provenance": {"protocol": "10 folds"}})
    assert answer.status_code == 201
    given = answer.json()
    assert (given["source"], given["trusted"], given["evaluations"]) == ("lab-7", False, 4)
    path = answer.headers["Location"]
    told = api.get(path).json()
    assert told["results"][0]["scores"] == {"roc_auc": 0.7, "accuracy": 0.6}
    assert told["provenance"]["protocol"] == "10 folds"
    assert told["dataset"]["metafeatures"] == METAFEATURES
    refused(
        api.post("/jobs", json={"kind": "retraining", "task_type": "classification"}), 409, "nothing_to_learn"
    )

    refused(
        api.post("/jobs", json={"kind": "retraining", "task_type": "classification", "networks": True}),
        409,
        "no_gpu_worker",
    )

    [source] = api.get("/evaluation-sources", headers=OPERATOR).json()["items"]
    assert (source["id"], source["evaluations"], source["trusted_at"]) == (given["source_id"], 4, None)
    trusted = api.put(f"/evaluation-sources/{source['id']}", json={"trusted": True}, headers=OPERATOR).json()
    assert trusted["trusted_at"] is not None
    assert [each["trusted"] for each in api.get("/evaluations").json()["items"]] == [True]
    assert api.delete(path).status_code == 204
    refused(api.get(path), 404, "report_not_found")
    refused(api.delete(path), 404, "report_not_found")


def test_a_report_is_made_once_per_key(api: TestClient) -> None:
    key = {"Idempotency-Key": "once"}
    one, two = (api.post("/evaluations", json=REPORT, headers=key) for _ in range(2))
    assert one.json() == two.json()
    assert two.headers["Location"] == one.headers["Location"]
    assert len(api.get("/evaluations").json()["items"]) == 1
    assert api.delete(one.headers["Location"]).status_code == 204
    refused(api.post("/evaluations", json=REPORT, headers=key), 410, "idempotency_erased")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"source": "../lab"}, 422, "invalid_request"),
        ({"evaluations": []}, 422, "invalid_request"),
        ({"evaluations": [{"configuration": "clf-magic", "scores": None}]}, 422, "unknown_configuration"),
        ({"evaluations": [RESULTS[0], RESULTS[0]]}, 422, "invalid_request"),
        ({"evaluations": [RESULTS[0] | {"scores": {"roc_auc": 1.5}}]}, 422, "score_out_of_range"),
        ({"evaluations": [RESULTS[0] | {"scores": {"rmse": 1.5}}]}, 422, "unknown_metric"),
        ({"evaluations": [RESULTS[0] | {"scores": {"accuracy": 0.5}}]}, 422, "invalid_request"),
        ({"evaluations": RESULTS * 3}, 422, "invalid_request"),
        ({"metafeatures": {"nr_inst": -1}}, 422, "metafeature_out_of_range"),
        ({"metafeatures": None, "task_type": None, "dataset_id": "ds_unknown"}, 404, "dataset_not_found"),
        ({"task_type": "regression"}, 422, "metafeature_of_other_task_type"),
    ],
)
def test_what_cannot_be_true_is_refused(api: TestClient, change: Any, status: int, code: str) -> None:
    refused(api.post("/evaluations", json=REPORT | change), status, code)
    assert api.get("/evaluations").json()["items"] == []


def test_a_regression_needs_the_targets_spread(api: TestClient) -> None:
    name = next(name for name, each in CONFIGURATIONS.items() if each.task_type is TaskType.REGRESSION)
    body = REPORT | {
        "task_type": "regression",
        "metafeatures": {"nr_inst": 800},
        "evaluations": [{"configuration": name, "scores": {"rmse": 3.0}}],
    }
    refused(api.post("/evaluations", json=body), 422, "invalid_request")
    assert api.post("/evaluations", json=body | {"target_sd": 4.0}).status_code == 201


def test_odd_words_and_hopeless_scores_do_no_harm(api: TestClient) -> None:
    """Postgres has no NUL in its texts; and a hopeless model is only that."""
    odd = api.post("/evaluations", json=REPORT | {"provenance": {"protocol": "a\0b"}})
    assert odd.status_code in {201, 422}, odd.text
    hopeless = [RESULTS[0] | {"scores": {"roc_auc": 0.0, "log_loss": 1e300}}, *RESULTS[1:]]
    assert api.post("/evaluations", json=REPORT | {"evaluations": hopeless}).status_code == 201


def test_an_owner_has_a_cap(api: TestClient) -> None:
    for _ in range(2):
        assert api.post("/evaluations", json=REPORT).status_code == 201
    refused(api.post("/evaluations", json=REPORT), 409, "too_many_evaluations")


def test_a_dataset_that_may_not_contribute_is_not_reported_about(api: TestClient) -> None:
    files = {"file": ("iris.csv", data.iris())}
    for contribute, status in (("true", 201), ("false", 422)):
        form = {"target": "species", "contribute": contribute}
        dataset_id = api.post("/datasets", files=files, data=form).json()["id"]
        body = {
            "source": "lab",
            "dataset_id": dataset_id,
            "evaluations": [{"configuration": NAMES[0], "scores": None}],
        }
        assert api.post("/evaluations", json=body).status_code == status


def test_only_operators_trust_and_roll_back(api: TestClient, settings: Settings) -> None:
    source = api.post("/evaluations", json=REPORT).json()["source_id"]
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": OPERATOR_KEY},
        {"Authorization": f"Basic {OPERATOR_KEY}"},
    ):
        refused(
            api.put(f"/evaluation-sources/{source}", json={"trusted": True}, headers=headers),
            403,
            "operator_only",
        )
        refused(api.get("/evaluation-sources", headers=headers), 403, "operator_only")
        refused(
            api.post("/meta-learners/rollback", json={"task_type": "regression"}, headers=headers),
            403,
            "operator_only",
        )
    refused(
        api.put("/evaluation-sources/src_none", json={"trusted": True}, headers=OPERATOR),
        404,
        "source_not_found",
    )
    with TestClient(create_app(settings)) as without_key:
        problem = refused(without_key.get("/evaluation-sources", headers=OPERATOR), 403, "operator_only")
        assert "OPERATOR_KEY" in problem["advice"]


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "retraining"},
        {"kind": "retraining", "task_type": "regression", "dataset_id": "ds"},
        {"kind": "retraining", "task_type": "regression", "metric": "rmse"},
        {"kind": "retraining", "task_type": "regression", "configurations": ["reg-ridge-default"]},
        {"kind": "measurement", "dataset_id": "ds", "configurations": ["reg-ridge-default"], "k": 1},
        {"task_type": "regression", "dataset_id": "ds"},
        {"kind": "alchemy", "dataset_id": "ds"},
        {"kind": ["verification"], "dataset_id": "ds"},
        {},
        [],
        None,
    ],
)
def test_a_job_is_asked_for_with_the_fields_of_its_kind(api: TestClient, body: Any) -> None:
    refused(api.post("/jobs", json=body), 422, "invalid_request")


def test_the_report_of_a_retraining_tells_the_verdict_and_how_networks_learned(
    api: TestClient, database: Database
) -> None:
    verdict = {
        "promoted": False,
        "because": "It is worse.",
        "candidate": 0.4,
        "current": 0.2,
        "portfolio": 0.3,
    }
    losses = {name: [1.0 / part for part in range(1, 51)] for name in ("embedding", "surrogate")}
    for number, told in enumerate(({}, losses)):
        with database.write() as session:
            session.add(
                Job(
                    id=f"job_{number}", owner="local", kind="retraining", status="succeeded", phase="done",
                    request={"task_type": "regression"}, time_budget_seconds=1.0, result=verdict | {"losses": told},
                )
            )  # fmt: skip
            session.commit()
        text = api.get(f"/jobs/job_{number}/report").text
        assert "It is worse." in text
        assert ("How the networks learned" in text) is bool(told)
        assert all(name in text for name in told)


def promoted(database: Database, folder: Path, default: str, number: int) -> str:
    """Have other meta-learners answer, as if a retraining had fitted them; their version."""
    known = load_knowledge()[TaskType.REGRESSION]
    content = dump(known.evidence, known.trained, known.report | {"default": default})
    (folder / "knowledge").write_bytes(content)
    with database.write() as session:
        job = Job(
            id=f"job_fitted{number}", owner="local", kind="retraining", status="succeeded", phase="done",
            request={"task_type": "regression", "evaluations": 0}, time_budget_seconds=1.0,
        )  # fmt: skip
        session.add(job)
        session.flush()
        verdict = {"promoted": True, "because": "tested", "candidate": 0.1, "current": 0.2, "portfolio": 0.3}
        learner = promotions.record(
            session, task_type="regression", job_id=job.id, snapshot="s", shipped=shipped_version(), n_datasets=1,
            n_evaluations=3, reports=[], content_hash=blobs.put(session, folder / "knowledge"),
            proof=known.report, verdict=verdict,
        )  # fmt: skip
        promotions.promote(session, learner, "tested")
        session.commit()
        return str(learner.content_hash)[:12]


def test_every_process_follows_a_promotion_and_its_roll_back(deployment: Deployment, tmp_path: Path) -> None:
    """Within five seconds; recommendations of before can be repeated meanwhile."""
    values = {
        "nr_inst": 800,
        "nr_attr": 12,
        "nr_num": 12,
        "nr_cat": 0,
        "cat_share": 0.0,
        "missing_share": 0.0,
    }
    asked = {"task_type": "regression", "metafeatures": values}
    roll_back = {"url": "/meta-learners/rollback", "json": {"task_type": "regression"}, "headers": OPERATOR}
    process, another, url = deployment.start_another_api()
    with httpx.Client(base_url=deployment.url) as one, httpx.Client(base_url=url) as other:
        try:

            def answers() -> set[tuple[str, str]]:
                given = [client.post("/recommend", json=asked).json() for client in (one, other)]
                return {(each["knowledge_version"], each["strategy"]) for each in given}

            before = one.post("/recommend", json=asked).json()
            shipped = {(before["knowledge_version"], before["strategy"])}
            assert answers() == shipped
            version = promoted(deployment.database(), tmp_path, "forest", 1)
            wait_until(lambda: answers() == {(version, "forest")}, 5.0)
            again = one.get(f"/recommendations/{before['id']}?recompute=true").json()
            assert again["recomputed"]["same"]
            [shown] = deployment.client.fitted_meta_learners()
            assert (shown["version"], shown["answers"], shown["verdict"]["portfolio"]) == (version, True, 0.3)

            rolled = one.post(**roll_back).json()
            assert (rolled["meta_learner_id"], rolled["knowledge_version"]) == (
                None,
                before["knowledge_version"],
            )
            wait_until(lambda: answers() == shipped, 5.0)
            refused(one.post(**roll_back), 409, "nothing_to_roll_back")
        finally:
            another.close()
            process.terminate()
            process.wait(timeout=60)


def test_a_worker_keeps_to_the_time_of_a_retraining(deployment: Deployment) -> None:
    """One second is too short for it, and it ends with a reason."""
    client = deployment.client
    given = client.report("in-time", RESULTS, task_type="classification", metafeatures=METAFEATURES)
    path = f"{deployment.url}/evaluation-sources/{given['source_id']}"
    httpx.put(path, json={"trusted": True}, headers=OPERATOR).raise_for_status()
    job = client.retrain("classification", time_budget_seconds=1)
    assert job["progress"]["phase"] == "retraining"
    with pytest.raises(ProblemError, match="retraining_under_way"):
        client.retrain("classification")
    ended = client.wait(job["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "retraining_timeout")
    assert (ended["dataset_id"], ended["experiments"]) == (None, [])
    assert [each["id"] for each in client.reports() if each["trusted"]] == [given["id"]]
    client.remove_report(given["id"])
    with pytest.raises(ProblemError, match="nothing_to_learn"):
        client.retrain("classification")
