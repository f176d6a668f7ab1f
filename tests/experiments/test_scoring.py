"""From files to scores: which runs there are, by what names, and what counts of them."""

import pytest

from clir.experiments.scoring import score
from clir.support.errors import UsageError


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.txt").write_text("1 0 en_a 1\n1 0 sw_a 0\n")
    (tmp_path / "a.run").write_text("1 Q0 en_a 1 2 a\n1 Q0 sw_a 2 1 a\n")
    (tmp_path / "b.run").write_text("1 Q0 sw_a 1 2 b\n1 Q0 en_a 2 1 b\n")
    return tmp_path


def test_one_file_is_one_run_however_it_is_named(desk):
    scored = score(["a.run"], "q.txt", ["AP"], baseline="b.run", oracle="./b.run")
    assert list(scored.runs) == ["b.run", "a.run"]
    assert (scored.baseline, scored.oracle) == ("b.run", "b.run")
    scored = score(["a.run", "b.run"], "q.txt", ["AP"], names=["A", "B"], baseline="./b.run")
    assert (list(scored.runs), scored.baseline) == (["A", "B"], "B")


@pytest.mark.parametrize("kind", ["baseline", "oracle"])
def test_a_name_is_one_runs(desk, kind):
    with pytest.raises(UsageError, match=f"--names calls a run b.run, which is the name of the {kind}"):
        score(["a.run"], "q.txt", ["AP"], names=["b.run"], **{"baseline": "a.run", kind: "b.run"})


def test_shares_of_languages_are_over_the_judged_topics(desk):
    (desk / "mixed.run").write_text((desk / "a.run").read_text() + "9 Q0 zz 1 2 a\n9 Q0 sw_b 2 1 a\n")
    lines = [
        score([name], "q.txt", ["AP"], document_languages="^([a-z]+)_").fairness[0] for name in ("a.run", "mixed.run")
    ]
    assert [line["en, 10 hits"] for line in lines] == [0.5, 0.5]
    assert [line["sw, 10 hits"] for line in lines] == [0.5, 0.5]
