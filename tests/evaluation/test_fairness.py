"""PEER and alpha-nDCG by language on rankings whose fairness is plain."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from clir.corpora.qrels import Qrels
from clir.evaluation.fairness import alpha_ndcg, peer
from clir.runs.run import Run
from clir.support.errors import UsageError

LETTERS = "abcdefghijklmnopqrst"


def ranked(languages):
    """A run of one topic with a relevant document of each language in turn; its qrels; the documents' languages."""
    docids = [f"{letter}-{language}" for letter, language in zip(LETTERS, languages, strict=False)]
    run = Run.from_hits({"q": [(docid, -rank) for rank, docid in enumerate(docids)]})
    return run, Qrels.from_dict({"q": dict.fromkeys(docids, 1)}), {docid: docid[2:] for docid in docids}


def test_languages_in_turn_are_fairer_than_one_before_the_other():
    alternating, blocks = ranked(["de", "fr"] * 5), ranked(["de"] * 5 + ["fr"] * 5)
    assert peer(*alternating)["q"] > 0.6
    assert peer(*blocks)["q"] == pytest.approx(stats.kruskal([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]).pvalue)
    assert peer(*blocks)["q"] < 0.01


def test_one_language_only_and_nothing_found_are_fair():
    assert peer(*ranked(["de"] * 4)) == {"q": 1.0}
    _, qrels, languages = ranked(["de", "fr"])
    assert peer(Run.from_hits({}), qrels, languages) == {"q": 1.0}


def test_what_was_not_found_stands_behind_with_equal_ranks():
    run, qrels, languages = ranked(["de"] * 4 + ["fr"] * 4)
    expected = stats.kruskal([1, 2, 3, 4], [5, 5, 5, 5]).pvalue
    assert peer(run.cut(4), qrels, languages)["q"] == pytest.approx(expected)
    assert peer(run, qrels, languages, cutoff=4)["q"] == pytest.approx(expected)


def test_grades_are_weighted():
    run, qrels, languages = ranked(["de", "de", "fr", "fr", "de", "fr"])
    grades = dict(zip(languages, [3, 3, 3, 3, 1, 1], strict=True))
    qrels = Qrels.from_dict({"q": grades})
    three, one = stats.kruskal([1, 2], [3, 4]).pvalue, stats.kruskal([5], [6]).pvalue
    assert peer(run, qrels, languages)["q"] == pytest.approx((three + one) / 2)
    assert peer(run, qrels, languages, weights={3: 0.75, 1: 0.25})["q"] == pytest.approx(0.75 * three + 0.25 * one)
    with pytest.raises(UsageError, match=r"add up to 1, not \{3: 0.5\}"):
        peer(run, qrels, languages, weights={3: 0.5})


def test_documents_that_are_not_relevant_may_count_too():
    run, _, languages = ranked(["de", "de", "fr", "fr"])
    nothing = Qrels.from_dict({"q": {"a-de": 1}})
    assert peer(run, nothing, languages, weights={0: 1.0})["q"] == pytest.approx(stats.kruskal([2], [3, 4]).pvalue)


def test_alpha_ndcg_by_hand():
    run, qrels, languages = ranked(["de", "de", "fr"])
    gain = 1 + 0.5 / math.log2(3) + 1 / math.log2(4)
    ideal = 1 + 1 / math.log2(3) + 0.5 / math.log2(4)
    assert alpha_ndcg(run, qrels, languages)["q"] == pytest.approx(gain / ideal)
    assert alpha_ndcg(run, qrels, languages, alpha=0)["q"] == pytest.approx(1.0)
    assert alpha_ndcg(run, qrels, languages, cutoff=2)["q"] == pytest.approx(
        (1 + 0.5 / math.log2(3)) / (1 + 1 / math.log2(3))
    )
    with pytest.raises(UsageError, match="alpha must be between 0 and 1, not 2"):
        alpha_ndcg(run, qrels, languages, alpha=2)


@given(some.lists(some.sampled_from(["de", "fr", "zh"]), min_size=1, max_size=12))
def test_no_order_beats_the_ideal_and_names_do_not_matter(languages):
    run, qrels, tags = ranked(languages)
    assert 0 < alpha_ndcg(run, qrels, tags)["q"] <= 1 + 1e-12
    renamed = {docid: {"de": "xx", "fr": "aa", "zh": "mm"}[tag] for docid, tag in tags.items()}
    assert alpha_ndcg(run, qrels, renamed) == pytest.approx(alpha_ndcg(run, qrels, tags))
    assert peer(run, qrels, renamed) == pytest.approx(peer(run, qrels, tags))
    assert 0 <= peer(run, qrels, tags)["q"] <= 1
