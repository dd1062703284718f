import pytest

from tests.growing import grow_few_trees


@pytest.fixture(autouse=True, scope="package")
def few_trees():
    with pytest.MonkeyPatch.context() as patch:
        grow_few_trees(patch)
        yield
