"""Run files in three forms: known by their content, written by their name, the same ranking in each."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.runs.forms import read_run, write_run
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError

RUN = Run.of(["2", "1", "1", "001"], ["x", "a", "b", "NA"], [0.1, 3, 3, 16777216], tag="mine")


@pytest.fixture
def file(tmp_path):
    def write(content: str | bytes, name: str = "a.run"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_what_is_written_under_each_name(tmp_path):
    expected = {
        "r.run": "2 Q0 x 1 0.1 mine\n1 Q0 b 1 3.0 mine\n1 Q0 a 2 2.9999998 mine\n001 Q0 NA 1 16777216.0 mine\n",
        "r.tsv": "2\tx\t1\n1\tb\t1\n1\ta\t2\n001\tNA\t1\n",
        "r.json": '{\n"2": {"x": 0.1},\n"1": {"b": 3.0, "a": 2.9999998},\n"001": {"NA": 16777216.0}\n}\n',
    }
    for name, text in expected.items():
        write_run(RUN, tmp_path / name)
        assert (tmp_path / name).read_text() == text
        write_run(RUN, tmp_path / f"{name}.gz")
        assert gzip.decompress((tmp_path / f"{name}.gz").read_bytes()).decode() == text
        again = read_run(tmp_path / f"{name}.gz")
        assert again.frame.select("qid", "docid").rows() == [("2", "x"), ("1", "b"), ("1", "a"), ("001", "NA")]
    write_run(RUN, tmp_path / "x.txt", "json")
    assert (tmp_path / "x.txt").read_text() == expected["r.json"]


@pytest.mark.parametrize("form", ["trec", "msmarco", "json"])
def test_a_run_without_hits_is_not_written(tmp_path, form):
    with pytest.raises(ClirError, match="nothing to write"):
        write_run(Run.from_hits({}), tmp_path / "x", form)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match=r"unknown form of a run 'trek'; did you mean 'trec'\? \(known: trec, msmarco"):
        write_run(RUN, tmp_path / "x", "trek")
    with pytest.raises(UsageError, match="unknown form"):
        read_run(tmp_path / "x", "xml")


def test_ranks_become_scores(file):
    run = read_run(file("7\ta\t2\n7\tb\t1\n7\tc\t10\n07 a 3\n"))
    assert run.frame.rows() == [
        ("7", "b", 1.0),
        ("7", "a", 0.5),
        ("7", "c", pytest.approx(0.1)),
        ("07", "a", pytest.approx(1 / 3)),
    ]
    assert run.tag == "msmarco"


def test_ranks_far_down_stay_apart(file):
    ranks = [1, 2, 3_999_998, 3_999_999, 4_000_000]
    run = read_run(file("".join(f"1\td{rank}\t{rank}\n" for rank in reversed(ranks))))
    assert run.frame["docid"].to_list() == [f"d{rank}" for rank in ranks]
    assert run.distinct().frame.equals(run.frame)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("7\ta\t1\n7\tb\t0\n", ":2: the rank '0' is not an integer from 1 to 9999999"),
        ("7\ta\t1\n7\tb\t2.5\n", ":2: the rank '2.5' is not an integer"),
        ("7\ta\t1\n7\tb\t99999999999999999999\n", ":2: the rank '99999999999999999999' is not an integer"),
        ("7\ta\t1\n7\tb\n", ":2: 2 columns, not the 3 of qid docid rank"),
        ("7\ta\t1\n7\ta\t2\n", ":2: document a a second time for topic 7 (first on line 1)"),
        ('{"7": {"a": 1.0,}}', ":1: not JSON: "),
        ('{"7": {"a": 1.0},\n "8": {"a" 2}}', ":2: not JSON: Expecting ':' delimiter (column 12)"),
        ('{"7": [1]}', ": topic '7' has no object of documents and scores"),
        ('{"7": {"a": "1"}}', ": topic '7', document 'a': the score is not a number: 1"),
        ('{"7": {"a": true}}', ": topic '7', document 'a': the score is not a number: True"),
        ('{"7": {"a": NaN}}', ": not a run as JSON: the score NaN is not a finite number"),
        ('{"7": {"a": 1e39}}', ": topic '7', document 'a': the score is beyond float32"),
        ('{"7": {"a": 1' + 400 * "0" + "}}", ": topic '7', document 'a': the score is beyond float32"),
        ('{"7": {"a": 1' + 5000 * "0" + "}}", ": not a run as JSON: Exceeds the limit"),
        ('{"7": {"a": 1, "a": 2}}', ": not a run as JSON: the key 'a' stands twice in one object"),
        ('{"7": {"a b": 1}}', ": docid 'a b' (line 1): an id must not be empty or have white space in it"),
        ('{"7": {"a\\ud800": 1}}', ": docid 'a\\ud800': an id with a lone surrogate"),
        ('{"7": ' + 100_000 * "[", ": not a run as JSON: "),
        (b'{"7": {"a": 1},\n "8": {"\xff": 1}}', ":2: not UTF-8: invalid start byte"),
    ],
)
def test_what_is_refused_and_where(file, content, reason):
    path = file(content)
    with pytest.raises(ClirError) as error:
        read_run(path)
    assert str(error.value).startswith(f"{path}{reason}")
    assert "\n" not in str(error.value)


hits = st.dictionaries(
    st.text('01x{"', min_size=1, max_size=2),
    st.dictionaries(
        st.text('ab"#é\\', min_size=1, max_size=3), st.floats(-(2.0**90), 2.0**90, width=32), min_size=1, max_size=8
    ),
    min_size=1,
    max_size=4,
)


@given(hits)
@settings(max_examples=50)
def test_every_form_keeps_ids_and_order(tmp_path_factory, topics):
    folder = tmp_path_factory.mktemp("forms")
    run = Run.from_hits({qid: list(ranking.items()) for qid, ranking in topics.items()})
    for form in ("trec", "msmarco", "json"):
        write_run(run, folder / form, form)
        again = read_run(folder / form, form)
        assert again.frame.select("qid", "docid").equals(run.frame.select("qid", "docid"))
        if form != "msmarco":
            assert again.frame.equals(run.distinct().frame)
    assert json.loads((folder / "json").read_text("utf-8")) == {
        qid: {docid: pytest.approx(score) for docid, score in ranking.items()}
        for qid, ranking in run.distinct().as_dict().items()
    }


@pytest.mark.parametrize(
    "content, reason",
    [
        ("7,Q0,a,1,2.5,t\n", ":1: 1 columns, not the 6 of qid iteration docid rank score tag; blanks or tabs separate"),
        ('[{"qid": "7", "docid": "a", "score": 1}]', ": not a JSON object of topics, which is {qid: {docid: score}}"),
        ('{"qid": "7", "docid": "a", "score": 1}\n', ": topic 'qid' has no object of documents and scores ({qid: {"),
    ],
)
def test_other_forms_are_refused_with_the_right_one(file, content, reason):
    path = file(content)
    with pytest.raises(ClirError) as error:
        read_run(path)
    assert str(error.value).startswith(f"{path}{reason}")
