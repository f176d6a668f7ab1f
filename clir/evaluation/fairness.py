"""Are documents of all languages treated alike in one ranking? PEER, and alpha-nDCG with languages as aspects."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from clir.corpora.qrels import Qrels
from clir.evaluation.languages import Tags
from clir.runs.run import Run
from clir.support.errors import UsageError

CUTOFF = 20
ALPHA = 0.5


def peer(
    run: Run, qrels: Qrels, documents: Tags, *, cutoff: int = CUTOFF, weights: Mapping[int, float] | None = None
) -> dict[str, float]:
    """PEER@cutoff of every judged topic: the probability of equal expected ranks among languages, 1 for a fair ranking.

    For each relevance grade, the p-value of the Kruskal-Wallis test that its documents' ranks come from one
    distribution whatever their language; relevant documents that are not among the first `cutoff` hits share the
    ranks behind them. A grade with documents of one language only, or with none among those hits, counts 1. `weights`
    by grade add up to 1 (UsageError otherwise); by default all grades above 0 in the qrels weigh the same. With grade 0
    in `weights`, it covers the hits that are judged 0 or not judged.

    Yang, Jaenich, Mayfield and Lawrie, "Language Fairness in Multilingual Information Retrieval", SIGIR 2024
    (arXiv 2405.00978). Their package peer_measure puts ranks of the whole list into the statistic; here it is
    Kruskal and Wallis's, of ranks within the grade.
    """
    judgements = qrels.as_dict()
    chosen = _weights(judgements, weights)
    found = {}
    for qid, judged in judgements.items():
        docids = [hit.docid for hit in run[qid][:cutoff]]
        values = {grade: _equal_ranks(docids, judged, documents, grade) for grade in chosen}
        found[qid] = sum(weight * values[grade] for grade, weight in chosen.items())
    return found


def alpha_ndcg(
    run: Run, qrels: Qrels, documents: Tags, *, cutoff: int = CUTOFF, alpha: float = ALPHA
) -> dict[str, float]:
    """alpha-nDCG@cutoff of every judged topic with a document's language as its only aspect.

    A relevant document gains (1 - alpha)^n where n relevant ones of its language stand above it, so a ranking that
    takes languages in turn scores highest. The ideal is greedy, which for one aspect a document is optimal.
    Clarke et al., "Novelty and Diversity in Information Retrieval Evaluation", SIGIR 2008.
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha must be between 0 and 1, not {alpha}")
    found = {}
    for qid, judged in qrels.as_dict().items():
        relevant = {docid for docid, grade in judged.items() if grade > 0}
        hits = [documents[hit.docid] if hit.docid in relevant else None for hit in run[qid][:cutoff]]
        ideal = _gain(_in_turn(Counter(documents[docid] for docid in relevant)), cutoff, alpha)
        found[qid] = _gain(hits, cutoff, alpha) / ideal if ideal else 0.0
    return found


def _weights(judgements: Mapping[str, Mapping[str, int]], weights: Mapping[int, float] | None) -> Mapping[int, float]:
    if weights is None:
        grades = sorted({grade for judged in judgements.values() for grade in judged.values() if grade > 0})
        return {grade: 1 / len(grades) for grade in grades}
    if not math.isclose(sum(weights.values()), 1) or any(weight < 0 for weight in weights.values()):
        raise UsageError(f"PEER's weights must not be negative and must add up to 1, not {dict(weights)}")
    return weights


def _equal_ranks(docids: Sequence[str], judged: Mapping[str, int], documents: Tags, grade: int) -> float:
    """The p-value that the documents of one grade are ranked alike in all languages."""
    from scipy import stats

    ranks: dict[str, list[int]] = defaultdict(list)
    for rank, docid in enumerate(docids, 1):
        if judged.get(docid, 0) == grade:
            ranks[documents[docid]].append(rank)
    if not ranks:
        return 1.0
    if grade > 0:
        for docid in judged.keys() - set(docids):
            if judged[docid] == grade:
                ranks[documents[docid]].append(len(docids) + 1)
    if len(ranks) < 2 or len(np.unique(np.concatenate(list(ranks.values())))) < 2:
        return 1.0
    return float(stats.kruskal(*ranks.values()).pvalue)


def _gain(languages: Iterable[str | None], cutoff: int, alpha: float) -> float:
    seen: Counter[str] = Counter()
    total = 0.0
    for rank, language in enumerate(itertools.islice(languages, cutoff), 1):
        if language is not None:
            total += (1 - alpha) ** seen[language] / math.log2(rank + 1)
            seen[language] += 1
    return total


def _in_turn(counts: Counter[str]) -> list[str]:
    """Languages in rounds, each once in every round as long as it has documents."""
    rounds = max(counts.values(), default=0)
    return [language for turn in range(rounds) for language in sorted(counts) if counts[language] > turn]
