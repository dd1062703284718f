"""The service with a poisoned worker: on SQLite as if embedded, or on Postgres with Redis and Celery."""

import os
from dataclasses import dataclass
from pathlib import Path

from app.metalearning.portfolio import find_configuration
from app.store import beginning
from tests.deployments import Deployment

_ROOT = Path(__file__).parents[2]
_CONFIGURATION = "clf-gaussian_nb-default"  # fitted in no time


@dataclass
class PoisonedDeployment(Deployment):
    """API and worker as processes; `embedded` is false also on SQLite, so that the worker is not the API's own."""

    def start_worker(self) -> None:
        if "REDIS_URL" in self.environment:
            command = ["celery", "-A", "tests.poisoned.distributed", "worker"]
            more = {"PYTHONPATH": str(_ROOT)}  # other packages have modules of tests too
            self.workers.append(self._run(f"worker{len(self.workers)}", command, more))
        else:
            command = ["python", "-m", "tests.poisoned", str(os.getpid())]
            self.workers.append(self._run("worker", command, {"DATA_DIR": str(self.folder / "api")}))

    def begin_job(self, dataset_id: str, **poison: str) -> str:
        """A verification of one configuration; `poison` says which function of `tests.children` its tasks run instead."""
        with self.database().write() as session:
            job = beginning.verification(
                session,
                owner="local",
                dataset_id=dataset_id,
                recommendation_id=None,
                configurations=[find_configuration(_CONFIGURATION)],
                metric="accuracy",
                time_budget_seconds=300.0,
            )
            job.request = {**job.request, "poison": poison}
            session.commit()
        return job.id
