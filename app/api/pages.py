"""The report of a job: one page for people that loads nothing, from what is known of the job right now."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.orm import Session

from app.api import charts
from app.api.dependencies import Owner, ReadSession
from app.api.problems import problem_responses
from app.api.progress import progress_of
from app.errors import DatasetExpiredError, NotFoundError
from app.metalearning.metrics import METRICS
from app.sentences import honest_sentences, search_sentence, stack_sentence, why_no_score
from app.store import datasets, jobs, models, recommendations
from app.store.experiments import STOPPED_EARLY
from app.store.jobs import JobDetail
from app.store.tables import Dataset, Experiment, Task

router = APIRouter(tags=["jobs"])

_HEADLINES = (
    "roc_auc",
    "log_loss",
    "rmse",
)  # what is shown of a job without a metric: the first that there is
_MOST_LINES, _MOST_BARS, _MOST_ROWS = 12, 20, 50
_OTHER_METRICS = 3
_PARTS_SHOWN = (
    1,
    2,
    3,
    5,
    8,
    13,
    21,
    34,
    50,
)  # of a training's fifty, about as far apart on a logarithmic axis
_WHYS = ("extrapolation", "rung")  # of experiments that were stopped early
# Nothing is loaded, nothing runs: whatever a client named can only be read.
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=False,
)


@router.get(
    "/jobs/{job_id}/report",
    response_class=HTMLResponse,
    responses={200: {"content": {"text/html": {}}, "description": "The page"}, **problem_responses(404)},
)
def read_report(job_id: str, session: ReadSession, owner: Owner) -> HTMLResponse:
    """Everything about a job on one page: ranking, leaderboard, learning curves, errors, importance, costs."""
    facts = _Facts(session, owner, jobs.detail(session, owner, job_id))
    page = _TEMPLATES.get_template("report.html").render(**facts.page())
    return HTMLResponse(page, headers=_HEADERS)


class _Facts:
    """What is known of a job; what was erased, or is not there yet, is left out."""

    def __init__(self, session: Session, owner: str, detail: JobDetail) -> None:
        self.detail = detail
        self.job = detail.job
        self.result: dict[str, Any] = detail.job.result or {}
        self.dataset = _dataset(session, owner, detail.job.dataset_id)
        self.recommended = _recommended(session, owner, detail.job.recommendation_id)
        self.diagnosis = _diagnosis(session, owner, self.result.get("model_id"))
        self.ended = [(each, task) for each, task in detail.experiments if each.outcome is not None]
        self.metric = self._metric()

    def page(self) -> dict[str, Any]:
        """What the template asks for."""
        return {
            "title": f"{self.job.kind.capitalize()} of {self.dataset.name}"
            if self.dataset
            else f"{self.job.kind.capitalize()} {self.job.id}",
            "subtitle": self._subtitle(),
            "summary": self._summary(),
            "metric": self.metric,
            "winner": self.result.get("winner"),
            "footer": f"{self.job.id}, as of {datetime.fromtimestamp(self.detail.now, UTC):%Y-%m-%d %H:%M:%S} UTC.",
            **self._ranking(),
            **self._leaderboard(),
            **self._search(),
            **self._curves(),
            **_training(self.result.get("losses")),
            **_confusion(self.diagnosis.get("confusion")),
            **_reliability(self.diagnosis.get("reliability")),
            **_residuals(self.diagnosis.get("residuals")),
            **_importance(self.diagnosis.get("importance"), self.metric),
            **self._costs(),
        }

    def _metric(self) -> str | None:
        told: str | None = self.job.request.get("metric")
        scores: list[dict[str, float]] = [
            (each.result or {}).get("scores", {}) for each, _ in self.ended if each.outcome == "ok"
        ]
        return told or next((name for name in _HEADLINES if scores and name in scores[0]), None)

    def _subtitle(self) -> str:
        parts = [self.job.status, f"began {_date(self.job.created_at)}"]
        if self.dataset:
            parts.append(f"{self.dataset.n_rows:,} rows, {len(self.dataset.columns):,} columns")
            parts.append(f"{self.dataset.task_type} of {self.dataset.target}")
        if "splits" in self.result:
            parts.append(f"splits {self.result['splits']}")
        return "; ".join(parts)

    def _summary(self) -> list[str]:
        """What came out, in sentences."""
        error = self.job.error
        if error is not None:
            return [" ".join(str(error.get(part) or "") for part in ("detail", "advice")).strip()]
        if self.job.status in jobs.UNFINISHED:
            progress = progress_of(self.detail)
            if not progress.experiments_total:
                return [f"Still {progress.phase}."]
            return [
                f"Still {progress.phase}: {progress.experiments_done} of {progress.experiments_total} experiments are done."
            ]
        if "promoted" in self.result:  # of a retraining
            return [self.result["because"]]
        if "winner" not in self.result:
            return []
        sentences = [f"{self.result['winner']} is the best that was measured{self._score()}."]
        sentences += honest_sentences(self.result)
        if self.result.get("stack_comparison") or "no_stack_because" in self.result:
            sentences.append(stack_sentence(self.result))
        comparison = self.result.get("stack_comparison") or {}
        if "because" in comparison:
            better = "stack" if comparison["better_buy"] == "stack" else "single configuration"
            sentences.append(f"{comparison['because']} The {better} is the better buy.")
        if self.result.get("no_model_because"):
            sentences.append(self.result["no_model_because"])
        return sentences

    def _score(self) -> str:
        """The winner's, with its interval."""
        row = next(
            (each for each in self.result.get("leaderboard", ()) if each["name"] == self.result["winner"]),
            None,
        )
        if row is None or self.metric not in row["scores"]:
            return ""
        interval = self.diagnosis.get("interval")
        ends = f" (90 % interval {interval[0]:.4g} to {interval[1]:.4g})" if interval else ""
        return f": {self.metric} {row['scores'][self.metric]:.4g}{ends}"

    def _ranking(self) -> dict[str, Any]:
        """The candidates as they were expected and, where the score is in the same unit, as they came out."""
        body = self.recommended
        measured = {
            each.configuration: (each.result or {}).get("scores", {}).get(self.metric)
            for each, _ in self.ended
        }
        rows = [
            charts.Interval(
                each["configuration"],
                each["expected"]["low"],
                each["expected"]["high"],
                each["expected"]["score"],
                measured.get(each["configuration"]) if each["expected"]["unit"] == self.metric else None,
            )
            for each in body.get("candidates", ())
            if "expected" in each
        ]
        inside = [row for row in rows if row.measured is not None]
        n_inside = sum(row.low <= row.measured <= row.high for row in inside)  # type: ignore[operator]  # none is missing
        return {
            "ranking": charts.intervals(rows, self.metric or ""),
            "has_measured": bool(inside),
            "inside": f"{n_inside} of {len(inside)} lie within." if inside else "",
            "strategy": body.get("strategy"),
            "neighbours": body.get("neighbours", []),
            "similar": body.get("similar", []),
            # Of other datasets errors in the target's unit say nothing.
            "neighbour_metric": f"{self.metric} / sd of the target"
            if self.metric in ("rmse", "mae")
            else self.metric,
        }

    def _leaderboard(self) -> dict[str, Any]:
        rows = (self.result.get("leaderboard") or [])[:_MOST_ROWS]
        spread = []
        for row in rows[:_MOST_BARS]:
            folds = [each for each in row.get("fold_scores", ()) if each is not None]
            low, high = (min(folds), max(folds)) if folds else (None, None)
            spread.append(charts.Interval(row["name"], low, high, measured=row["scores"].get(self.metric)))
        others = [name for name in (rows[0]["scores"] if rows else ()) if name != self.metric]
        return {
            "leaderboard": rows,
            "folds": charts.intervals(spread, self.metric or ""),
            "shown_metrics": [self.metric, *others[:_OTHER_METRICS]],
        }

    def _search(self) -> dict[str, Any]:
        """How a search went, trial by trial."""
        metric = METRICS.get(self.metric or "")
        tried = [(each.trial["number"], each) for each, _ in self.ended if each.trial is not None]
        if metric is None or not tried:
            return {"search": "", "search_sentence": ""}
        scores = sorted(
            (number, each.result["scores"][metric.name])
            for number, each in tried
            if each.result and metric.name in each.result.get("scores", {})
        )
        told = self.result.get("search")
        return {
            "search": charts.best_so_far(
                scores, larger_is_better=metric.larger_is_better, y_axis=metric.name
            ),
            "search_sentence": search_sentence(told) if told else "",
        }

    def _curves(self) -> dict[str, Any]:
        """One line per configuration; what was measured in full ends with the first fold's whole training set."""
        if self.metric is None:
            return {"curves": "", "curve_metric": None}
        drawn = []
        for each, _ in self.ended[:_MOST_LINES]:
            result = each.result or {}
            points = [
                (float(point["anchor"]), point[self.metric])
                for point in result.get("learning_curve", ())
                if point.get(self.metric) is not None
            ]
            folds = result.get("fold_scores") or []
            if points and folds and result.get("splits") == "stratified":
                first = folds[0].get(self.metric)
                n_training = result["n_rows"] * (len(folds) - 1) // len(folds)
                points += [(float(n_training), first)] if first is not None else []
            if len(points) > 1:
                drawn.append(charts.Line(each.configuration, points, each.outcome == STOPPED_EARLY))
        return {
            "curves": charts.lines(drawn, "rows learned from", self.metric),
            "curve_metric": self.metric,
        }

    def _costs(self) -> dict[str, Any]:
        rows = [_cost(each, task) for each, task in self.ended]
        seconds = sum(row["wall_seconds"] or 0.0 for row in rows)
        elapsed = progress_of(self.detail).elapsed_seconds
        whole = f" The job took {elapsed:.3g} s." if elapsed is not None else ""
        return {
            "experiments": rows,
            "cost_sentence": f"{len(rows)} experiments took {seconds:.3g} s of workers' time.{whole}",
        }


