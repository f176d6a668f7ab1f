"""`python -m clir.search` beyond its methods: first stages, translation, feedback, hits that are shown."""

import json

import pytest

from clir.runs.trec import read_run

DEMO = ("--collection", "demo/sw")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def search(door, desk):
    """Searches the demo in one folder, so that its indexes are built once."""

    def run(*options, output="out.run"):
        return door("search", *DEMO, *options, "--output", output, cwd=desk)

    return run


def test_translated_topics_and_their_provenance(search, desk):
    done = search("--method", "bm25", "--translate", "human", output="human.run")
    assert done.returncode == 0, done.stderr
    same = search("--method", "bm25", "--topics-language", "en", output="english.run")
    assert same.returncode == 0, same.stderr
    translated, english = read_run(desk / "human.run"), read_run(desk / "english.run")
    assert translated.as_dict() == english.as_dict()
    manifest = json.loads((desk / "human.run.meta.json").read_text())
    assert manifest["method"]["translation"] == {"kind": "human", "collection": "demo/sw", "target": "en"}


def test_a_run_in_another_form(search, desk):
    done = search("--method", "bm25", "--topics-language", "en", output="ranking.tsv")
    assert done.returncode == 0, done.stderr
    found = read_run(desk / "english.run")
    lines = [line.split("\t") for line in (desk / "ranking.tsv").read_text().splitlines()]
    assert lines[: len(found[found.topics[0]])] == [
        [found.topics[0], hit.docid, str(rank)] for rank, hit in enumerate(found[found.topics[0]], 1)
    ]
    assert len(lines) == len(found)


def test_feedback_changes_the_ranking_and_is_in_the_manifest(search, desk):
    done = search("--method", "bm25", "--topics-language", "en", "--rm3", "--fb-docs", "3", output="rm3.run")
    assert done.returncode == 0, done.stderr
    feedback = json.loads((desk / "rm3.run.meta.json").read_text())["method"]["feedback"]
    assert (feedback["method"], feedback["documents"], feedback["terms"]) == ("RM3", 3, 10)
    assert read_run(desk / "rm3.run").as_dict() != read_run(desk / "english.run").as_dict()


def test_a_run_is_reranked_and_its_hits_are_shown_and_explained(search, desk, minilm):
    options = ("--method", "late", "--encoder", minilm, "--topics-language", "en", "--first-stage")
    done = search(*options, "english.run", "--candidates", "5", "--show", "1", "--explain", output="late.run")
    assert done.returncode == 0, done.stderr
    first, reranked = read_run(desk / "english.run").cut(5), read_run(desk / "late.run")
    assert all({hit.docid for hit in reranked[qid]} <= {hit.docid for hit in first[qid]} for qid in reranked.topics)
    assert "the sum over" in done.stdout and "document" in done.stdout
    again = search(*options, "bm25", "--candidates", "5", output="stage.run")
    assert again.returncode == 0, again.stderr
    assert read_run(desk / "stage.run").as_dict() == reranked.as_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "bm25", "--first-stage", "bm25"), "--first-stage does not apply to --method bm25"),
        (("--method", "late", "--encoder", "x", "--first-stage", "no"), "unknown first stage 'no'"),
        (("--method", "bm25", "--rm3", "--rocchio"), "--rm3 and --rocchio: give one of them"),
        (("--method", "bm25", "--fb-docs", "3"), "--fb-terms and --fb-docs are for --rm3 or --rocchio"),
        (("--method", "bm25", "--languages", "sw"), "--languages does not apply to --method bm25"),
        (("--method", "bm25", "--senses", "all"), "--senses is for --translate"),
        (("--method", "bm25", "--translate", "oracle"), "oracle"),
        (
            ("--method", "bm25", "--translate", "human", "--sparse-topics-language", "en"),
            "--translate already gives the BM25 side its text",
        ),
        (("--method", "bm25", "--explain"), "--explain needs --show N, whose hits it explains"),
        (("--method", "bm25", "--show", "0"), "--show must be at least 1, not 0"),
        (("--method", "bm25", "--show", "1", "--json"), "--show prints passages"),
        (("--method", "hybrid", "--encoder", "x", "--depth", "1", "2", "3"), "--depth has one number"),
        (("--method", "hybrid", "--encoder", "x", "--depth", "1", "0"), "depth must be at least 1, not 0"),
        (
            ("--method", "hybrid", "--encoder", "x", "--fusion", "isr", "--rrf.k", "9"),
            "--rrf.k does not apply to fusion",
        ),
        (("--method", "dense", "--encoder", "x", "--prf-method", "mean"), "unknown feedback 'mean'"),
    ],
)
def test_wrong_use_is_one_line(search, options, message):
    done = search(*options)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
