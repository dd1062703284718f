"""Names beside the points of a scatter plot, none upon another."""

from matplotlib.axes import Axes

from app.metalearning.table import FloatArray

_FONT_SIZE = 7
_WIDTH, _BOLD_WIDTH, _HEIGHT = 4.1, 4.7, 8.0  # points per letter of that size, and per line
_NEAR = ((5, 0), (-5, 0))
# Where a name may begin, in points from its own: first beside it, then ever farther.
_PLACES = [
    place
    for distance in (6, 12, 20, 30, 42, 56, 72, 90)
    for place in (
        *_NEAR,
        (4, distance),
        (4, -distance),
        (-4, distance),
        (-4, -distance),
        (distance, distance),
        (distance, -distance),
        (-distance, distance),
        (-distance, -distance),
    )
]
_Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


def name_points(
    axes: Axes, x: FloatArray, y: FloatArray, names: list[str], colours: list[str], front: list[int]
) -> None:
    """Name points where there is room: those of the front first, in bold and to the left, the others as it comes.

    The axes must have their place on the page already.
    """
    pixels = axes.figure.dpi / 72
    points = axes.transData.transform([*zip(x, y, strict=True)])
    taken: list[_Box] = [(px - 6, py - 6, px + 6, py + 6) for px, py in points]
    for index in [*front, *(each for each in range(len(names)) if each not in front)]:
        bold = index in front
        width = (_BOLD_WIDTH if bold else _WIDTH) * len(names[index]) * pixels
        for dx, dy in ((-dx, dy) for dx, dy in _PLACES) if bold else _PLACES:
            left = points[index, 0] + dx * pixels - (width if dx < 0 else 0)
            bottom = points[index, 1] + (dy - _HEIGHT / 2) * pixels
            box = (left, bottom, left + width, bottom + _HEIGHT * pixels)
            if _inside(box, axes) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                _write(axes, names[index], (x[index], y[index]), (dx, dy), colours[index], bold)
                break


def _write(
    axes: Axes, name: str, point: tuple[float, float], place: tuple[float, float], colour: str, bold: bool
) -> None:
    axes.annotate(
        name,
        point,
        place,
        textcoords="offset points",
        ha="right" if place[0] < 0 else "left",
        va="center",
        fontsize=_FONT_SIZE,
        fontweight="bold" if bold else "normal",
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3},
        arrowprops=None if place in _NEAR else {"arrowstyle": "-", "color": colour, "linewidth": 0.5},
    )


def _inside(box: _Box, axes: Axes) -> bool:
    room = axes.bbox
    return bool(room.x0 < box[0] and box[2] < room.x1 and room.y0 < box[1] and box[3] < room.y1)


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
