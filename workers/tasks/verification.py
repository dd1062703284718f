"""A job's steps: experiments, more of them where it follows its results, then stacking where a model is wanted, then the end.

A retraining, a prediction and a few-shot job have one step each, and end with it.
"""

from sqlalchemy.orm import Session

from app.isolation import Ending
from app.store import jobs, searches
from workers.tasks import exploring, searching, stacking


def advance(session: Session, job_id: str) -> str | None:
    """Take the step that is due, if any; the queue of a new task, if one was written. Safe at any time, by anybody."""
    if jobs.end_cancelled(session, job_id):
        return None
    jobs.drop_late(session, job_id)
    asked = exploring.go_on(session, job_id) or searching.go_on(session, job_id)
    if asked is not None:
        return asked
    queue = jobs.begin_stacking(session, job_id, searching.inherited_queue(session, job_id))
    if queue is None and jobs.lacks_only_a_result(session, job_id):
        stacking.end_without_model(session, job_id, Ending.TIMEOUT)
    elif queue is None and not (
        jobs.end_measurement(session, job_id)
        or jobs.end_retraining(session, job_id)
        or jobs.end_prediction(session, job_id)
    ):
        jobs.fail_without_result(session, job_id, searches.why_nothing(session, job_id))
    return queue
