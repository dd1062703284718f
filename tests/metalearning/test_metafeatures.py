"""Values worked out by hand, or by other people's code."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from app.errors import MetafeatureOutOfRangeError, MetafeatureTaskTypeError, UnknownMetafeatureError
from app.metalearning.metafeatures import (
    LEARNED,
    NAMES,
    SCHEMA,
    as_vector,
    extract,
    landmarking,
)
from app.metalearning.protocol import assign_folds
from app.metalearning.table import TaskType
from tests.tables import CLASSIFICATION, exactly, mixed_table, typed

# Eight rows: `a` is the class itself, `b` has holes, `c` is one large number among zeros.
BY_HAND = exactly(
    {"a": [0.0] * 4 + [1.0] * 4, "b": ["u", "v", "u", "v", "u", "v", None, None], "c": [0.0] * 7 + [8.0]},
    ["p"] * 4 + ["q"] * 4,
    categorical=("b",),
)
# Entropies (bits) of b, of c, and of each together with the class.
H_B = 2 * 3 / 8 * math.log2(8 / 3) + 0.5
H_C = 7 / 8 * math.log2(8 / 7) + 3 / 8
H_BY = 2.25
H_CY = 0.5 + 3 / 8 * math.log2(8 / 3) + 3 / 8
SHARED = [1, H_B + 1 - H_BY, H_C + 1 - H_CY]
H_HOLES = 3 / 4 * math.log2(4 / 3) + 1 / 2


def mean_and_sd(name: str, *values: float) -> dict[str, float | None]:
    return {f"{name}.mean": np.mean(values), f"{name}.sd": np.std(values, ddof=1)}


EXPECTED = {
    "nr_inst": 8,
    "nr_attr": 3,
    "nr_num": 2,
    "nr_cat": 1,
    "nr_bin": 3,
    "nr_class": 2,
    "inst_to_attr": 8 / 3,
    "attr_to_inst": 3 / 8,
    "cat_to_num": 1 / 2,
    "num_to_cat": 2,
    **mean_and_sd("freq_class", 0.5, 0.5),
    "freq_class.min": 0.5,
    "freq_class.max": 0.5,
    "target_distinct_share": None,
    "cat_share": 1 / 3,
    "date_share": 0,
    "nr_text": 0,
    "missing_share": 2 / 24,
    "missing_columns_share": 1 / 3,
    "missing_rows_share": 2 / 8,
    "missing_inf.max": H_HOLES + 1 - 1.5,
    "cardinality.mean": 2,
    "cardinality.sd": None,
    "cardinality.max": 2,
    "rare_share": 1,
    **mean_and_sd("mean", 0.5, 1),
    **mean_and_sd("median", 0.5, 0),
    **mean_and_sd("t_mean", 0.5, 0),
    **mean_and_sd("min", 0, 0),
    **mean_and_sd("max", 1, 8),
    **mean_and_sd("g_mean", 0, 0),
    **mean_and_sd("h_mean", 0, 0),
    **mean_and_sd("range", 1, 8),
    **mean_and_sd("iq_range", 1, 0),
    **mean_and_sd("mad", 0.5 * 1.4826, 0),
    **mean_and_sd("sd", math.sqrt(2 / 7), math.sqrt(8)),
    **mean_and_sd("var", 2 / 7, 8),
    **mean_and_sd("skewness", 0, 42 / 8**1.5),
    **mean_and_sd("kurtosis", (7 / 8) ** 2 - 3, 301 / 64 - 3),
    **mean_and_sd("sparsity", 3 / 7, 3 / 7, 2 / 5),
    "cov.mean": 4 / 7,
    "cov.sd": None,
    "cor.mean": 1 / math.sqrt(7),
    "cor.sd": None,
    "cor.max": 1 / math.sqrt(7),
    "nr_cor_attr": 0,
    "eigenvalues.mean": (8 + 2 / 7) / 2,
    "eigenvalues.sd": math.sqrt(((8 - 2 / 7) ** 2 + 4 * (4 / 7) ** 2) / 2),
    "can_cor.mean": 1,  # the first column is the class
    "can_cor.sd": None,
    "nr_disc": 1,
    "w_lambda": 0,
    "p_trace": 1,
    "lh_trace": None,
    "roy_root": None,
    "sd_ratio": None,
    "gravity": math.sqrt(1 + 2**2),
    "nr_norm": 0,
    "nr_outliers": 1,
    "outlier_share": 1 / 16,
    "zero_share": 11 / 16,
    "target_cor.mean": (1 + 1 / math.sqrt(7)) / 2,
    "target_cor.max": 1,
    "target_skewness": None,
    "target_kurtosis": None,
    "target_outlier_share": None,
    "class_ent": 1,
    "class_ent_share": 1,
    **mean_and_sd("attr_ent", 1, H_B, H_C),
    **mean_and_sd("joint_ent", 1, H_BY, H_CY),
    **mean_and_sd("mut_inf", *SHARED),
    "mut_inf.max": 1,
    "mut_inf_share.max": 1,
    "eq_num_attr": 1 / np.mean(SHARED),
    "ns_ratio": (1 + H_B + H_C) / sum(SHARED) - 1,
    # a given b, a given c, b given a, b given c, c given a, c given b
    **mean_and_sd("attr_conc", 1 / 3, 1 / 7, 1 / 7, 9 / 49, 1 / 7, 3 / 7),
    **mean_and_sd("class_conc", 1, 1 / 7, 1 / 7),
    "nre": math.log(2),
    "sc": 2,
}


@pytest.mark.parametrize("name", [each.name for each in SCHEMA if each.name in EXPECTED])
def test_value_is_the_one_worked_out_by_hand(name):
    assert extract(BY_HAND, 0).values[name] == pytest.approx(EXPECTED[name], abs=1e-9)


def test_every_metafeature_that_needs_no_time_was_worked_out_by_hand():
    assert {each.name for each in SCHEMA if not each.timed} == set(EXPECTED)


def test_class_shares_are_those_of_the_classes():
    table = typed({"x": range(40), "y": ["a"] * 10 + ["b"] * 28 + ["c"] * 2}, "y")
    values = extract(table, 0).values
    assert (values["freq_class.min"], values["freq_class.max"]) == (0.05, 0.7)
    assert values["freq_class.sd"] == pytest.approx(np.std([0.25, 0.7, 0.05], ddof=1))
    assert values["class_ent"] == pytest.approx(stats.entropy([10, 28, 2], base=2))
    assert values["class_ent_share"] == pytest.approx(stats.entropy([10, 28, 2], base=3))


def test_shape_of_a_numeric_target_is_scipys():
    target = np.random.default_rng(0).lognormal(size=200)
    values = extract(typed({"x": np.log(target), "y": target}, "y"), 0).values
    assert values["target_skewness"] == pytest.approx(stats.skew(target) * (199 / 200) ** 1.5)
    assert values["target_kurtosis"] == pytest.approx((stats.kurtosis(target) + 3) * (199 / 200) ** 2 - 3)
    low, high = np.quantile(target, [0.25, 0.75])
    beyond = np.mean((target < 2.5 * low - 1.5 * high) | (target > 2.5 * high - 1.5 * low))
    assert values["target_outlier_share"] == pytest.approx(beyond)
    assert values["target_cor.max"] == pytest.approx(np.corrcoef(np.log(target), target)[0, 1])
    assert values["target_distinct_share"] == 1
    assert values["mut_inf.max"] == pytest.approx(math.log2(5))  # five equal bins that follow each other


def test_missing_cells_are_left_out_of_shapes():
    column = np.random.default_rng(0).gamma(2, size=100)
    holed = np.where(np.arange(100) % 4 == 0, np.nan, column)
    values = extract(exactly({"x": holed}, ["p", "q"] * 50), 0).values
    present = holed[~np.isnan(holed)]
    assert values["skewness.mean"] == pytest.approx(stats.skew(present) * (74 / 75) ** 1.5)
    assert values["kurtosis.mean"] == pytest.approx((stats.kurtosis(present) + 3) * (74 / 75) ** 2 - 3)
    assert values["missing_share"] == 0.25


def test_bins_end_at_quantiles_and_take_them_in():
    # Twenty-seven rows have three bins: up to the ninth, up to the eighteenth, and the rest.
    values = extract(exactly({"x": [*map(float, range(27))]}, ["p"] * 9 + ["q"] * 18), 0).values
    assert values["attr_ent.mean"] == pytest.approx(math.log2(3))
    assert values["mut_inf_share.max"] == pytest.approx(1)
    tied = extract(exactly({"x": [0.0] * 20 + [1.0] * 7}, ["p"] * 20 + ["q"] * 7), 0).values
    assert tied["attr_ent.mean"] == pytest.approx(stats.entropy([20, 7], base=2))


def test_missing_numbers_have_a_bin_of_their_own():
    values = extract(
        exactly({"x": [np.nan] * 5 + [*map(float, range(15))]}, ["p"] * 5 + ["q"] * 15), 0
    ).values
    assert values["mut_inf_share.max"] == pytest.approx(1)


def test_constant_column_is_not_binary():
    columns = {"one": [5.0] * 6, "two": [5.0, np.nan, 4.0] * 2, "three": [1.0, 2.0, 3.0] * 2}
    assert extract(exactly(columns, ["p", "q"] * 3), 0).values["nr_bin"] == 1


def test_landmarkers_are_the_scores_of_their_learners():
    table = mixed_table(CLASSIFICATION, 90).take(np.arange(90))
    numbers = table.numeric[:, :2]
    scaled = StandardScaler().fit_transform(
        np.where(np.isnan(numbers), np.nanmedian(numbers, axis=0), numbers)
    )
    only_numbers = exactly({"a": numbers[:, 0], "b": numbers[:, 1]}, table.frame["class"].to_pylist())
    target, scores = table.target_values, []
    folds = assign_folds(target, 3)
    for fold in range(3):
        here, there = folds == fold, folds != fold
        model = KNeighborsClassifier(1).fit(scaled[there], target[there])
        chances = model.predict_proba(scaled[here])
        scores.append(
            np.mean([roc_auc_score(target[here] == label, chances[:, label]) for label in range(3)])
        )
    assert extract(only_numbers, 60).values["lm_one_nn"] == pytest.approx(np.mean(scores))


def test_regression_landmarkers_are_r2():
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, 150))
    table = typed({"x": x, "y": x + noise / 3}, "y")
    scaled, target, scores = StandardScaler().fit_transform(x[:, None]), table.target_values, []
    folds = assign_folds(target, 3)
    for fold in range(3):
        here, there = folds == fold, folds != fold
        scores.append(r2_score(target[here], Ridge().fit(scaled[there], target[there]).predict(scaled[here])))
    values = extract(table, 60).values
    assert values["lm_linear"] == pytest.approx(np.mean(scores))
    assert values["lm_naive_bayes"] is None


def test_landmarkers_tell_what_kind_of_learner_does_well():
    random = np.random.default_rng(1)
    x, y, noise = random.normal(size=(3, 600))
    straight = extract(typed({"x": x, "y": y, "t": (x + y > 0).astype(int)}, "t"), 60).values
    checkered = extract(typed({"x": x, "y": y, "t": (x * y > 0).astype(int)}, "t"), 60).values
    random_ = extract(typed({"x": x, "y": y, "t": (noise > 0).astype(int)}, "t"), 60).values
    assert straight["lm_linear"] > straight["lm_stump"] + 0.1
    assert checkered["lm_extra_trees"] > checkered["lm_linear"] + 0.3
    assert checkered["lm_extra_trees_small"] < checkered["lm_extra_trees"]
    skills = [name for name in NAMES if name.startswith("lm_")]
    assert all(0.4 < random_[name] < 0.6 for name in skills)


def timed(task_type: TaskType) -> set[str]:
    """What is defined for the task type and needs time."""
    return {each.name for each in SCHEMA if each.timed and each.defined_for(task_type)}


@pytest.mark.parametrize("task_type", TaskType)
def test_without_time_nothing_that_needs_it_is_there(task_type):
    nothing = extract(mixed_table(task_type), 0)
    assert set(nothing.absent) == timed(task_type)
    assert all(nothing.values[name] is None for name in nothing.absent)
    enough = extract(mixed_table(task_type), 60)
    assert enough.absent == ()
    assert {name for name in enough.values if enough.values[name] is not None} >= timed(task_type)


def test_budget_ends_between_learners_and_names_what_is_absent(monkeypatch):
    """The clock strikes once per look: the learners that come too late are absent, the others are not."""
    looks = itertools.count()
    monkeypatch.setattr(landmarking.time, "perf_counter", lambda: float(next(looks)))
    table = mixed_table(CLASSIFICATION)
    complete = extract(table, 1e9)
    some = extract(table, 40.0)
    assert 0 < len(some.absent) < len(complete.values)
    for name, value in some.values.items():
        assert value == (None if name in some.absent else complete.values[name])


def test_seconds_are_told_for_every_family_and_learner():
    told = extract(mixed_table(CLASSIFICATION), 60)
    landmarkers = {each.name.partition(".")[0] for each in SCHEMA if each.family == "landmarking"}
    assert set(told.seconds) == {each.family for each in SCHEMA} | landmarkers
    assert all(seconds >= 0 for seconds in told.seconds.values())


def test_every_metafeature_has_a_name_of_its_own_a_formula_a_source_and_a_range():
    assert len(set(NAMES)) == len(NAMES)
    assert all(each.meaning and each.family and each.source and each.missing for each in SCHEMA)
    assert all(each.low < each.high for each in SCHEMA)
    assert set(extract(BY_HAND, 0).values) == set(NAMES)


@pytest.mark.parametrize("task_type", TaskType)
def test_values_lie_in_the_range_that_the_schema_gives(task_type):
    as_vector(extract(mixed_table(task_type), 60).values, task_type)  # raises where one does not


def test_vector_is_in_schema_order_with_gaps():
    vector = as_vector({"nr_class": 3, "nr_inst": 100, "class_ent": None, "mean.mean": 12.0}, CLASSIFICATION)
    known = {LEARNED[index]: vector[index] for index in np.flatnonzero(~np.isnan(vector))}
    assert known == {"nr_inst": 100, "nr_class": 3}  # what depends on units is not learned from
    assert vector.shape == (len(LEARNED),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nr_inst", 0),
        ("nr_inst", 1e300),
        ("nr_class", 1),
        ("missing_share", 1.1),
        ("missing_share", -0.1),
        ("lm_linear", 2),
        ("class_ent", -1),
        ("mean.mean", math.nan),
        ("skewness.mean", math.inf),
        ("nr_inst", math.nan),
    ],
)
def test_value_that_no_dataset_has_is_refused(name, value):
    with pytest.raises(MetafeatureOutOfRangeError, match=name):
        as_vector({name: value}, CLASSIFICATION)


def test_unknown_metafeature_is_refused_with_a_near_name():
    with pytest.raises(UnknownMetafeatureError) as caught:
        as_vector({"nr_inst": 1, "nr_insts": 2}, CLASSIFICATION)
    assert "'nr_insts'" in caught.value.detail
    assert "nr_inst" in caught.value.advice


@pytest.mark.parametrize(
    ("name", "task_type"), [("nr_class", TaskType.REGRESSION), ("target_skewness", TaskType.CLASSIFICATION)]
)
def test_metafeature_of_the_other_task_type_is_refused(name, task_type):
    with pytest.raises(MetafeatureTaskTypeError, match=name):
        as_vector({name: 2.0}, task_type)
    as_vector({name: None}, task_type)
