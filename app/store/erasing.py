"""What remains of a dataset once it is erased, be it by its owner's wish or because its time is over.

Nothing is kept unless it is named here, so that a new column or field is erased until somebody decides otherwise.
"""

from typing import Any

from sqlalchemy import delete, null, select, update
from sqlalchemy.orm import Session

from app.store import blobs
from app.store.tables import (
    Base,
    Dataset,
    Evaluation,
    Experiment,
    IdempotencyKey,
    Job,
    JobEvent,
    Model,
    Prediction,
    Recommendation,
    Task,
)

_ERASED = "Erased with the dataset."

_RECORD = {"id", "owner", "task_type", "contribute", "created_at", "used_at", "deleted_at", "expired_at"}
_EVIDENCE = {
    "n_rows",
    "target_sd",
    "metafeatures",
    "metafeature_version",
    "metafeature_seconds",
    "absent_metafeatures",
}
_MEASUREMENT = (
    {"protocol", "configuration", "fingerprint", "n_rows", "versions"}
    | {"scores", "scores_a", "scores_b", "fold_scores", "learning_curve"}
    | {"fit_cpu_seconds", "fit_wall_seconds", "predict_cpu_seconds_per_1000_rows", "peak_memory_bytes"}
)
_JOB_REQUEST = {
    "metric",
    "configurations",
    "time_budget_seconds",
    "most_experiments",
    "stop_early",
    "constraints",
} | {
    "method",
    "algorithms",
    "space",
    "trials",
    "parallel",
    "seed",
    "grid_points",
    "recommended",
    "warm_start",
    "extends",
}
_JOB_RESULT = (
    {"model_id", "no_model_because", "metric", "winner", "leaderboard", "search"}
    | {"choice", "runner_up", "stack_comparison"}  # of several configurations, by their names
)
_EVENT = (
    {"kind", "configurations", "configuration", "phase", "done", "total", "anchor", "attempt"}
    | {"reason", "failures", "lost", "number", "source"}
    | {"outcome", "status", "error"}  # of the error its code alone
)
_RECOMMENDATION_REQUEST = {"metric", "strategy", "k", "explain", "verify"} | {
    "constraints",
    "time_budget_seconds",
    "most_experiments",
}
_ANSWER = {"id", "owner", "status", "expires_at"}
_RECOMMENDATION_BODY = {
    "dataset_id",
    "task_type",
    "metric",
    "strategy",
    "outside_experience",
    "candidates",
    "neighbours",
    "moved_by",
    "excluded",
    "absent_metafeatures",
    "metafeature_version",
    "knowledge_version",
}


def erase(session: Session, dataset: Dataset) -> None:
    """Erase rows, predictions, models and every text that may quote them; what its owner contributes stays.

    The caller holds the dataset's lock, has seen that no job is active, and notes when and why. Again changes nothing.
    """
    contributes = dataset.contribute
    hashes = [dataset.content_hash]
    _blank(dataset, kept=_RECORD | (_EVIDENCE if contributes else set()))
    hashes += _erase_jobs(session, dataset.id, contributes=contributes)
    hashes += _erase_predictions(session, dataset.id)
    for model in session.scalars(select(Model).where(Model.dataset_id == dataset.id)):
        hashes += [model.artifact_hash, model.onnx_hash]
        session.delete(model)
    _erase_recommendations(session, dataset.id, contributes=contributes)
    erase_answers(session, dataset.id)
    blobs.discard_unreferenced(session, {each for each in hashes if each is not None})


def erase_answers(session: Session, subject_id: str) -> None:
    """Erase the recorded answers that quote a dataset or meta-dataset: their keys stay used."""
    quoting = (
        select(IdempotencyKey).where(IdempotencyKey.subject_id == subject_id).order_by(IdempotencyKey.id)
    )
    for answer in session.scalars(quoting.with_for_update()):  # some may expire right now
        _blank(answer, kept=_ANSWER)
    session.flush()


