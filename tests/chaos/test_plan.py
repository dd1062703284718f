"""A whole run does what was promised of it."""

from chaos.failing import CASES, dealt, share
from chaos.plan import ACTS
from chaos.service import REDIS, SETUPS

COUNTS = {act.name: act.counts for act in ACTS}


def test_every_failpoint_fails_in_every_way_in_some_set_up() -> None:
    seen = [case for setup in SETUPS for case in dealt(setup, COUNTS["failpoints"][setup])]
    assert sorted(seen) == sorted(CASES)
    assert len({(step, moment) for step, moment, _ in CASES}) >= 25


def test_each_set_up_sees_every_action_and_a_larger_count_the_others_shares() -> None:
    for setup in SETUPS:
        assert len({action for _, _, action in share(setup)}) == 3
        steps = {(step, moment) for step, moment, _ in share(setup)}
        assert steps >= {(step, moment) for step, moment, _ in CASES if step != "ring"}
    assert sorted(dealt(REDIS, len(CASES))) == sorted(CASES)


def test_counts_are_those_that_were_promised() -> None:
    assert sum(COUNTS["killing"].values()) >= 500
    assert sum(COUNTS["cancelling"].values()) >= 500
    assert sum(COUNTS["rolling"].values()) >= 50
    assert set(COUNTS["killing"]) == set(COUNTS["cancelling"]) == set(COUNTS["rolling"]) == set(SETUPS)
    assert COUNTS["outages"][REDIS] >= 30
    assert COUNTS["disconnects"][REDIS] >= 100
