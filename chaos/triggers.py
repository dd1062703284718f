"""What to do for the service to come to each of its steps; the load alone leads to those that are not named here."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.failpoints import Step
from app.metalearning.knowledge import shipped_version
from app.metalearning.table import TaskType
from app.store import metadatasets, promotions
from chaos import oracle, processes
from chaos.customer import ask
from chaos.load import LONG, LONG_COLUMNS, LONG_ROWS, QUICK, measure, upload
from chaos.service import Service, Worker, send
from tests.deployments import wait_until

_SECONDS = 240.0  # a job waits its turn behind the load, on machines that have other work too
_IMPORT_SECONDS = 300.0
_META_DATASET, _OWNER = "measured-elsewhere", "local"
OTHER = "/other"  # below the address of the webhook, where those listen that are soon deleted
_YEARS = 10 * 366 * 86_400.0


@dataclass
class Triggers:
    """Requests, signals and commands. Each may be interrupted by what happens at the step, and goes on until it is done."""

    service: Service
    webhook_url: str
    webhook_id: str = field(init=False)
    _small: str = field(init=False)
    _has_meta_dataset: bool = False
    _told_to_stop: set[int] = field(default_factory=set)  # they may take a while, and stop only once
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._small = upload(self.service)
        self.webhook_id = self._register(self.webhook_url)

    def of(self, step: Step) -> Callable[[], object]:
        """The one that leads to this step."""
        named: dict[Step, Callable[[], object]] = {
            Step.RELEASE_KEY: lambda: self._ask("POST", "/jobs", json={"dataset_id": "ds_unknown"}),
            Step.STORE_DATASET: self._upload,
            Step.DELETE_DATASET: lambda: self._ask("DELETE", f"/datasets/{self._upload()}"),
            Step.STORE_RECOMMENDATION: lambda: self._ask(
                "POST", "/recommend", json={"dataset_id": self._small}
            ),
            Step.RECOMMEND_ALGORITHMS: self._recommend_algorithms,
            Step.DELETE_META_DATASET: self._delete_meta_dataset,
            Step.ACCEPT_CANCEL: self._cancel_running,
            Step.REGISTER_WEBHOOK: self._register_and_delete,
            Step.DELETE_WEBHOOK: self._register_and_delete,
            Step.ROTATE_SECRET: self._rotate,
            Step.TEST_WEBHOOK: self._test_webhook,
            Step.RETRY_DELIVERY: self._retry_delivery,
            Step.REPORT_EVALUATIONS: self._report,
            Step.REMOVE_REPORT: lambda: self._ask("DELETE", f"/evaluations/{self._report()['id']}"),
            Step.TRUST_SOURCE: self._trust,
            Step.ROLL_BACK: self._roll_back,
            Step.RENEW_LEASE: self._running,
            Step.RELEASE_TASK: self._stop_busy_worker,
            Step.SIGN_OFF: self._stop_worker,
            Step.END_CANCELLED: self._cancel_running,
            Step.EXPIRE_DATASET: self._age_dataset,
            Step.CACHE_BLOB: lambda: measure(self.service, self._upload(), QUICK[0]),
            Step.CLAIM_DELIVERY: self._test_webhook,
            Step.SEND_DELIVERY: self._test_webhook,
            Step.SETTLE_DELIVERY: self._test_webhook,
            Step.KEEP_PROBE: self._forget_probes,
            Step.IMPORT_META_DATASET: self._import,
        }
        return named.get(step, lambda: None)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return ask(self.service, method, path, **request)[0]

    def _upload(self) -> str:
        """A dataset with rows that nobody has seen: no cache holds it."""
        return upload(self.service, seed=next(self._seeds))

    @cached_property
    def _long(self) -> str:
        return upload(self.service, LONG_ROWS, LONG_COLUMNS)

    def _running(self) -> str:
        """A job that somebody computes for half a minute to come."""
        job_id = measure(self.service, self._long, LONG)
        query = "SELECT id FROM tasks WHERE job_id = :id AND status = 'running'"
        wait_until(lambda: oracle.rows(self.service, query, id=job_id), _SECONDS)
        return job_id

    def _cancel_running(self) -> None:
        self._ask("POST", f"/jobs/{self._running()}/cancel").raise_for_status()

    def _stop_worker(self) -> None:
        """One that is up: earlier it would know of nobody to say goodbye to."""

        def up() -> list[Worker]:
            seen = self.service.seen()
            return [
                each
                for each in self.service.workers
                if each.pid in seen - self._told_to_stop and not processes.is_over(each.pid)
            ]

        worker = wait_until(up, _SECONDS)[0]
        self._told_to_stop.add(worker.pid)
        send(worker.process, signal.SIGTERM)

    def _stop_busy_worker(self) -> None:
        """The worker that the embedded API keeps is not among those that may be stopped: then somebody else has a turn."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            job_id = self._running()
            query = "SELECT id FROM tasks WHERE job_id = :id"
            (task_id,) = (row[0] for row in oracle.rows(self.service, query, id=job_id))
            holders = {task: pid for pid, tasks in self.service.holders().items() for task in tasks}
            for worker in self.service.workers:
                if worker.pid == holders.get(task_id):
                    send(worker.process, signal.SIGTERM)
                    return
            self._ask("POST", f"/jobs/{job_id}/cancel")
        raise TimeoutError("No worker that may be stopped took a task up.")

    def _age_dataset(self) -> None:
        dataset_id = self._upload()
        with self.service.database.engine.begin() as connection:
            connection.exec_driver_sql(
                f"UPDATE datasets SET used_at = used_at - {_YEARS} WHERE id = '{dataset_id}'"  # noqa: S608  our own id
            )

    def _forget_probes(self) -> None:
        for data_dir in self.service.data_dirs:
            (data_dir / "scratch" / "probe.json").unlink(missing_ok=True)

    def _register(self, url: str) -> str:
        body = {"url": url}
        webhook_id: str = self._ask("POST", "/webhooks", json=body).raise_for_status().json()["id"]
        return webhook_id

    def _register_and_delete(self) -> None:
        self._ask("DELETE", f"/webhooks/{self._register(self.webhook_url + OTHER)}")

    def _rotate(self) -> None:
        """Of a webhook of its own: rotating erases what was answered about it before."""
        path = f"/webhooks/{self._register(self.webhook_url + OTHER)}"
        self._ask("POST", f"{path}/secret").raise_for_status()
        self._ask("DELETE", path)

    def _test_webhook(self) -> str:
        path = f"/webhooks/{self.webhook_id}/test"
        delivery_id: str = self._ask("POST", path).raise_for_status().json()["id"]
        return delivery_id

    def _retry_delivery(self) -> None:
        path = f"/webhooks/{self.webhook_id}/deliveries/{self._test_webhook()}/retry"
        self._ask("POST", path)

    def _recommend_algorithms(self) -> None:
        self._import_once()
        path = f"/meta-datasets/{_META_DATASET}/recommend"
        self._ask("POST", path, json={"metafeatures": {"size": 0.5}}).raise_for_status()

    def _delete_meta_dataset(self) -> None:
        """Delete a copy: whoever asks the other one again meanwhile, after a crash, must still find it."""
        self._import_once()
        name, path = f"{_META_DATASET}-{next(self._seeds)}", self.service.folder / "meta-dataset"
        with self.service.database.read() as session:
            stored = metadatasets.get(session, _OWNER, _META_DATASET)
            summary = stored.summary
            path.write_bytes(metadatasets.content(session, stored))
        with self.service.database.write() as session:
            metadatasets.record(session, owner=_OWNER, name=name, path=path, summary=summary)
            session.commit()
        self._ask("DELETE", f"/meta-datasets/{name}")

    def _report(self) -> dict[str, Any]:
        body = {
            "source": "elsewhere",
            "dataset_id": self._small,
            "evaluations": [{"configuration": QUICK[0], "scores": None}],
        }
        report: dict[str, Any] = self._ask("POST", "/evaluations", json=body).raise_for_status().json()
        return report

    def _trust(self) -> None:
        for trusted in (True, False):
            path = f"/evaluation-sources/{self._report()['source_id']}"
            self._ask("PUT", path, json={"trusted": trusted}).raise_for_status()

    def _roll_back(self) -> None:
        """What answers is rolled back to what ships: there is no content, which nobody misses before that."""
        with self.service.database.write() as session:
            promotions.take_turn(session)
            learner = promotions.record(
                session,
                task_type=str(TaskType.REGRESSION),
                job_id=measure(self.service, self._small, QUICK[0]),
                snapshot="",
                shipped=shipped_version(),
                n_datasets=0,
                n_evaluations=0,
                reports=[],
                content_hash=None,
                proof={},
                verdict={},
            )
            promotions.promote(session, learner, "To be rolled back.")
            session.commit()
        self._ask("POST", "/meta-learners/rollback", json={"task_type": "regression"}).raise_for_status()

    def send_again(self) -> list[str]:
        """Deliveries that have not ended; those that wait for a later attempt need not wait any longer."""
        path = f"/webhooks/{self.webhook_id}/deliveries"
        query = "SELECT id, next_at > :soon FROM deliveries WHERE webhook_id = :id AND status = 'pending'"
        found = oracle.rows(self.service, query, id=self.webhook_id, soon=time.time() + 10)
        for delivery_id, waits in found:
            if waits:
                self._ask("POST", f"{path}/{delivery_id}/retry")
        return [delivery_id for delivery_id, _ in found]

    def _import_once(self) -> None:
        if not self._has_meta_dataset:
            self._import()

    def _import(self) -> None:
        """Run the command until it succeeds."""
        performances, metafeatures = _tables(self.service.folder)
        command = [
            "metaselect", "metadataset", "import", "--name", _META_DATASET, "--performances", str(performances),
            "--metafeatures", str(metafeatures), "--measure", "accuracy", "--larger-is-better",
            "--data-dir", str(self.service.data_dir("api")),
        ]  # fmt: skip
        for _ in range(5):
            if self.service.run("import", command).wait(timeout=_IMPORT_SECONDS) == 0:
                self._has_meta_dataset = True
                return
        raise TimeoutError(f"The import fails: {self.service.log('import')[-2000:]}")


def _tables(folder: Path) -> tuple[Path, Path]:
    """Performances of three algorithms on a dozen datasets, and a metafeature that decides."""
    chance = np.random.default_rng(0)
    performances, metafeatures = folder / "performances.csv", folder / "metafeatures.csv"
    rows = [(f"d{number}", chance.random(), 0.01 * chance.random(3)) for number in range(12)]
    performances.write_text(
        "dataset,a,b,c\n"
        + "".join(f"{name},{size + x},{1 - size + y},{0.6 + z}\n" for name, size, (x, y, z) in rows)
    )
    metafeatures.write_text(
        "dataset,size,group\n"  # of few groups, so that holding them out costs little
        + "".join(f"{name},{size},g{number % 3}\n" for number, (name, size, _) in enumerate(rows))
    )
    return performances, metafeatures
