"""Evaluations that were measured elsewhere: reported, kept apart until their source is trusted, and removable."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.dependencies import OperatorOnly, Owner, ReadSession, ServiceDep, WriteSession
from app.api.described import DescribedRequest
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, RequestModel, ResponseModel, as_time
from app.errors import InvalidRequestError
from app.failpoints import Step
from app.metalearning.metafeatures import SCHEMA_VERSION, as_vector
from app.metalearning.metrics import headline_metric
from app.metalearning.reporting import check_scores
from app.metalearning.table import TaskType
from app.store import datasets, reports
from app.store.database import commit
from app.store.tables import Dataset, EvaluationReport, EvaluationSource

router = APIRouter(tags=["evaluations"])

Scores = dict[str, float]
ShortText = Annotated[str, Field(max_length=100)]


class EvaluationRequest(RequestModel):
    """A configuration that was measured on the dataset."""

    configuration: str = Field(max_length=100, description="As `GET /configurations` calls it.")
    scores: Scores | None = Field(
        min_length=1,
        max_length=20,
        description="By metric, cross-validated on all rows; null where it failed or ran out of time.",
    )
    fit_cpu_seconds: float | None = Field(default=None, ge=0)


class ProvenanceRequest(RequestModel):
    """How the scores came about, for whoever has to decide whether to trust them."""

    url: str | None = Field(
        default=None, max_length=2000, description="Where the measurements are published."
    )
    protocol: str | None = Field(default=None, max_length=2000, description="Folds, seeds, limits.")
    versions: dict[ShortText, ShortText] = Field(
        default_factory=dict, max_length=50, description="Of libraries."
    )
    measured_at: datetime | None = None


class EvaluationsRequest(DescribedRequest):
    """What was measured on one dataset, and where."""

    source: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Your name for where this was measured."
    )
    target_sd: float | None = Field(
        default=None,
        gt=0,
        description="The target's standard deviation: needed with metafeatures, regression.",
    )
    evaluations: Annotated[list[EvaluationRequest], Field(min_length=1, max_length=200)]
    provenance: ProvenanceRequest = Field(default_factory=ProvenanceRequest)


class ReportResponse(ResponseModel):
    """A report; until its source is trusted nothing is learned from it."""

    id: str
    source: str
    source_id: str
    trusted: bool
    task_type: TaskType
    evaluations: int
    created_at: datetime


class ReportDetailResponse(ReportResponse):
    """A report with all that was told."""

    dataset: dict[str, Any]
    results: list[dict[str, Any]]
    provenance: dict[str, Any]


class SourceResponse(ResponseModel):
    """Where somebody's reported evaluations were measured."""

    id: str
    owner: str
    name: str
    evaluations: int
    trusted_at: datetime | None
    created_at: datetime


class TrustRequest(RequestModel):
    """Whether to learn from a source."""

    trusted: bool


@router.post(
    "/evaluations",
    status_code=201,
    response_model=ReportResponse,
    responses=problem_responses(404, 409, 410, 413, 422),
)
def report_evaluations(
    asked: EvaluationsRequest, service: ServiceDep, session: WriteSession, owner: Owner, once: OnceDep
) -> Response:
    """Report what was measured elsewhere. It is kept apart until an operator trusts the source."""
    with once(asked) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        dataset = datasets.get(session, owner, asked.dataset_id, lock=True) if asked.dataset_id else None
        task_type, description = _described(asked, dataset)
        report = reports.record(
            session,
            owner=owner,
            source=asked.source,
            task_type=task_type,
            dataset=description,
            evaluations=_evaluations(asked, task_type, description),
            provenance=asked.provenance.model_dump(mode="json"),
            most=service.settings.reported_evaluations,
        )
        answer = as_answer(_as_response(*reports.get(session, owner, report.id)), 201)
        answer.headers["Location"] = f"/evaluations/{report.id}"
        attempt.record(answer, about=report.id)
        commit(session, Step.REPORT_EVALUATIONS)
    return answer


@router.get("/evaluations", responses=problem_responses(422))
def list_reports(session: ReadSession, owner: Owner, query: PageParameters) -> Page[ReportResponse]:
    """What you reported, newest first."""
    found = reports.page(session, owner, query.limit, query.after)
    return Page(
        items=[_as_response(*each) for each in found],
        next_cursor=query.next_cursor([report.id for report, _ in found]),
    )


