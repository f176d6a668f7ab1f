"""The Pareto front, and plots that are well-formed SVG in the page's own colour."""

import warnings
import xml.etree.ElementTree

from hypothesis import given
from hypothesis import strategies as st

from clir.evaluation.plots import Point, cost_plot, curve_plot, growth_plot, pareto_front

COSTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: (float(pair[0]), float(pair[1]))))


@given(COSTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    def beaten(cost: float, score: float) -> bool:
        return any((c <= cost and s > score) or (c < cost and s >= score) for c, s in points)

    front = pareto_front(points)
    assert {points[at] for at in front} == {point for point in points if not beaten(*point)}
    assert [points[at] for at in front] == sorted({points[at] for at in front})


def test_plots_are_svg_with_their_labels_and_no_black() -> None:
    systems = {"ot & co": [Point(1e12, 0.5, 0.4, 0.6), Point(9e12, 0.7, 0.6, 0.8)], "mse": [Point(2e12, 0.4, 0.3, 0.5)]}
    for plot in (cost_plot, growth_plot):
        text = plot(systems, {"undistilled": 0.3}, "training FLOPs", "AP", "score and cost")
        tree = xml.etree.ElementTree.fromstring(text)
        words = {element.text for element in tree.iter() if element.tag.endswith("text")}
        assert {"ot & co", "mse", "undistilled", "training FLOPs", "AP", "score and cost"} <= words
        assert "#000000" not in text and "currentColor" in text
        assert text == plot(systems, {"undistilled": 0.3}, "training FLOPs", "AP", "score and cost")


def test_any_name_of_a_run_stands_in_the_legend_as_it_is() -> None:
    names = ["_base.run", r"a$\foo$", "$x$ & $y", "運行", "تشغيل", ""]
    points = [Point(1.0, 0.5, 0.4, 0.6), Point(2.0, 0.6, 0.5, 0.7)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [
            curve_plot({name: [(0.0, 0.5), (1.0, 0.4)] for name in names}, "x", "y", "title"),
            cost_plot(dict.fromkeys(names, points), {"$z$": 0.3}, "$u$", "$v$", "$w$"),
        ]
    for text in drawn:
        words = {element.text for element in xml.etree.ElementTree.fromstring(text).iter() if element.text}
        assert {name for name in names if name} <= words
    assert {"$z$", "$u$", "$v$", "$w$"} <= words
