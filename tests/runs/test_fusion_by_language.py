"""Fusion within each language of the documents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clir.runs.fusion import METHODS, fuse, fuse_by_language
from clir.runs.fusion.normalizations import over_topics
from clir.runs.run import Run
from clir.support.errors import UsageError

LANGUAGES = {f"{code}{number}": code for code in ("en", "sw") for number in range(6)}


def test_a_language_with_higher_scores_has_no_advantage() -> None:
    run = Run.from_hits({"1": [("en0", 0.9), ("en1", 0.8), ("en2", 0.7), ("sw0", 0.3), ("sw1", 0.1)]})
    merged = fuse_by_language([run], LANGUAGES, "combsum")
    assert [hit.docid for hit in merged["1"]] == ["sw0", "en0", "en1", "sw1", "en2"]


def test_over_topics_keeps_what_a_topic_says() -> None:
    # The first topic has its answer in Swahili, the second in English.
    run = Run.from_hits(
        {
            "1": [("en0", 0.72), ("en1", 0.70), ("sw0", 0.6), ("sw1", 0.31)],
            "2": [("en2", 0.95), ("en3", 0.71), ("sw2", 0.33), ("sw3", 0.32)],
        }
    )
    merged = fuse_by_language([run], LANGUAGES, "combsum", normalization="over-topics")
    assert [merged[qid][0].docid for qid in ("1", "2")] == ["sw0", "en2"]
    within = fuse_by_language([run], LANGUAGES, "combsum", normalization="minmax")
    # Within topics both languages' best documents are equal, and the docid decides.
    assert [within[qid][0].docid for qid in ("1", "2")] == ["sw0", "sw2"]


def test_over_topics_by_hand() -> None:
    run = Run.from_hits({"1": [("a", 3.0), ("b", 1.0)], "2": [("a", 2.0)]})
    assert over_topics(run) == pytest.approx(np.array([1.0, -1.0, 0.0]) * np.sqrt(1.5))
    assert over_topics(Run.from_hits({"1": [("a", 0.1), ("b", 0.1)], "2": [("c", 0.1)]})).tolist() == [0.0] * 3
    assert over_topics(Run.from_hits({})).tolist() == []


SCORES = st.dictionaries(st.sampled_from(sorted(LANGUAGES)), st.integers(0, 50).map(float), min_size=1)
RUNS = st.dictionaries(st.sampled_from("123"), SCORES, min_size=1).map(
    lambda hits: Run.from_hits({qid: list(found.items()) for qid, found in hits.items()})
)


def part(run: Run, code: str) -> Run:
    """The documents of one language, found the slow way."""
    kept = {qid: [hit for hit in run[qid] if LANGUAGES[hit.docid] == code] for qid in run}
    return Run.from_hits({qid: hits for qid, hits in kept.items() if hits})


@given(st.lists(RUNS, min_size=2, max_size=3), st.sampled_from(sorted(METHODS)))
def test_within_a_language_it_is_the_fusion_of_its_documents(runs: list[Run], method: str) -> None:
    if len({LANGUAGES[docid] for run in runs for docid in run.frame["docid"]}) < 2:
        return
    merged = fuse_by_language(runs, LANGUAGES, method, hits=None)
    for code in ("en", "sw"):
        alone = fuse([part(run, code) for run in runs], method, hits=None)
        assert {qid: [hit.docid for hit in part(merged, code)[qid]] for qid in alone} == {
            qid: [hit.docid for hit in alone[qid]] for qid in alone
        }
    assert sorted(merged) == sorted({qid for run in runs for qid in run})


@given(RUNS, st.floats(0.5, 2.0), st.floats(-3, 3))
def test_scaling_one_languages_scores_changes_nothing(run: Run, factor: float, offset: float) -> None:
    if len({LANGUAGES[docid] for docid in run.frame["docid"]}) < 2:
        return
    moved = Run.from_hits(
        {
            qid: [
                (hit.docid, hit.score * factor + offset if LANGUAGES[hit.docid] == "en" else hit.score)
                for hit in run[qid]
            ]
            for qid in run
        }
    )
    one, other = (fuse_by_language([each], LANGUAGES, "combsum", normalization="over-topics") for each in (run, moved))
    for qid in run:
        assert dict(one[qid]) == pytest.approx(dict(other[qid]), abs=1e-4)


def test_what_it_refuses() -> None:
    run = Run.from_hits({"1": [("en0", 1.0), ("en1", 0.5)]})
    with pytest.raises(UsageError, match=r"all documents are in one language \(en\)"):
        fuse_by_language([run], LANGUAGES, "combsum")
    both = Run.from_hits({"1": [("en0", 1.0), ("sw1", 0.5)]})
    with pytest.raises(UsageError, match="3 weights for 2 runs"):
        fuse_by_language([both, run], LANGUAGES, "weighted", weights=[1, 2, 3])
    assert len(fuse_by_language([both], LANGUAGES, "weighted", weights=[1.0], hits=1)) == 1
