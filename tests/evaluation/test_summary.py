"""The view on several runs: marks, best, captions, CSV and LaTeX."""

import numpy as np
import pytest

from clir.evaluation.latex import escaped, summary_latex
from clir.evaluation.measures import Scores
from clir.evaluation.summary import Criterion, pairs_frame, summarise, summary_frame
from clir.evaluation.tables import gap_table, show, summary_table
from clir.support.errors import UsageError


def scores(values):
    return Scores({str(at): {"AP": float(v)} for at, v in enumerate(values)}, {"AP": float(np.mean(values))})


@pytest.fixture
def three():
    rng = np.random.default_rng(1)
    base = rng.random(50) / 2
    return {"base": scores(base), "a_b": scores(base + 0.2), "same": scores(base + rng.normal(0, 0.01, 50))}


def printed(table, capsys):
    show(table)
    return [line.replace("|", " ").split() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_marks_and_best(three, capsys):
    summary = summarise(three, ["AP"], "base")
    assert [summary.mark(run, "AP") for run in three] == ["", "+", ""]
    assert [summary.cells[run, "AP"].best for run in three] == [False, True, False]
    assert printed(summary_table(summary), capsys)[3][1].endswith("*+")
    assert "paired t test, p < 0.05, Holm's correction over 2 tests; it assumes" in summary.caption
    assert summarise(three, ["AP"]).caption == "*: best"


def test_a_stricter_level_marks_less(three):
    rng = np.random.default_rng(2)
    three["near"] = scores(three["base"].values("AP") + rng.normal(0.004, 0.01, 50))
    p = summarise(three, ["AP"], "base").cells["near", "AP"].comparison.adjusted
    assert summarise(three, ["AP"], "base", Criterion(level=p * 1.01)).mark("near", "AP") == "+"
    assert summarise(three, ["AP"], "base", Criterion(level=p * 0.99)).mark("near", "AP") == ""
    with pytest.raises(UsageError, match="unknown correction"):
        summarise(three, ["AP"], "base", Criterion(correction="x"))


def test_frames_have_a_line_each(three):
    frame = summary_frame(summarise(three, ["AP"], "base"))
    assert frame["run"].to_list() == ["base", "a_b", "same"]
    assert frame["difference"].to_list()[1] == pytest.approx(0.2) and frame["p"][0] is None
    assert (frame["low"] < frame["mean"]).all() and (frame["mean"] < frame["high"]).all()
    pairs = pairs_frame(three, "AP", Criterion())
    assert pairs.select("first", "second").rows() == [("base", "a_b"), ("base", "same"), ("a_b", "same")]


def test_a_measure_that_counts_is_summed_throughout(three):
    counted = {
        run: Scores(
            {qid: {"AP": row["AP"], "NumRet": row["AP"]} for qid, row in found.per_topic.items()},
            {"AP": found.average["AP"], "NumRet": sum(row["AP"] for row in found.per_topic.values())},
        )
        for run, found in three.items()
    }
    summary = summarise(counted, ["AP", "NumRet"], "base")
    for run in counted:
        mean, total = summary.cells[run, "AP"], summary.cells[run, "NumRet"]
        assert (total.mean, total.low, total.high) == pytest.approx((50 * mean.mean, 50 * mean.low, 50 * mean.high))
    mean, total = (summary.cells["a_b", measure].comparison for measure in ("AP", "NumRet"))
    assert (total.difference, total.low, total.high) == pytest.approx((10, 50 * mean.low, 50 * mean.high))
    assert (total.p, total.adjusted, total.effect) == (mean.p, mean.adjusted, mean.effect)
    assert pairs_frame(counted, "NumRet", Criterion())["difference"][0] == pytest.approx(10)


def test_a_row_of_latex_does_not_begin_with_an_option_of_the_line_before(three):
    names = {"[dense]": three["base"], "*star": three["same"], " [x]": three["a_b"]}
    lines = summary_latex(summarise(names, ["AP"])).splitlines()
    assert [line.split(" &")[0] for line in lines if line.startswith("{}")] == ["{}[dense]", "{}*star", "{} [x]"]


def test_latex_is_escaped_and_marked(three):
    text = summary_latex(summarise(three, ["AP"], "base"))
    assert r"a\_b & \textbf{" in text and "}$^{+}$" in text and r"\toprule" in text
    assert escaped("50% of A_B & <x>") == r"50\% of A\_B \& \textless{}x\textgreater{}"


def test_gap_is_the_share_of_the_way(capsys):
    three = {name: scores([value] * 3) for name, value in (("low", 0.2), ("mid", 0.3), ("high", 0.6))}
    assert printed(gap_table(three, ["AP"], "low", "high"), capsys)[-1] == ["mid", "25.0%"]
    assert printed(gap_table(three, ["AP"], "high", "low"), capsys)[-1] == ["mid"]