@router.get("/evaluations/{report_id}", responses=problem_responses(404))
def read_report(report_id: str, session: ReadSession, owner: Owner) -> ReportDetailResponse:
    """One report, with all that was told."""
    report, source = reports.get(session, owner, report_id)
    return ReportDetailResponse(
        **_as_response(report, source).model_dump(),
        dataset=report.dataset,
        results=report.evaluations,
        provenance=report.provenance,
    )


@router.delete("/evaluations/{report_id}", status_code=204, responses=problem_responses(404))
def remove_report(report_id: str, session: WriteSession, owner: Owner) -> None:
    """Remove a report. Meta-learners that learned from it answer no more: those before them do."""
    reports.remove(session, owner, report_id)
    commit(session, Step.REMOVE_REPORT)


@router.get("/evaluation-sources", dependencies=[OperatorOnly], responses=problem_responses(403, 422))
def list_sources(session: ReadSession, query: PageParameters) -> Page[SourceResponse]:
    """Everybody's sources, newest first; for operators."""
    found = reports.sources(session, query.limit, query.after)
    return Page(
        items=[_as_source(*each) for each in found],
        next_cursor=query.next_cursor([source.id for source, _ in found]),
    )


@router.put(
    "/evaluation-sources/{source_id}", dependencies=[OperatorOnly], responses=problem_responses(403, 404, 422)
)
def trust_source(source_id: str, asked: TrustRequest, session: WriteSession) -> SourceResponse:
    """Learn from a source from the next retraining on, or no more; for operators.

    Where trust ends, meta-learners that learned from it answer no more: those before them do.
    """
    source, evaluations = reports.trust(session, source_id, trusted=asked.trusted)
    answer = _as_source(source, evaluations)
    commit(session, Step.TRUST_SOURCE)
    return answer


def _described(asked: EvaluationsRequest, dataset: Dataset | None) -> tuple[TaskType, dict[str, Any]]:
    """The task type, and what a report keeps of the dataset.

    Raises: InvalidRequestError, of which impossible metafeatures are a kind; MetafeatureVersionError.
    """
    task_type, metafeatures = asked.described(dataset)
    as_vector(metafeatures, task_type)
    if dataset is not None and not dataset.contribute:
        raise InvalidRequestError(
            "The dataset was uploaded with contribute=false: nothing is learned from it.",
            "Report its metafeatures instead, if that is what you want.",
        )
    target_sd = dataset.target_sd if dataset else asked.target_sd
    if task_type is TaskType.REGRESSION and target_sd is None:
        raise InvalidRequestError(
            "Scores of rmse and mae are in the target's unit, which nothing tells.",
            "Give target_sd, the target's standard deviation.",
        )
    known = {name: value for name, value in metafeatures.items() if value is not None}
    return task_type, {
        "metafeatures": known,
        "metafeature_version": SCHEMA_VERSION,
        "target_sd": target_sd,
    }


def _evaluations(
    asked: EvaluationsRequest, task_type: TaskType, description: dict[str, Any]
) -> list[dict[str, Any]]:
    n_classes = int(description["metafeatures"].get("nr_class") or 2)
    headline = headline_metric(task_type, n_classes)
    told = [(each.configuration, each.scores) for each in asked.evaluations]
    fingerprints = check_scores(task_type, headline, told)
    return [
        {
            "configuration": each.configuration,
            "fingerprint": fingerprints[each.configuration],
            "scores": each.scores,
            "fit_cpu_seconds": each.fit_cpu_seconds,
        }
        for each in asked.evaluations
    ]


def _as_response(report: EvaluationReport, source: EvaluationSource) -> ReportResponse:
    return ReportResponse(
        id=report.id,
        source=source.name,
        source_id=source.id,
        trusted=source.trusted_at is not None,
        task_type=TaskType(report.task_type),
        evaluations=report.n_evaluations,
        created_at=as_time(report.created_at),
    )


def _as_source(source: EvaluationSource, evaluations: int) -> SourceResponse:
    return SourceResponse(
        id=source.id,
        owner=source.owner,
        name=source.name,
        evaluations=evaluations,
        trusted_at=as_time(source.trusted_at),
        created_at=as_time(source.created_at),
    )