def _erase_jobs(session: Session, dataset_id: str, *, contributes: bool) -> list[str | None]:
    """Reduce jobs to their record, and scores to what is contributed; return the hashes of the predictions."""
    hashes = []
    for job in session.scalars(select(Job).where(Job.dataset_id == dataset_id)):
        job.request = _only(job.request, _JOB_REQUEST)
        job.result = _result(job.result) if contributes and job.result else null()
        job.error = _error(job.error)
    kept_of_events = _EVENT | ({"scores"} if contributes else set())
    events = select(JobEvent).join(Job, Job.id == JobEvent.job_id).where(Job.dataset_id == dataset_id)
    for event in session.scalars(events):
        event.data = _only(event.data, kept_of_events)
    of_dataset = Job.dataset_id == dataset_id
    for task in session.scalars(select(Task).join(Job, Job.id == Task.job_id).where(of_dataset)):
        task.progress = {}
        task.error = _error(task.error)
    experiments = select(Experiment).join(Job, Job.id == Experiment.job_id).where(of_dataset)
    for experiment in session.scalars(experiments):
        hashes.append(experiment.predictions_hash)
        experiment.predictions_hash = None
        experiment.result = _measurement(experiment.result) if contributes and experiment.result else null()
    evaluations = select(Evaluation).where(Evaluation.dataset_id == dataset_id)
    for evaluation in session.scalars(evaluations):
        if contributes:
            evaluation.result = _measurement(evaluation.result)
        else:
            session.delete(evaluation)
    return hashes


def _erase_predictions(session: Session, dataset_id: str) -> list[str | None]:
    """Forget what models of the dataset predicted; return the hashes of it."""
    hashes = []
    of_dataset = select(Prediction).join(Job, Job.id == Prediction.job_id).where(Job.dataset_id == dataset_id)
    for prediction in session.scalars(of_dataset):
        hashes += [prediction.input_hash, prediction.output_hash]
        prediction.input_hash = prediction.output_hash = prediction.kept_until = None
    return hashes


def _erase_recommendations(session: Session, dataset_id: str, *, contributes: bool) -> None:
    of_dataset = Recommendation.dataset_id == dataset_id
    if contributes:
        for recommendation in session.scalars(select(Recommendation).where(of_dataset)):
            recommendation.request = _only(recommendation.request, _RECOMMENDATION_REQUEST)
            recommendation.body = _only(recommendation.body, _RECOMMENDATION_BODY)
        return
    ids = select(Recommendation.id).where(of_dataset)
    session.execute(update(Job).where(Job.recommendation_id.in_(ids)).values(recommendation_id=None))
    session.execute(delete(Recommendation).where(of_dataset))


def _blank(row: Base, kept: set[str]) -> None:
    """Empty every column but these."""
    for column in row.__table__.columns:
        if column.key not in kept:
            empty = null() if column.nullable else type(getattr(row, column.key))()
            setattr(row, column.key, empty)


def _result(result: dict[str, Any]) -> dict[str, Any]:
    """A job's leaderboard; why there was no stack may quote the data."""
    reason = {"no_stack_because": _ERASED} if "no_stack_because" in result else {}
    return {**_only(result, _JOB_RESULT), **_splits(result), **reason}


def _measurement(result: dict[str, Any]) -> dict[str, Any]:
    """Scores and costs, or the code of what went wrong."""
    error = {"error": _error(result["error"])} if "error" in result else {}
    return {**_only(result, _MEASUREMENT), **_splits(result), **error}


def _splits(result: dict[str, Any]) -> dict[str, str]:
    """How the splits were made, without the columns that they were made by."""
    return {"splits": result["splits"].partition(" by ")[0]} if "splits" in result else {}


def _error(error: dict[str, Any] | None) -> Any:
    """An error's code: libraries like to quote the value that they stumbled over."""
    return null() if error is None else {"code": error.get("code"), "detail": _ERASED, "advice": ""}


def _only(fields: dict[str, Any], kept: set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in kept}
