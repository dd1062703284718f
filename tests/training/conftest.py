import pytest

from workers.training import forests


@pytest.fixture(autouse=True, scope="package")
def few_trees():
    """What is learned is told by few trees too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forests, "N_TREES", 20)
        patch.setattr(forests, "N_MEETING", 6)
        patch.setattr(forests, "N_PAIR_TREES", 10)
        patch.setattr(forests, "N_ROUNDS", 20)
        yield
