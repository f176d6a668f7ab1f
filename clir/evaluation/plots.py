"""Plots as SVG text: what a score costs, with the front that nothing beats, and how it grows with data."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

INK = "#000000"
MARKERS = "osD^vP*X<>ph"
# What a plot draws, with its names: the lines of a legend.
Handles = list[tuple[str, Any]]


class Point(NamedTuple):
    """One mark: where it stands, and the interval of its score."""

    x: float
    score: float
    low: float
    high: float


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the (cost, score) points that no other beats: none is as cheap or cheaper and scores higher.

    In order of cost; of equal points the first.
    """
    front: list[int] = []
    best = float("-inf")
    for at in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1], at)):
        if points[at][1] > best:
            front.append(at)
            best = points[at][1]
    return front


def cost_plot(
    systems: Mapping[str, Sequence[Point]], lines: Mapping[str, float], x_label: str, y_label: str, title: str
) -> str:
    """Score against cost for every system (its points joined), horizontal `lines` for what costs nothing, and the
    Pareto front over all points. Costs on a logarithmic axis where they span more than a factor of three."""
    figure, axes = _figure()
    points = [(name, point) for name, found in systems.items() for point in found]
    handles = _draw(axes, systems)
    front = [points[at][1] for at in pareto_front([(point.x, point.score) for _, point in points])]
    if len(front) > 1:
        (line,) = axes.plot([point.x for point in front], [point.score for point in front], linestyle=":", color=INK,
                            linewidth=1, zorder=1)  # fmt: skip
        handles.append(("Pareto front", line))
    costs = [point.x for _, point in points]
    if costs and max(costs) > 3 * min(costs) > 0:
        axes.set_xscale("log")
    return _finished(figure, axes, handles, lines, x_label, y_label, title)


def growth_plot(
    systems: Mapping[str, Sequence[Point]], lines: Mapping[str, float], x_label: str, y_label: str, title: str
) -> str:
    """Score against an amount of data, on a logarithmic axis; `lines` for what needs none."""
    figure, axes = _figure()
    handles = _draw(axes, systems)
    axes.set_xscale("log")
    return _finished(figure, axes, handles, lines, x_label, y_label, title)


def _figure() -> tuple[Any, Any]:
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "clir"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    return figure, axes


def _draw(axes: Any, systems: Mapping[str, Sequence[Point]]) -> Handles:
    handles = []
    for number, (name, points) in enumerate(systems.items()):
        ordered = sorted(points)
        below = [point.score - point.low for point in ordered]
        above = [point.high - point.score for point in ordered]
        bars = axes.errorbar(
            [point.x for point in ordered], [point.score for point in ordered], yerr=[below, above],
            marker=MARKERS[number % len(MARKERS)], markersize=6, capsize=2, linewidth=1.2, elinewidth=0.7,
        )  # fmt: skip
        handles.append((name, bars))
    return handles


def _finished(
    figure: Any, axes: Any, handles: Handles, lines: Mapping[str, float], x_label: str, y_label: str, title: str
) -> str:
    # Names are words: a dollar in one begins no formula.
    words = {"parse_math": False}
    for name, score in lines.items():
        axes.axhline(score, color="#888888", linewidth=0.8, linestyle="--")
        axes.annotate(name, (1, score), xycoords=("axes fraction", "data"), fontsize=8, color="#888888",
                      ha="right", va="bottom", **words)  # fmt: skip
    axes.set_xlabel(x_label, **words)
    axes.set_ylabel(y_label, **words)
    axes.set_title(title, fontsize=11, **words)
    if handles:
        # Named one by one: a legend of its own accord leaves out what begins with an underscore.
        legend = axes.legend(
            [handle for _, handle in handles], [name for name, _ in handles], fontsize=8, frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text in the SVG: the reader's fonts show it, not the ones that are measured here.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    # The page's own colour, so that a plot can be read in the light and in the dark.
    return text[text.index("<svg") :].replace(INK, "currentColor")


def curve_plot(curves: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str, title: str, *,
               logarithmic: bool = False) -> str:  # fmt: skip
    """A line through the (x, y) points of every system, on axes from 0 to 1 up."""
    figure, axes = _figure()
    handles = []
    for number, (name, points) in enumerate(curves.items()):
        marker = MARKERS[number % len(MARKERS)] if len(points) < 20 else None
        (line,) = axes.plot([x for x, _ in points], [y for _, y in points], linewidth=1.4, marker=marker, markersize=4)
        handles.append((name, line))
    axes.set_ylim(0, 1.02)
    if logarithmic:
        axes.set_xscale("log")
    return _finished(figure, axes, handles, {}, x_label, y_label, title)
