"""Datasets of which a few results came in: what is inferred of them, and what is not."""

import dataclasses
import json

import numpy as np
import pytest

from app.metalearning.baselines import WORST_REGRET
from app.metalearning.experience import FEWEST_METAFEATURES, LARGEST_LOSS
from app.metalearning.knowledge import dump, load_knowledge, read
from app.metalearning.learned import LearnedDataset, as_lines, grown, infer_ranges, of_lines, seen_by
from app.metalearning.metalearners import NEURAL_STRATEGIES, STRATEGIES
from app.metalearning.metrics import METRICS, headline_metric, metrics_of
from app.metalearning.posterior import Profiles
from app.metalearning.promotion import judge
from app.metalearning.recommendation import Question, recommend
from app.metalearning.table import TaskType
from tests.tables import known_metafeatures

KNOWLEDGE = load_knowledge()
REGRESSION = TaskType.REGRESSION
EVIDENCE = KNOWLEDGE[REGRESSION].evidence
ROW, TRIED = 40, (0, 3, 7, 11, 20)


def learned(row: int = ROW, tried: tuple[int, ...] = TRIED, failed: tuple[int, ...] = ()) -> LearnedDataset:
    """What a few configurations reached on a dataset that is known in full."""
    scores = {
        EVIDENCE.configurations[index]: {
            metric.name: float(
                metric.score(
                    EVIDENCE.losses[metric.name][row, index], 2.0 if metric.name in {"rmse", "mae"} else 1.0
                )
            )
            for metric in metrics_of(REGRESSION)
        }
        for index in tried
    }
    without = dict.fromkeys((EVIDENCE.configurations[index] for index in failed), None)
    return LearnedDataset(REGRESSION, 0, 2.0, known_metafeatures(EVIDENCE, row), scores | without)


def others() -> list[int]:
    return [row for row in range(len(EVIDENCE.datasets)) if row != ROW]


def test_what_was_tried_is_as_it_was_and_the_rest_stays_a_gap() -> None:
    more = grown(EVIDENCE.of(others()), [learned(failed=(30,))])
    assert more.headline_losses[-1, list(TRIED)] == pytest.approx(EVIDENCE.headline_losses[ROW, list(TRIED)])
    gaps = np.ones(len(EVIDENCE.configurations), dtype=bool)
    gaps[[*TRIED, 30]] = False
    assert np.isnan(more.regret[-1, gaps]).all()
    assert np.isnan(more.headline_losses[-1, gaps]).all()
    assert more.regret[-1, 30] == WORST_REGRET
    assert np.isnan(more.fit_seconds[-1]).all()
    assert len(more.datasets) == len(more.groups) == len(more.metafeatures) == len(EVIDENCE.datasets)
    for name, losses in more.losses.items():
        assert losses[-1, list(TRIED)] == pytest.approx(EVIDENCE.losses[name][ROW, list(TRIED)])


def test_a_few_good_ones_do_not_pass_for_all() -> None:
    """The median of the best five is far from the median of all; what is inferred is nearer on three datasets of four."""
    nearer = []
    for row in range(0, len(EVIDENCE.datasets), 3):
        losses = EVIDENCE.headline_losses[row]
        best = np.argsort(losses)[:5]
        partial = np.full((1, len(losses)), np.nan)
        partial[0, best] = losses[best]
        complete = EVIDENCE.headline_losses[[each for each in range(len(EVIDENCE.datasets)) if each != row]]
        [(low, middle)] = infer_ranges(complete, partial)
        assert low <= losses[best[0]] + 1e-12
        truth = np.nanmedian(losses)
        nearer.append(abs(middle - truth) < abs(np.median(losses[best]) - truth))
    assert np.mean(nearer) > 0.75


