import numpy as np
import pytest

from app.errors import InvalidRequestError, ScoreOutOfRangeError, UnknownConfigurationError
from app.metalearning.constraints import Constraints
from app.metalearning.metrics import METRICS
from app.metalearning.portfolio import CONFIGURATIONS
from app.metalearning.protocol import ANCHORS
from app.metalearning.recommendation import Question, recommend
from app.metalearning.suggestion import Observation, suggest
from app.metalearning.table import TaskType
from tests.tables import CLASSIFICATION, REGRESSION, known_metafeatures


@pytest.fixture
def ask(knowledge):
    """Suggest for the dataset `row` of the evidence, after it was told what really happened there."""

    def ask(tried=(), row=3, task_type=CLASSIFICATION, metric="roc_auc", told=None, **wishes):
        known = knowledge[task_type]
        losses = known.evidence.losses[metric][row]
        observations = [
            Observation(each, None if np.isnan(loss) else float(METRICS[metric].score(loss)))
            for each in tried
            for loss in [losses[known.evidence.configurations.index(each)]]
        ]
        limits = {name: wishes.pop(name) for name in ("seconds_left", "fits") if name in wishes}
        question = Question(
            task_type, known_metafeatures(known.evidence, row), metric, target_sd=1.0, **wishes
        )
        return suggest(known, question, observations if told is None else told, **limits)

    return ask


def test_without_results_it_is_the_recommendation(ask, knowledge):
    found = ask()
    known = knowledge[CLASSIFICATION]
    question = Question(CLASSIFICATION, known_metafeatures(known.evidence, 3), "roc_auc", strategy="hybrid")
    first = recommend(known, question).candidates[0]
    assert found.next.configuration == first.configuration
    assert found.next.expected == first.expected
    assert (found.next.expected_improvement, found.probability_nearly_best, found.stop) == (None, None, False)


@pytest.mark.parametrize("task_type", TaskType)
def test_following_it_ends_near_the_best_within_few_tries(ask, knowledge, task_type):
    metric = {CLASSIFICATION: "roc_auc", REGRESSION: "r2"}[task_type]
    evidence = knowledge[task_type].evidence
    for row in range(0, 40, 8):
        tried, surest = [], []
        while len(tried) < 12:
            found = ask(tried, row, task_type, metric)
            assert found.next.configuration.id not in tried
            tried.append(found.next.configuration.id)
            surest.append(found.probability_nearly_best)
        losses = evidence.losses[metric][row]
        best = np.nanmin([losses[evidence.configurations.index(each)] for each in tried])
        ordered = np.sort(losses[~np.isnan(losses)])
        assert best <= ordered[4], "among the five best of some fifty"
        assert 0 <= surest[-1] <= 1
        assert found.next.expected_improvement >= 0


def test_all_tried_is_reason_to_stop(ask, knowledge):
    evidence = knowledge[CLASSIFICATION].evidence
    found = ask(evidence.configurations, row=5)
    assert found.next is None
    assert found.stop
    assert "Everything" in found.because
    assert found.probability_nearly_best == 1


def test_constraints_hold(ask):
    found = ask(constraints=Constraints(interpretable_only=True))
    assert found.next.configuration.algorithm.interpretable
    assert len(found.excluded) > 10


def test_short_time_is_spent_on_what_ends_in_it(ask):
    usual, hasty = ask(), ask(seconds_left=0.05)
    assert hasty.next.cpu_seconds <= 0.05 < usual.next.cpu_seconds
    assert ask(seconds_left=0.25, fits=5).next.cpu_seconds <= 0.25
    assert ask(seconds_left=0.05, fits=5).next is None
    nothing = ask(seconds_left=1e-6)
    assert nothing.next is None
    assert nothing.stop
    assert "time" in nothing.because


def test_order_of_observations_does_not_matter(ask, knowledge):
    some = [
        Observation(each, 0.6 + 0.01 * place)
        for place, each in enumerate(knowledge[CLASSIFICATION].evidence.configurations[:6])
    ]
    one, other = ask(told=some), ask(told=some[::-1])
    assert one.next.configuration == other.next.configuration
    assert one.next.expected_improvement == pytest.approx(other.next.expected_improvement)


def test_repeated_and_failed_observations_count(ask, knowledge):
    name = knowledge[CLASSIFICATION].evidence.configurations[0]
    once = ask(told=[Observation(name, 0.7)])
    repeated = ask(told=[Observation(name, 0.6), Observation(name, 0.8), Observation(name, None)])
    assert repeated.next.configuration == once.next.configuration
    assert repeated.next.expected.score == pytest.approx(once.next.expected.score)
    failed = ask(told=[Observation(name, None)])
    assert failed.next.configuration.id != name
    assert failed.probability_nearly_best is None


