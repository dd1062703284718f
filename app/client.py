"""The Python client: what other services and the command line use."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from app.answers import ProblemError, asks_for_patience, listen, pause_seconds, problem_of
from app.webhooks.calling import Webhooks

__all__ = ["ENDED", "Client", "ProblemError"]

ENDED = {"succeeded", "failed", "cancelled"}
_WAIT_SECONDS = 20.0
_MOST_TRIES = 5
_OUTAGE_SECONDS = 10.0
# How long a refusal to create something may be due to what passes, by its code.
_PATIENCE_SECONDS = {
    "database_unavailable": _OUTAGE_SECONDS,
    "idempotency_in_flight": 120.0,  # a service that died gives the key of its request back before
}


class Client:
    """Talks to one service. Use it as a context manager, or call `close`."""

    def __init__(self, url: str = "http://127.0.0.1:8000", *, timeout: float = 120.0) -> None:
        self._timeout = timeout
        self._http = httpx.Client(base_url=url, timeout=timeout)
        self.webhooks = Webhooks(self._call, self._create, self._pages)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def recommend(
        self,
        file: Path | None = None,
        *,
        target: str | None = None,
        metafeatures: dict[str, float | None] | None = None,
        dataset_id: str | None = None,
        **wishes: Any,
    ) -> dict[str, Any]:
        """Ask for a ranking, for a file with its target, for metafeatures, or for a dataset sent before.

        `wishes` are the request's other fields: `task_type`, `metric`, `strategy`, `k`, `verify`, `time_budget_seconds`,
        `constraints` (a dictionary), and with a file what is said about its columns: `column_types` (a dictionary), `group`, `time`.

        Raises: ProblemError.
        """
        wishes = {key: value for key, value in wishes.items() if value is not None}
        if file is None:
            known = {"metafeatures": metafeatures} if dataset_id is None else {"dataset_id": dataset_id}
            return self._create("/recommend", json={**known, **wishes})
        fields = {key: _as_field(value) for key, value in wishes.items()}
        with file.open("rb") as content:
            return self._create(
                "/recommend",
                files={"file": (file.name, content)},
                data={**fields, **({"target": target} if target else {})},
            )

    def recommendation(self, recommendation_id: str, *, recompute: bool = False) -> dict[str, Any]:
        """A recommendation as it was given; with `recompute` answered again and compared.

        Raises: ProblemError.
        """
        return self._call(
            "GET",
            f"/recommendations/{recommendation_id}",
            params={"recompute": recompute} if recompute else None,
        )

    def suggest(
        self,
        observations: list[dict[str, Any]],
        *,
        metafeatures: dict[str, float | None] | None = None,
        dataset_id: str | None = None,
        **wishes: Any,
    ) -> dict[str, Any]:
        """What to try next on a dataset, after these results (`configuration` and `score`, None where it failed).

        `wishes` are the request's other fields: `task_type`, `metric`, `target_sd`, `constraints`, `seconds_left`, `fits`.

        Raises: ProblemError.
        """
        known = {"metafeatures": metafeatures} if dataset_id is None else {"dataset_id": dataset_id}
        given = {key: value for key, value in wishes.items() if value is not None}
        return self._call("POST", "/suggest", json={**known, "observations": observations, **given})

    def meta_learners(self) -> Iterator[dict[str, Any]]:
        """Every way of ranking with its regret on datasets that it had not seen.

        Raises: ProblemError.
        """
        return self._pages("/meta-learners")

    def fitted_meta_learners(self) -> Iterator[dict[str, Any]]:
        """What retrainings fitted, newest first, with the scores that decided whether it answers.

        Raises: ProblemError.
        """
        return self._pages("/meta-learners/versions")

    def retrain(self, task_type: str, **wishes: Any) -> dict[str, Any]:
        """Begin a job that fits the meta-learners anew on all that may be learned from.

        Raises: ProblemError.
        """
        return self._create("/jobs", json={"kind": "retraining", "task_type": task_type, **wishes})

    def label(
        self,
        support: list[dict[str, Any]] | list[list[float]],
        labels: list[str | int | float | bool],
        query: list[dict[str, Any]] | list[list[float]],
        method: str = "auto",
    ) -> dict[str, Any]:
        """Label rows by a handful of labelled ones; waits for it.

        Args:
            support: the labelled rows, objects of columns and values or vectors.
            labels: of each of them.
            query: the rows to label, of the same form.
            method: `prototypical`, `maml`, `in_context`, `logistic_regression`, `nearest`, or `auto`.

        Returns: `predictions` with `confidence`, `classes` with `probabilities`, and which `method` was taken `because` of what.

        Raises: ProblemError.
        """
        asked = {"kind": "few-shot", "support": support, "labels": labels, "query": query, "method": method}
        job = self.wait(self._create("/jobs", json=asked)["id"])
        return self._call("GET", f"/jobs/{job['id']}/predictions")

    def report(self, source: str, evaluations: list[dict[str, Any]], **about: Any) -> dict[str, Any]:
        """Report what was measured elsewhere; nothing is learned from it until an operator trusts the source.

        Args:
            source: your name for where it was measured.
            evaluations: `{"configuration": …, "scores": {metric: …}}`, null scores where one failed.
            about: `dataset_id`, or `metafeatures` and `task_type` (and `target_sd`); `provenance`.

        Raises: ProblemError.
        """
        given = {key: value for key, value in about.items() if value is not None}
        return self._create("/evaluations", json={"source": source, "evaluations": evaluations, **given})

    def reports(self) -> Iterator[dict[str, Any]]:
        """What you reported, newest first.

        Raises: ProblemError.
        """
        return self._pages("/evaluations")

    def remove_report(self, report_id: str) -> None:
        """Remove a report, and with it what was learned from it.

        Raises: ProblemError.
        """
        self._call("DELETE", f"/evaluations/{report_id}")

    def upload(self, file: Path, *, target: str, **wishes: Any) -> dict[str, Any]:
        """Upload a dataset: its types, findings and metafeatures.

        Args:
            file: the table.
            target: name of the column to predict.
            wishes: `task_type`, `column_types`, `group`, `time`, `name`, `contribute`.

        Raises: ProblemError.
        """
        fields = {key: _as_field(value) for key, value in wishes.items() if value is not None}
        with file.open("rb") as content:
            return self._create(
                "/datasets", files={"file": (file.name, content)}, data={**fields, "target": target}
            )

    def dataset(self, dataset_id: str) -> dict[str, Any]:
        """One dataset as the service understood it.

        Raises: ProblemError.
        """
        return self._call("GET", f"/datasets/{dataset_id}")

    def datasets(self) -> Iterator[dict[str, Any]]:
        """All datasets, newest first, page by page.

        Raises: ProblemError.
        """
        return self._pages("/datasets")

    def metafeatures(self, dataset_id: str) -> dict[str, Any]:
        """A dataset's metafeatures with families, meanings and seconds.

        Raises: ProblemError.
        """
        return self._call("GET", f"/datasets/{dataset_id}/metafeatures")

    def delete_dataset(self, dataset_id: str) -> None:
        """Erase a dataset's rows, predictions and models.

        Raises: ProblemError.
        """
        self._call("DELETE", f"/datasets/{dataset_id}")

    def verify(self, dataset_id: str, **wishes: Any) -> dict[str, Any]:
        """Begin a verification job.

        Raises: ProblemError.
        """
        return self._create("/jobs", json={"kind": "verification", "dataset_id": dataset_id, **wishes})

    def search(self, dataset_id: str | None = None, **wishes: Any) -> dict[str, Any]:
        """Begin a search for the best hyperparameters, or go on with one that ended (`extends`).

        Raises: ProblemError.
        """
        about = {} if dataset_id is None else {"dataset_id": dataset_id}
        return self._create("/jobs", json={"kind": "search", **about, **wishes})

    def measure(self, dataset_id: str, configurations: list[str], **wishes: Any) -> dict[str, Any]:
        """Begin a job that measures these configurations, at most 50, and stacks nothing.

        Raises: ProblemError.
        """
        body = {"kind": "measurement", "dataset_id": dataset_id, "configurations": configurations, **wishes}
        return self._create("/jobs", json=body)

    def evaluations(self, job_id: str) -> Iterator[dict[str, Any]]:
        """All that a job's ended experiments measured, page by page.

        Raises: ProblemError.
        """
        return self._pages(f"/jobs/{job_id}/evaluations")

    def job(self, job_id: str) -> dict[str, Any]:
        """One job as it is now.

        Raises: ProblemError.
        """
        return self._call("GET", f"/jobs/{job_id}")

    def jobs(self) -> Iterator[dict[str, Any]]:
        """All jobs, newest first, page by page.

        Raises: ProblemError.
        """
        return self._pages("/jobs")

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask for the job's end.

        Raises: ProblemError.
        """
        return self._call("POST", f"/jobs/{job_id}/cancel")

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Wait until the job has ended, telling `on_change` of its present state and of every change.

        Raises: ProblemError, TimeoutError.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        response = self._send("GET", f"/jobs/{job_id}")
        while True:
            if response.status_code != httpx.codes.NOT_MODIFIED:
                job: dict[str, Any] = response.json()
                tag = response.headers["ETag"]
                on_change(job)
            if job["status"] in ENDED:
                return job
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{job_id} is still {job['status']} after {timeout} s.")
            wait = min(_WAIT_SECONDS, left)
            response = self._send(
                "GET",
                f"/jobs/{job_id}",
                params={"wait": f"{wait:.3f}"},
                headers={"If-None-Match": tag},
                timeout=self._timeout + wait,
            )
            time.sleep(min(pause_seconds(response), max(0.0, deadline - time.monotonic())))

    def events(self, job_id: str, *, after: int = 0, patience: float = 60.0) -> Iterator[dict[str, Any]]:
        """A job's events behind the position `after`, as they happen, until the last; each with `position`, `kind`, `data`.

        A stream that breaks off is resumed where it was; after `patience` seconds without any answer the error is raised.

        Raises: ProblemError, httpx.TransportError.
        """
        return listen(self._http, f"/jobs/{job_id}/events", after, patience)

    def model(self, model_id: str) -> dict[str, Any]:
        """A model's card.

        Raises: ProblemError.
        """
        return self._call("GET", f"/models/{model_id}")

    def card(self, model_id: str) -> str:
        """A model's card as Markdown.

        Raises: ProblemError.
        """
        return self._send("GET", f"/models/{model_id}/card").text

    def predict(
        self, model_id: str, rows: list[dict[str, Any]] | Path, *, time_budget_seconds: float | None = None
    ) -> dict[str, Any]:
        """Predictions for rows, or for a file of them; waits for as long as it takes.

        Args:
            model_id: of a model that the service fitted.
            rows: objects of columns and values, or the path of a CSV, Parquet, ARFF or JSON lines file.
            time_budget_seconds: what predicting may take, a minute unless given.

        Returns: `predictions` row by row, `classes` with `probabilities` of a classification, and what there is to say of
            the rows: `ignored_columns`, `target_ignored`, `unknown_categories`, `unchecked_columns`.

        Raises: ProblemError.
        """
        wishes = {} if time_budget_seconds is None else {"time_budget_seconds": time_budget_seconds}
        path = f"/models/{model_id}/predict"
        if isinstance(rows, Path):
            with rows.open("rb") as content:
                answer = self._create(path, files={"file": (rows.name, content)}, data=wishes)
        else:
            answer = self._create(path, json={"rows": rows, **wishes})
        if "predictions" in answer:
            return answer
        job = self.wait(answer["id"])
        return self._call("GET", f"/jobs/{job['id']}/predictions")

    def artifact(self, model_id: str, path: Path, format: str = "skops") -> None:  # noqa: A002  the query's name
        """Download a model's file.

        Raises: ProblemError.
        """
        with self._http.stream("GET", f"/models/{model_id}/artifact", params={"format": format}) as response:
            if response.is_error:
                response.read()
                raise problem_of(response)
            with path.open("wb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)

    def meta_dataset(self) -> dict[str, Any]:
        """What the recommendations rest on: counts, versions, and what every way of ranking is worth.

        Raises: ProblemError.
        """
        return self._call("GET", "/meta-dataset")

    def measured_datasets(self, task_type: str | None = None) -> Iterator[dict[str, Any]]:
        """The datasets of the meta-dataset by name, page by page.

        Raises: ProblemError.
        """
        return self._pages("/meta-dataset/datasets", task_type=task_type)

    def measured_dataset(self, name: str) -> dict[str, Any]:
        """One dataset of the meta-dataset with all its evaluations.

        Raises: ProblemError.
        """
        return self._call("GET", f"/meta-dataset/datasets/{quote(name, safe='')}")

    def meta_datasets(self) -> Iterator[dict[str, Any]]:
        """All imported meta-datasets, newest first, page by page.

        Raises: ProblemError.
        """
        return self._pages("/meta-datasets")

    def imported_meta_dataset(self, name: str) -> dict[str, Any]:
        """What is in an imported meta-dataset, and what recommending from it is worth.

        Raises: ProblemError.
        """
        return self._call("GET", f"/meta-datasets/{quote(name, safe='')}")

    def recommend_algorithms(
        self, name: str, metafeatures: dict[str, float | None], **wishes: Any
    ) -> dict[str, Any]:
        """Ask an imported meta-dataset for a ranking of its algorithms; `wishes` are `k` and `strategy`.

        Raises: ProblemError.
        """
        body = {
            "metafeatures": metafeatures,
            **{key: value for key, value in wishes.items() if value is not None},
        }
        return self._create(f"/meta-datasets/{quote(name, safe='')}/recommend", json=body)

    def delete_meta_dataset(self, name: str) -> None:
        """Delete an imported meta-dataset, with the recommendations given from it.

        Raises: ProblemError.
        """
        self._call("DELETE", f"/meta-datasets/{quote(name, safe='')}")

    def ready(self) -> bool:
        """Whether the service can serve."""
        try:
            return self._http.get("/health/ready").is_success
        except httpx.TransportError:
            return False

    def _pages(self, path: str, **parameters: str | None) -> Iterator[dict[str, Any]]:
        given = {name: value for name, value in parameters.items() if value is not None}
        cursor: str | None = None
        while True:
            page = self._call("GET", path, params={**given, **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _create(self, path: str, **arguments: Any) -> dict[str, Any]:
        """Ask for something new, again if a connection breaks, ours or the database's: by its key the service knows a repeat, and doubles nothing."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        began, pause = time.monotonic(), 0.25
        while True:
            try:
                return self._call("POST", path, headers=headers, **arguments)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if time.monotonic() - began > _OUTAGE_SECONDS:
                    raise
            except ProblemError as problem:
                if time.monotonic() - began > _PATIENCE_SECONDS.get(problem.code, 0.0):
                    raise
            time.sleep(pause)
            pause = min(2.0, 2 * pause)

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        response = self._send(method, path, **arguments)
        body: dict[str, Any] = response.json() if response.content else {}
        return body

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Ask; what only reads is asked again after the pause that a busy service wishes for."""
        tries = _MOST_TRIES if method == "GET" else 1
        response = self._http.request(method, path, **arguments)
        while asks_for_patience(response) and (tries := tries - 1):
            time.sleep(pause_seconds(response))
            response = self._http.request(method, path, **arguments)
        if response.is_error:
            raise problem_of(response)
        return response


def _as_field(value: Any) -> str:
    """A value as a form carries it: what is no string, as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