def _cost(experiment: Experiment, task: Task) -> dict[str, Any]:
    result = experiment.result or {}
    ran = task.started_at is not None and task.finished_at is not None
    told = {"error": result.get("error") or task.error, **{name: result.get(name) for name in _WHYS}}
    memory = result.get("peak_memory_bytes")
    return {
        "configuration": experiment.configuration,
        "outcome": experiment.outcome,
        "attempts": task.attempt,
        "wall_seconds": task.finished_at - task.started_at if ran else None,  # type: ignore[operator]  # neither is missing
        "fit_cpu_seconds": result.get("fit_cpu_seconds"),
        "megabytes": None if memory is None else memory / 1e6,
        "why": "" if experiment.outcome == "ok" else why_no_score(told),
    }


def _training(losses: dict[str, list[float]] | None) -> dict[str, Any]:
    """How the loss of every network fell, which jobs of before networks do not say."""
    drawn = [
        charts.Line(name, [(100.0 * part / len(means), means[part - 1]) for part in _PARTS_SHOWN])
        for name, means in (losses or {}).items()
    ]
    return {"training": charts.lines(drawn, "percent of the training", "loss")}


def _confusion(found: dict[str, Any] | None) -> dict[str, Any]:
    if not found:
        return {"confusion": None}
    labels = [*found["labels"], *([f"{found['others']} others"] if found["others"] else [])]
    rows = []
    for place, (label, counts) in enumerate(zip(labels, found["counts"], strict=True)):
        total = max(1, sum(counts))
        cells = [
            {"count": count, "shade": round(0.8 * count / total, 3), "right": place == column}
            for column, count in enumerate(counts)
        ]
        rows.append({"label": label, "cells": cells})
    return {"confusion": {"labels": labels, "rows": rows}}


