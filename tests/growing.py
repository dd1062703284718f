"""What tests grow is small: few trees tell what was learned too."""

import pytest

from workers.training import forests


def grow_few_trees(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forests, "N_TREES", 20)
    patch.setattr(forests, "N_MEETING", 6)
    patch.setattr(forests, "N_PAIR_TREES", 10)
    patch.setattr(forests, "N_ROUNDS", 20)
