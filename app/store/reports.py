"""Reported evaluations: measured elsewhere, in quarantine until an operator trusts their source, removable at any time."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import ReportNotFoundError, SourceNotFoundError, TooManyEvaluationsError
from app.store import erasing, promotions
from app.store.database import now, wait_for_turn
from app.store.ids import new_id
from app.store.tables import EvaluationReport, EvaluationSource


def record(
    session: Session,
    *,
    owner: str,
    source: str,
    task_type: str,
    dataset: dict[str, Any],
    evaluations: list[dict[str, Any]],
    provenance: dict[str, Any],
    most: int,
) -> EvaluationReport:
    """Remember what somebody reports, under a source that is made known by its first report.

    Raises: TooManyEvaluationsError: the owner would have more than `most` evaluations.
    """
    wait_for_turn(session, _line_of(owner))
    mine = select(func.sum(EvaluationReport.n_evaluations)).where(EvaluationReport.owner == owner)
    known = session.scalar(mine) or 0
    if known + len(evaluations) > most:
        raise TooManyEvaluationsError(
            f"{known} evaluations are stored of at most {most}; these would be {len(evaluations)} more.",
            "Remove older reports: DELETE /evaluations/{id}.",
        )
    by_name = select(EvaluationSource).where(EvaluationSource.owner == owner, EvaluationSource.name == source)
    found = session.scalars(by_name).one_or_none()
    if found is None:
        found = EvaluationSource(id=new_id("src"), owner=owner, name=source)
        session.add(found)
        session.flush()
    report = EvaluationReport(
        id=new_id("rep"),
        owner=owner,
        source_id=found.id,
        task_type=task_type,
        dataset=dataset,
        evaluations=evaluations,
        n_evaluations=len(evaluations),
        provenance=provenance,
    )
    session.add(report)
    session.flush()
    return report


def get(session: Session, owner: str, report_id: str) -> tuple[EvaluationReport, EvaluationSource]:
    """The owner's report, with its source.

    Raises: ReportNotFoundError.
    """
    query = _with_sources().where(EvaluationReport.owner == owner, EvaluationReport.id == report_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise ReportNotFoundError(
            f"There are no reported evaluations {report_id[:100]!r}.", "GET /evaluations lists yours."
        )
    return row[0], row[1]


def page(
    session: Session, owner: str, limit: int, before: str | None
) -> list[tuple[EvaluationReport, EvaluationSource]]:
    """The owner's reports with their sources, newest first, at most `limit`, older than the report `before`."""
    query = _with_sources().where(EvaluationReport.owner == owner)
    query = query.where(EvaluationReport.id < before) if before else query
    rows = session.execute(query.order_by(EvaluationReport.id.desc()).limit(limit))
    return [(report, source) for report, source in rows]


def remove(session: Session, owner: str, report_id: str) -> None:
    """Remove a report; what was learned from it answers no more, and is removed too.

    A source that nobody trusts goes with its last report. Raises: ReportNotFoundError.
    """
    wait_for_turn(session, _line_of(owner))  # so that nobody reports under a source that goes
    report, source = get(session, owner, report_id)
    session.delete(report)
    session.flush()
    others = select(EvaluationReport.id).where(EvaluationReport.source_id == source.id).limit(1)
    if source.trusted_at is None and session.scalar(others) is None:
        session.delete(source)
    erasing.erase_answers(session, report_id)
    promotions.withdraw(session, {report_id})


def sources(session: Session, limit: int, before: str | None) -> list[tuple[EvaluationSource, int]]:
    """Everybody's sources with the number of their evaluations, newest first."""
    query = select(EvaluationSource, _n_evaluations().scalar_subquery())
    query = query.where(EvaluationSource.id < before) if before else query
    rows = session.execute(query.order_by(EvaluationSource.id.desc()).limit(limit))
    return [(source, int(evaluations)) for source, evaluations in rows]


def trust(session: Session, source_id: str, *, trusted: bool) -> tuple[EvaluationSource, int]:
    """Let what is reported from a source be learned from, or no more: then what was learned from it is withdrawn.

    Returns: the source, and the number of its evaluations. Raises: SourceNotFoundError.
    """
    query = select(EvaluationSource).where(EvaluationSource.id == source_id).with_for_update()
    source = session.scalars(query).one_or_none()
    if source is None:
        raise SourceNotFoundError(
            f"There is no source {source_id[:100]!r}.", "GET /evaluation-sources lists them."
        )
    if trusted and source.trusted_at is None:
        source.trusted_at = session.scalars(select(now())).one()
    if not trusted and source.trusted_at is not None:
        source.trusted_at = None
        session.flush()
        of_source = select(EvaluationReport.id).where(EvaluationReport.source_id == source.id)
        promotions.withdraw(session, set(session.scalars(of_source)))
    session.flush()
    return source, int(session.scalar(_n_evaluations(EvaluationSource.id == source_id)) or 0)


def _line_of(owner: str) -> str:
    return f"reports of {owner}"


def _n_evaluations(*where: Any) -> Any:
    """Of a source."""
    of_source = (EvaluationReport.source_id == EvaluationSource.id, *where)
    return select(func.coalesce(func.sum(EvaluationReport.n_evaluations), 0)).where(*of_source)


def _with_sources() -> Any:
    return select(EvaluationReport, EvaluationSource).join(
        EvaluationSource, EvaluationSource.id == EvaluationReport.source_id
    )
