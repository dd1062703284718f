"""Rows that tests of the store write themselves."""

from typing import Any

from app.store.tables import Dataset


def dataset_row(dataset_id: str, **known: Any) -> Dataset:
    """A dataset of two classes of which nothing else is known but what is given."""
    facts: dict[str, Any] = {
        "owner": "local",
        "name": "d",
        "target": "y",
        "task_type": "classification",
        "n_rows": 100,
        "classes": ["a", "b"],
        "columns": [],
        "reading": {},
        "findings": [],
        "metafeatures": {},
        "metafeature_version": 1,
        "metafeature_seconds": {},
        "absent_metafeatures": [],
    }
    return Dataset(id=dataset_id, **facts | known)