def test_too_few_scores_say_nothing() -> None:
    few = learned(tried=(1, 2), failed=(3, 4))
    assert not few.teaches(EVIDENCE.configurations)
    with pytest.raises(ValueError, match="too few"):
        grown(EVIDENCE, [few])
    partial = np.full((1, len(EVIDENCE.configurations)), np.nan)
    partial[0, :2] = 0.5
    assert np.isnan(infer_ranges(EVIDENCE.headline_losses, partial)).all()


def test_profiles_have_the_inferred_unit() -> None:
    losses = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, np.nan, np.nan, 0.2], [np.nan] * 4])
    tried = ~np.isnan(losses)
    ranges = np.array([[np.nan, np.nan], [0.1, 0.3], [np.nan, np.nan]])
    profiles = Profiles(losses, tried, ranges)
    assert profiles.values[0] == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert profiles.values[1] == pytest.approx([-1, 0, 0, -0.5])
    assert (profiles.values[2] == 0).all()
    assert np.isfinite(profiles.scales).all()


def test_a_near_duplicate_joins_its_group_and_names_nobody() -> None:
    more = grown(EVIDENCE, [learned()])
    assert more.groups[-1] == more.groups[ROW]
    assert more.datasets[-1] == "learned-1"
    of_none = dict.fromkeys(_known_names(ROW)[-FEWEST_METAFEATURES:], 1.0)
    far = dataclasses.replace(learned(), metafeatures=of_none)
    apart = grown(EVIDENCE, [learned(), far])
    assert apart.groups[-1] == apart.datasets[-1] == "learned-2"
    assert apart.groups[: len(EVIDENCE.groups)] == EVIDENCE.groups


def test_a_part_of_its_description_gives_a_near_duplicate_away() -> None:
    """Else who tells less would have its results teach about the very dataset that is held out."""
    names = _known_names(ROW)
    for part in (names[::2], names[1::4], names[-8:]):
        told = {name: value for name, value in known_metafeatures(EVIDENCE, ROW).items() if name in part}
        more = grown(EVIDENCE, [dataclasses.replace(learned(), metafeatures=told)])
        assert more.groups[-1] == more.groups[ROW]


def test_whoever_hardly_describes_a_dataset_teaches_nothing() -> None:
    known = known_metafeatures(EVIDENCE, ROW)
    told = {name: known[name] for name in _known_names(ROW)[: FEWEST_METAFEATURES - 1]}
    for metafeatures in ({}, told):
        hardly = dataclasses.replace(learned(), metafeatures=metafeatures)
        assert not hardly.teaches(EVIDENCE.configurations)
    assert learned().teaches(EVIDENCE.configurations)


def test_scores_of_what_is_not_in_the_evidence_do_not_count() -> None:
    """They cannot be compared with anything, and their rows would pass for failures throughout."""
    others_than = [each for each in EVIDENCE.configurations if each not in learned().scores]
    assert not learned().teaches(others_than)


def test_the_targets_spread_is_part_of_what_is_told() -> None:
    """The same metafeatures with another spread are other losses."""
    assert dataclasses.replace(learned(), target_sd=3.0).key != learned().key


def test_losses_are_never_negative() -> None:
    """Metafeatures are accepted up to a rounding beyond their range, and an entropy is divided by."""
    told = {"class_ent": -1e-10, "nr_class": 3.0}
    odd = LearnedDataset(TaskType.CLASSIFICATION, 3, None, told, {"any": {"log_loss": 0.5}})
    assert odd.losses(METRICS["log_loss"], ["any"]) == pytest.approx(0.5 / np.log(3))


def _known_names(row: int) -> list[str]:
    return [name for name, value in known_metafeatures(EVIDENCE, row).items() if value is not None]


def test_it_is_stored_as_json_and_comes_back_the_same() -> None:
    lines = json.loads(json.dumps(as_lines([learned(), learned(3)])))
    assert sorted(of_lines(lines), key=lambda each: each.key) == sorted(
        [learned(), learned(3)], key=lambda each: each.key
    )
    assert lines == json.loads(json.dumps(as_lines([learned(3), learned()])))


