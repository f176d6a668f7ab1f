"""Tables: four decimals, marks, whole names where no terminal cuts them."""

import io

from clir.evaluation.languages import Matrix
from clir.evaluation.tables import matrix_table, plain_table, score_table, show, topic_table


def printed(table, caption="") -> list[str]:
    stream = io.StringIO()
    show(table, caption, stream)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


def test_runs_down_measures_across_best_and_significance_marked():
    rows = {"a[b].run": {"AP": 0.5, "P@5": 1.0}, "c.run": {"AP": 0.60004, "P@5": 0.1}}
    marks = {("c.run", "AP"): "+", ("c.run", "P@5"): "-"}
    assert printed(score_table(rows, ["AP", "P@5"], marks), "*: best") == [
        "| run      |     AP   |    P@5  |",
        "|----------|----------|---------|",
        "| a[b].run | 0.5000   | 1.0000* |",
        "| c.run    | 0.6000*+ | 0.1000- |",
        "*: best",
    ]


def test_one_run_is_not_best_and_equals_are_both():
    assert "*" not in "".join(printed(score_table({"a": {"AP": 0.5}}, ["AP"])))
    both = printed(score_table({"a": {"AP": 0.50001}, "b": {"AP": 0.5}}, ["AP"]))
    assert sum("0.5000*" in line for line in both) == 2


def test_topics_of_every_run():
    lines = printed(topic_table({"a": {"1": {"AP": 0.5}, "2": {"AP": 0.0}}}, ["AP"]))
    assert [line.split() for line in lines[2:]] == [
        ["|", "a", "|", "1", "|", "0.5000", "|"],
        ["|", "a", "|", "2", "|", "0.0000", "|"],
    ]


def test_long_names_stay_whole():
    name = "runs/" + "x" * 300 + ".run"
    assert any(name in line for line in printed(score_table({name: {"AP": 0.5}}, ["AP"])))


def test_names_are_no_markup():
    name = "runs/[dense]/[/x].run"
    matrix = Matrix("AP", ("sw",), ("en",), {"sw": {"en": 0.5}}, {"sw": {"en": 1}})
    assert f"| AP, {name} |" in printed(matrix_table(matrix, name))[0]
    lines = printed(plain_table([{"[step]": "[one]", "run": name, "found": 0.5}]))
    assert lines[0].startswith("| [step] |") and "| [one]  |" in lines[2] and name in lines[2] and "0.5000" in lines[2]
