"""A verification job's steps: experiments, then stacking, then the end."""

from sqlalchemy.orm import Session

from app.store import jobs


def advance(session: Session, job_id: str) -> bool:
    """Take the step that is due, if any; true where a new task was written. Safe to call at any time, by anybody."""
    if jobs.end_cancelled(session, job_id):
        return False
    jobs.drop_late_experiments(session, job_id)
    if jobs.begin_stacking(session, job_id):
        return True
    jobs.fail_without_result(session, job_id)
    return False
