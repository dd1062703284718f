"""Label the queries of a few-shot job: what its child computes."""

import json
from pathlib import Path
from typing import Any

from app.isolation import Report
from app.metalearning.fewshot.encoding import encode
from app.metalearning.fewshot.methods import Method, choose
from workers.experiments.contract import ANSWER_FILE
from workers.experiments.fewshot.learners import learner


def classify(payload: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001  it is over before anybody looks
    """Write the answer as JSON to the task's folder; return how it came about, without a word of the rows: a job's result is kept longer than they are.

    Args:
        payload: `job_id`, `rows` (path of `support`, `labels` and `query` as JSON), `method`, `folder`.
        report: never told of anything.

    Raises: subclasses of UnusableRowsError and UnusableDatasetError.
    """
    sent = json.loads(Path(payload["rows"]).read_bytes())
    encoded = encode(sent["support"], sent["labels"], sent["query"])
    task = encoded.task
    choice = choose(Method(payload["method"]), task)
    shares = learner(choice.method)(task)
    told = {
        "method": choice.method,
        "because": choice.because,
        "n_support": len(task.support),
        "n_query": len(task.queries),
        "n_features": task.n_features,
    }
    answer = {
        "job_id": payload["job_id"],
        **told,
        "ignored_columns": list(encoded.ignored_columns),
        "unknown_categories": encoded.unknown_categories,
        "classes": list(encoded.classes),
        "predictions": [encoded.classes[code] for code in shares.argmax(axis=1)],
        "confidence": shares.max(axis=1).tolist(),
        "probabilities": shares.tolist(),
    }
    with (Path(payload["folder"]) / ANSWER_FILE).open("w") as file:
        json.dump(answer, file, allow_nan=False, separators=(",", ":"))
    return told