def test_knowledge_that_learned_answers_and_is_stored_whole() -> None:
    """Whatever the metric; one that was not told of the learned dataset is not disturbed by it."""
    told = learned()
    only_rmse = dataclasses.replace(
        told, scores={name: {"rmse": (scores or {})["rmse"]} for name, scores in told.scores.items()}
    )
    known = KNOWLEDGE[REGRESSION]
    more = grown(EVIDENCE, [only_rmse])
    leaves = {
        part: dataclasses.replace(
            getattr(known.trained, part),
            leaves=np.concatenate(
                [getattr(known.trained, part).leaves, getattr(known.trained, part).leaves[[ROW]]]
            ),
        )
        for part in ("forest", "level")
    }
    trained = dataclasses.replace(known.trained, **leaves)
    back = read(dump(more, trained, known.report))
    assert back.version == read(dump(more, trained, known.report)).version != known.version
    assert back.evidence.datasets[-1] == "learned-1"
    for metric in (None, *(each.name for each in metrics_of(REGRESSION))):
        for strategy in (None, *STRATEGIES, *NEURAL_STRATEGIES):
            question = Question(
                REGRESSION, known_metafeatures(EVIDENCE, ROW), metric=metric, strategy=strategy
            )
            answer = recommend(back, question)
            assert answer.version == back.version
            for each in answer.candidates:
                assert np.isfinite([each.expected.score, each.expected_regret, each.fit_cpu_seconds]).all()


def test_what_was_not_told_by_a_metric_is_no_failure_by_it() -> None:
    told = learned(failed=(30,))
    without, *others_tried = (EVIDENCE.configurations[index] for index in TRIED)
    scores = {
        name: {"rmse": (each or {})["rmse"]} if name == without else each
        for name, each in told.scores.items()
    }
    more = grown(EVIDENCE.of(others()), [dataclasses.replace(told, scores=scores)])
    seen = seen_by(more, METRICS["mae"], keeps_regret=False)
    assert np.isnan(seen.regret[-1, EVIDENCE.configurations.index(without)])
    assert seen.regret[-1, 30] == WORST_REGRET
    assert np.isfinite([seen.regret[-1, EVIDENCE.configurations.index(name)] for name in others_tried]).all()


def test_headline_metric_is_what_counts() -> None:
    assert headline_metric(REGRESSION, 0) is METRICS["rmse"]
    only_mae = {name: {"mae": (each or {})["mae"]} for name, each in learned().scores.items()}
    assert not dataclasses.replace(learned(), scores=only_mae).teaches(EVIDENCE.configurations)


@pytest.mark.parametrize(
    ("mine", "portfolio", "present", "promoted"),
    [(0.2, 0.3, 0.25, True), (0.2, 0.3, 0.2, True), (0.26, 0.3, 0.25, False), (0.3, 0.3, 0.4, False)],
)
def test_only_what_beats_the_portfolio_and_is_no_worse_is_promoted(
    mine: float, portfolio: float, present: float, promoted: bool
) -> None:
    candidate = {"default": "hybrid", "score": {"hybrid": mine, "portfolio": portfolio}}
    verdict = judge(candidate, {"default": "forest", "score": {"forest": present, "portfolio": 0.5}})
    assert verdict.promoted is promoted
    assert (verdict.candidate, verdict.current, verdict.portfolio) == (mine, present, portfolio)


def test_hopeless_scores_stay_within_what_is_known() -> None:
    scores = {name: {"rmse": 1e300} for name in EVIDENCE.configurations[:4]}
    more = grown(EVIDENCE, [dataclasses.replace(learned(), scores=scores)])
    assert np.nanmax(more.headline_losses[-1]) == LARGEST_LOSS
    assert np.isfinite(more.inferred_ranges).any()
    known = Profiles(more.headline_losses, ~np.isnan(more.regret), more.inferred_ranges)
    assert np.isfinite(known.values).all()
    assert np.isfinite(known.scales).all()
