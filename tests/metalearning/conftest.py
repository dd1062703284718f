from pathlib import Path

import pytest

from app.metalearning.knowledge import load_knowledge
from app.metalearning.reading import RawTable, ReadingLimits, read_file
from app.metalearning.recommendation import Question, recommend
from tests.tables import CLASSIFICATION, known_metafeatures


@pytest.fixture(scope="session")
def knowledge():
    return load_knowledge()


@pytest.fixture(scope="session")
def ask(knowledge):
    """Ask about a dataset of the evidence, or about given metafeatures."""

    def ask(task_type=CLASSIFICATION, metafeatures=None, **question):
        if metafeatures is None:
            metafeatures = known_metafeatures(knowledge[task_type].evidence)
        return recommend(knowledge[task_type], Question(task_type, metafeatures, **question))

    return ask


@pytest.fixture
def read(tmp_path: Path):
    """Read bytes as if they were uploaded, under these limits."""

    def read(content: bytes, target: str | None = None, **limits: int) -> RawTable:
        (tmp_path / "upload").write_bytes(content)
        return read_file(tmp_path / "upload", ReadingLimits(**limits), target)

    return read