@pytest.mark.parametrize(
    ("metric", "score"),
    [("roc_auc", 1.01), ("roc_auc", -0.1), ("log_loss", -0.1), ("brier", 2.5), ("accuracy", 70.0)],
)
def test_scores_that_the_metric_cannot_have_are_refused(ask, knowledge, metric, score):
    name = knowledge[CLASSIFICATION].evidence.configurations[0]
    with pytest.raises(ScoreOutOfRangeError, match=metric):
        ask(metric=metric, told=[Observation(name, score)])


@pytest.mark.parametrize("name", ["clf-no_such-thing", "reg-lightgbm-default", ""])
def test_unknown_configurations_are_refused(ask, name):
    with pytest.raises(UnknownConfigurationError):
        ask(told=[Observation(name, 0.7)])


def test_scores_in_the_target_s_unit_need_its_spread(knowledge):
    known = knowledge[REGRESSION]
    question = Question(REGRESSION, known_metafeatures(known.evidence, 3), "rmse")
    observation = Observation(known.evidence.configurations[0], 12.0)
    with pytest.raises(InvalidRequestError, match="unit") as caught:
        suggest(known, question, [observation])
    assert "target_sd" in caught.value.advice


def test_scale_of_the_target_does_not_matter(knowledge):
    known = knowledge[REGRESSION]
    values = known_metafeatures(known.evidence, 3)
    found = []
    for unit in (1.0, 1000.0):
        question = Question(REGRESSION, values, "rmse", target_sd=unit)
        told = [
            Observation(each, unit * (0.5 + 0.02 * place))
            for place, each in enumerate(known.evidence.configurations[:5])
        ]
        found.append(suggest(known, question, told))
    assert found[0].next.configuration == found[1].next.configuration
    assert found[1].next.expected.score == pytest.approx(1000 * found[0].next.expected.score)
    assert found[1].next.expected_improvement == pytest.approx(1000 * found[0].next.expected_improvement)


@pytest.mark.parametrize("task_type", TaskType)
def test_points_of_learning_curves_move_the_choice_and_are_no_results(knowledge, task_type):
    of = knowledge[task_type]
    question = Question(task_type, known_metafeatures(of.evidence, 4), target_sd=1.0)
    names = of.evidence.configurations
    metric = question.headline
    curves = of.evidence.curves[metric.name][4]
    told = [
        Observation(
            names[index], float(metric.score(curves[index, place], question.loss_scale(metric))), anchor
        )
        for index in (0, 5, 9)
        for place, anchor in enumerate(ANCHORS)
        if not np.isnan(curves[index, place])
    ]
    assert told
    cold, warm = suggest(of, question, []), suggest(of, question, told)
    assert warm.probability_nearly_best is None
    assert warm.next.expected_improvement is None
    assert warm.next.expected != cold.next.expected
    assert suggest(of, question, told[::-1]) == warm
    full = Observation(warm.next.configuration.id, warm.next.expected.score)
    after = suggest(of, question, [*told, full])
    assert 0 <= after.probability_nearly_best <= 1
    assert after.next.configuration.id != full.configuration
    assert after.next.expected_improvement >= 0
    failed = [Observation(each.configuration, None, each.anchor) for each in told]
    assert suggest(of, question, failed).next.expected == cold.next.expected


def test_points_elsewhere_on_the_curve_are_refused(knowledge):
    question = Question(TaskType.REGRESSION, {"nr_inst": 800}, "r2")
    with pytest.raises(InvalidRequestError, match="100 rows"):
        suggest(knowledge[TaskType.REGRESSION], question, [Observation("reg-knn-5", 0.5, 100)])


def test_the_best_may_be_what_there_is_no_evidence_of(knowledge):
    of = knowledge[CLASSIFICATION]
    unknown = next(
        name
        for name, each in CONFIGURATIONS.items()
        if each.task_type is CLASSIFICATION and name not in of.evidence.configurations
    )
    question = Question(CLASSIFICATION, known_metafeatures(of.evidence, 4), "accuracy")
    known = [Observation(name, 0.6) for name in of.evidence.configurations[:4]]
    before, after = (suggest(of, question, [*known, *more]) for more in ([], [Observation(unknown, 1.0)]))
    assert after.next.expected_improvement < before.next.expected_improvement
    assert after.probability_nearly_best > before.probability_nearly_best
    assert suggest(of, question, [Observation(unknown, 0.9)]).probability_nearly_best is None
