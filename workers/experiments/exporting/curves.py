"""Numbers bent by what training saw of them: ranks made normal, and cubic splines between quantiles."""

import math
from typing import Any

import numpy as np
from onnx import TensorProto

from app.metalearning.table import FloatArray
from workers.experiments.exporting.graph import CannotConvertError, Graph

_BOUNDS = 1e-7  # scikit-learn's BOUNDS_THRESHOLD: what is so near to an end counts as the end
# The normal quantile, to 16 digits: rational functions of the centre and of the tails up to exp(-25), in ascending powers.
# M. J. Wichura, Algorithm AS 241: The Percentage Points of the Normal Distribution, Applied Statistics 37 (1988) 477-484.
_CENTRE, _SPLIT, _SHIFT = 0.425, 0.180625, 1.6
_CENTRE_ABOVE = (
    *(3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4),
    *(4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
)
_CENTRE_BELOW = (
    *(1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3),
    *(2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)
_TAIL_ABOVE = (
    *(1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0),
    *(
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
)
_TAIL_BELOW = (
    *(1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1),
    *(
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)


def normal_ranks(graph: Graph, fitted: Any, matrix: str) -> str:
    """What a QuantileTransformer with a normal output makes of a matrix without gaps.

    Raises: CannotConvertError.
    """
    if fitted.output_distribution != "normal":
        raise CannotConvertError("there is no converter for QuantileTransformer with uniform ranks")
    quantiles = fitted.quantiles_.T  # of shape (features, quantiles)
    steps = graph.add("Unsqueeze", matrix, graph.constant(np.array([2])))
    marks = graph.numbers(quantiles[None])
    last = quantiles.shape[1] - 1
    # Equal quantiles are a jump: in one direction its upper end counts, in the other its lower one.
    upper = graph.add("Sub", _count(graph, graph.add("LessOrEqual", marks, steps)), _integer(graph, 1))
    lower = graph.add("Sub", _count(graph, graph.add("Less", marks, steps)), _integer(graph, 1))
    ranks = [_between(graph, fitted, matrix, _clipped(graph, each, 0, last - 1)) for each in (upper, lower)]
    rank = graph.add("Mul", graph.add("Add", *ranks), graph.numbers(0.5))
    ends = (
        (
            graph.add(
                "Greater", graph.add("Add", matrix, graph.numbers(_BOUNDS)), graph.numbers(quantiles[:, last])
            ),
            1.0,
        ),
        (
            graph.add(
                "Less", graph.add("Sub", matrix, graph.numbers(_BOUNDS)), graph.numbers(quantiles[:, 0])
            ),
            0.0,
        ),
    )
    for is_end, value in ends:
        rank = graph.add("Where", is_end, graph.numbers(value), rank)
    least = _BOUNDS - np.spacing(1)
    return _normal_quantile(graph, graph.add("Clip", rank, graph.numbers(least), graph.numbers(1 - least)))


def splines(graph: Graph, fitted: Any, matrix: str) -> str:
    """What a SplineTransformer that goes on in straight lines makes of a matrix without gaps.

    Raises: CannotConvertError.
    """
    if fitted.extrapolation != "linear" or not fitted.include_bias:
        raise CannotConvertError("there is no converter for SplineTransformer with these settings")
    parts = [
        _spline(graph, spline, graph.add("Gather", matrix, graph.constant(np.array([place])), axis=1))
        for place, spline in enumerate(fitted.bsplines_)
    ]
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _between(graph: Graph, fitted: Any, matrix: str, place: str) -> str:
    """The rank of each number between the quantile of that place and the next."""
    n_features, n_quantiles = fitted.quantiles_.T.shape
    flat = graph.numbers(fitted.quantiles_.T.ravel())
    offsets = graph.constant((np.arange(n_features) * n_quantiles)[None, :])
    here = graph.add("Add", place, offsets)
    left = graph.add("Gather", flat, here)
    width = graph.add("Sub", graph.add("Gather", flat, graph.add("Add", here, _integer(graph, 1))), left)
    is_jump = graph.add("Equal", width, graph.numbers(0.0))
    width = graph.add("Where", is_jump, graph.numbers(1.0), width)
    share = graph.add("Div", graph.add("Sub", matrix, left), width)
    share = graph.add("Clip", share, graph.numbers(0.0), graph.numbers(1.0))
    return graph.add(
        "Div", graph.add("Add", graph.as_float64(place), share), graph.numbers(float(n_quantiles - 1))
    )


def _normal_quantile(graph: Graph, rank: str) -> str:
    centred = graph.add("Sub", rank, graph.numbers(0.5))
    square = graph.add("Mul", centred, centred)
    inner = graph.add("Sub", graph.numbers(_SPLIT), square)
    centre = graph.add("Mul", centred, _ratio(graph, inner, _CENTRE_ABOVE, _CENTRE_BELOW))
    nearest = graph.add("Min", rank, graph.add("Sub", graph.numbers(1.0), rank))
    distance = graph.add("Sqrt", graph.add("Neg", graph.add("Log", nearest)))
    outer = graph.add("Sub", distance, graph.numbers(_SHIFT))
    tail = graph.add("Mul", graph.add("Sign", centred), _ratio(graph, outer, _TAIL_ABOVE, _TAIL_BELOW))
    is_central = graph.add("LessOrEqual", square, graph.numbers(_CENTRE**2))
    return graph.add("Where", is_central, centre, tail)


def _ratio(graph: Graph, value: str, above: tuple[float, ...], below: tuple[float, ...]) -> str:
    return graph.add("Div", _polynomial(graph, value, above), _polynomial(graph, value, below))


def _polynomial(graph: Graph, value: str, coefficients: tuple[float, ...]) -> str:
    found = graph.numbers(coefficients[-1])
    for each in coefficients[-2::-1]:
        found = graph.add("Add", graph.add("Mul", found, value), graph.numbers(each))
    return found


def _spline(graph: Graph, spline: Any, column: str) -> str:
    """All splines of one column, shape (rows, splines): which piece a number is in, and that piece's polynomials."""
    ends, pieces = _pieces(spline)
    place = _count(graph, graph.add("LessOrEqual", graph.numbers(ends[None, :]), column), axis=1)
    start = graph.add("Gather", graph.numbers(np.concatenate([ends[:1], ends])), place)
    distance = graph.add("Sub", column, graph.add("Unsqueeze", start, graph.constant(np.array([1]))))
    powers = [graph.add("Pow", distance, graph.numbers(float(power))) for power in range(spline.k + 1)]
    row = graph.add("Unsqueeze", graph.add("Concat", *powers, axis=1), graph.constant(np.array([1])))
    found = graph.add("MatMul", row, graph.add("Gather", graph.numbers(pieces), place))
    return graph.add("Squeeze", found, graph.constant(np.array([1])))


def _pieces(spline: Any) -> tuple[FloatArray, FloatArray]:
    """Where pieces begin, the first of them endless to the left; their coefficients, shape (pieces, powers, splines)."""
    ends = np.unique(spline.t[spline.k : len(spline.t) - spline.k])
    taylor = np.array([spline(ends, nu=power) / math.factorial(power) for power in range(spline.k + 1)])
    inside = taylor.transpose(1, 0, 2)
    straight = inside.copy()
    straight[:, 2:] = 0.0
    return ends, np.concatenate([straight[:1], inside[:-1], straight[-1:]])


def _count(graph: Graph, is_below: str, axis: int = 2) -> str:
    """How many along the last axis are true."""
    ones = graph.cast(is_below, TensorProto.INT64)
    return graph.add("ReduceSum", ones, graph.constant(np.array([axis])), keepdims=0)


def _clipped(graph: Graph, value: str, least: int, most: int) -> str:
    return graph.add("Clip", value, _integer(graph, least), _integer(graph, most))


def _integer(graph: Graph, value: int) -> str:
    return graph.constant(np.array(value, dtype=np.int64))
