"""How an algorithm wants its data: preprocessing as expressions, a part of every pipeline and so inside every fold."""

from app.metalearning.portfolio.expressions import Call, call


def scaled_numbers() -> Call:
    """Medians for missing numbers, unit variance, one column per frequent category (missing is a category)."""
    return _by_column_type(
        call(
            "sklearn.pipeline.make_pipeline",
            call("sklearn.impute.SimpleImputer", strategy="median", keep_empty_features=True),
            call("sklearn.preprocessing.StandardScaler"),
        ),
        one_column_per_category(),
    )


def additive_numbers() -> Call:
    """As `scaled_numbers`, each number bent by cubic splines between its quantiles."""
    return _by_column_type(
        call(
            "sklearn.pipeline.make_pipeline",
            call("sklearn.impute.SimpleImputer", strategy="median", keep_empty_features=True),
            call("sklearn.preprocessing.StandardScaler"),
            call(
                "sklearn.preprocessing.SplineTransformer", n_knots=6, knots="quantile", extrapolation="linear"
            ),
        ),
        one_column_per_category(),
    )


def ranked_numbers() -> Call:
    """As `scaled_numbers`, numbers made normal by their ranks: outliers and skewness go."""
    return _by_column_type(
        call(
            "sklearn.pipeline.make_pipeline",
            call("sklearn.impute.SimpleImputer", strategy="median", keep_empty_features=True),
            call(
                "sklearn.preprocessing.QuantileTransformer",
                output_distribution="normal",
                n_quantiles=200,
                random_state=0,
            ),
        ),
        one_column_per_category(),
    )


def ordinal_categories() -> Call:
    """Numbers as they are and categories as codes; the trees behind split on missing values themselves."""
    return _by_column_type(
        "passthrough",
        call(
            "sklearn.preprocessing.OrdinalEncoder",
            handle_unknown="use_encoded_value",
            unknown_value=float("nan"),
        ),
    )


def one_column_per_category() -> Call:
    """0/1 columns for the thirty most frequent categories of a column, and one for the rest."""
    return call(
        "sklearn.preprocessing.OneHotEncoder",
        handle_unknown="infrequent_if_exist",
        max_categories=30,
        sparse_output=False,
    )


def _by_column_type(for_numbers: Call | str, for_categories: Call) -> Call:
    selector = "sklearn.compose.make_column_selector"
    return call(
        "sklearn.compose.make_column_transformer",
        (for_numbers, call(selector, dtype_include="number")),
        (for_categories, call(selector, dtype_exclude="number")),
    )