def _reliability(bins: list[dict[str, float]] | None) -> dict[str, Any]:
    total = sum(each["rows"] for each in bins or ())
    points = [
        charts.Point(each["said"], each["right"], each["rows"] / total, f"{each['rows']} rows")
        for each in bins or ()
    ]
    return {"reliability": charts.scatter(points, "said to be", "was right") if len(points) > 1 else ""}


def _residuals(found: dict[str, Any] | None) -> dict[str, Any]:
    if not found:
        return {"residuals": "", "residual_sentence": ""}
    of = found["quantiles"]
    return {
        "residuals": charts.scatter(
            [charts.Point(true, said) for true, said in found["points"]], "true", "predicted"
        ),
        "residual_sentence": (
            f"On rows that were held out. Half of the errors (true less predicted) lie between {of['0.25']:.4g} and "
            f"{of['0.75']:.4g}, nine of ten between {of['0.05']:.4g} and {of['0.95']:.4g}."
        ),
    }


def _importance(found: dict[str, Any] | None, metric: str | None) -> dict[str, Any]:
    columns = (found or {}).get("columns")
    rows = [charts.Bar(each["name"], each["mean"], each["sd"]) for each in columns or ()]
    return {
        "importance": charts.bars(rows, f"{metric} loss"),
        "importance_because": (found or {}).get("because"),
        "importance_rows": (found or {}).get("rows"),
        "importance_repeats": (found or {}).get("repeats"),
    }


def _dataset(session: Session, owner: str, dataset_id: str | None) -> Dataset | None:
    """None where there is none, or none any more."""
    try:
        return datasets.get(session, owner, dataset_id) if dataset_id else None
    except (NotFoundError, DatasetExpiredError):
        return None


def _recommended(session: Session, owner: str, recommendation_id: str | None) -> dict[str, Any]:
    try:
        return recommendations.get(session, owner, recommendation_id).body if recommendation_id else {}
    except NotFoundError:
        return {}


def _diagnosis(session: Session, owner: str, model_id: str | None) -> dict[str, Any]:
    """What the model's card says of it; cards of before, and models that were erased, say nothing."""
    try:
        found: dict[str, Any] = (
            models.get(session, owner, model_id).card.get("diagnosis") or {} if model_id else {}
        )
    except NotFoundError:
        return {}
    return found


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
