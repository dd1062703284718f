"""Values worked out by hand, or by other people's code."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from app.errors import MetafeatureOutOfRangeError, UnknownMetafeatureError
from app.metalearning.metafeatures import LANDMARKERS, NAMES, SCHEMA, as_vector, extract
from app.metalearning.protocol import assign_folds
from tests.tables import CLASSIFICATION, REGRESSION, exactly, mixed_table, typed

# Eight rows: `a` is the class itself, `b` has holes, `c` is one large number among zeros.
BY_HAND = exactly(
    {"a": [0.0] * 4 + [1.0] * 4, "b": ["u", "v", "u", "v", "u", "v", None, None], "c": [0.0] * 7 + [8.0]},
    ["p"] * 4 + ["q"] * 4,
    categorical=("b",),
)
# Entropies (bits) of b, of c, and of each together with the class.
H_B = 2 * 3 / 8 * math.log2(8 / 3) + 0.5
H_C = 7 / 8 * math.log2(8 / 7) + 3 / 8
SHARED_B = H_B + 1 - 2.25
SHARED_C = H_C + 1 - (0.5 + 3 / 8 * math.log2(8 / 3) + 3 / 8)
MEAN_SHARED = (1 + SHARED_B + SHARED_C) / 3
EXPECTED = {
    "nr_inst": 8,
    "nr_attr": 3,
    "nr_num": 2,
    "nr_cat": 1,
    "nr_bin": 3,
    "nr_text": 0,
    "nr_class": 2,
    "inst_to_attr": 8 / 3,
    "attr_to_inst": 3 / 8,
    "cat_share": 1 / 3,
    "freq_class.min": 0.5,
    "freq_class.max": 0.5,
    "freq_class.sd": 0,
    "missing_share": 2 / 24,
    "missing_columns_share": 1 / 3,
    "missing_rows_share": 2 / 8,
    "cardinality.mean": 2,
    "cardinality.max": 2,
    "target_distinct_share": None,
    "skewness.mean": 42 / 7**1.5 / 2,
    "skewness.sd": 42 / 7**1.5 / 2,
    "kurtosis.mean": (-2 + 301 / 49 - 3) / 2,
    "kurtosis.sd": (301 / 49 - 3 + 2) / 2,
    "cor.mean": 1 / math.sqrt(7),
    "cor.max": 1 / math.sqrt(7),
    "outlier_share": 1 / 16,
    "zero_share": 11 / 16,
    "target_cor.mean": (1 + 1 / math.sqrt(7)) / 2,
    "target_cor.max": 1,
    "target_skewness": None,
    "target_kurtosis": None,
    "target_outlier_share": None,
    "class_ent": 1,
    "class_ent_share": 1,
    "attr_ent.mean": (1 + H_B + H_C) / 3,
    "mut_inf.mean": MEAN_SHARED,
    "mut_inf.max": 1,
    "mut_inf_share.max": 1,
    "eq_num_attr": 1 / MEAN_SHARED,
    "ns_ratio": ((1 + H_B + H_C) / 3 - MEAN_SHARED) / MEAN_SHARED,
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LANDMARKERS])
def test_value_is_the_one_worked_out_by_hand(name):
    assert extract(BY_HAND, 0).values[name] == pytest.approx(EXPECTED[name], abs=1e-12)


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
    assert values["target_skewness"] == pytest.approx(stats.skew(target))
    assert values["target_kurtosis"] == pytest.approx(stats.kurtosis(target))
    low, high = np.quantile(target, [0.25, 0.75])
    beyond = np.mean((target < 2.5 * low - 1.5 * high) | (target > 2.5 * high - 1.5 * low))
    assert values["target_outlier_share"] == pytest.approx(beyond)
    assert values["target_cor.max"] == pytest.approx(np.corrcoef(np.log(target), target)[0, 1])
    assert values["target_distinct_share"] == 1
    assert values["mut_inf.max"] == pytest.approx(math.log2(10))  # ten equal bins that follow each other


def test_missing_cells_are_left_out_of_shapes():
    column = np.random.default_rng(0).gamma(2, size=100)
    holed = np.where(np.arange(100) % 4 == 0, np.nan, column)
    values = extract(exactly({"x": holed}, ["p", "q"] * 50), 0).values
    present = holed[~np.isnan(holed)]
    assert values["skewness.mean"] == pytest.approx(stats.skew(present))
    assert values["kurtosis.mean"] == pytest.approx(stats.kurtosis(present))
    assert values["missing_share"] == 0.25


def test_bins_hold_the_values_from_one_decile_up_to_the_next():
    # Of eleven values the last two share the last bin; the class does not part them.
    values = extract(exactly({"x": [*map(float, range(11))]}, ["p"] + ["q"] * 10), 0).values
    assert values["attr_ent.mean"] == pytest.approx(stats.entropy([1] * 9 + [2], base=2))
    assert values["mut_inf_share.max"] == pytest.approx(1)


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
    assert all(0.4 < random_[name] < 0.6 for name in LANDMARKERS)


def test_without_time_all_landmarkers_are_absent():
    nothing = extract(mixed_table(REGRESSION), 0)
    assert nothing.absent == LANDMARKERS
    assert all(nothing.values[name] is None for name in LANDMARKERS)
    enough = extract(mixed_table(CLASSIFICATION), 60)
    assert enough.absent == ()
    assert all(enough.values[name] is not None for name in LANDMARKERS)


def test_every_metafeature_has_a_name_of_its_own_and_a_meaning():
    assert len(set(NAMES)) == len(NAMES)
    assert all(definition.meaning.strip() and definition.family for definition in SCHEMA)
    assert set(extract(BY_HAND, 0).values) == set(NAMES)


def test_vector_is_in_schema_order_with_gaps():
    vector = as_vector({"nr_class": 3, "nr_inst": 100, "class_ent": None})
    known = {NAMES[index]: vector[index] for index in np.flatnonzero(~np.isnan(vector))}
    assert known == {"nr_inst": 100, "nr_class": 3}
    assert vector.shape == (len(NAMES),)


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
        ("skewness.mean", math.inf),
        ("nr_inst", math.nan),
    ],
)
def test_value_that_no_dataset_has_is_refused(name, value):
    with pytest.raises(MetafeatureOutOfRangeError, match=name):
        as_vector({name: value})


def test_unknown_metafeature_is_refused_with_a_near_name():
    with pytest.raises(UnknownMetafeatureError) as caught:
        as_vector({"nr_inst": 1, "nr_insts": 2})
    assert "'nr_insts'" in caught.value.detail
    assert "nr_inst" in caught.value.advice
