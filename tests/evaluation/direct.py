"""Measures computed as they are defined, one topic at a time: what the packages behind ir_measures are held against.

A function takes `ranking`, docids from the best on, and `judged`, the grades by docid; unjudged documents and those
with a grade below 0 (in the pool, not judged) are not relevant.
"""

import math
from collections.abc import Callable, Mapping, Sequence

Judged = Mapping[str, int]
Ranking = Sequence[str]
EPSILON = 1e-5


def hits(ranking: Ranking, judged: Judged, rel: int = 1) -> list[bool]:
    return [judged.get(docid, -1) >= rel for docid in ranking]


def relevant(judged: Judged, rel: int = 1) -> int:
    return sum(grade >= rel for grade in judged.values())


def over(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def precision(ranking: Ranking, judged: Judged, k: int, rel: int = 1) -> float:
    return sum(hits(ranking[:k], judged, rel)) / k


def recall(ranking: Ranking, judged: Judged, k: int, rel: int = 1) -> float:
    return over(sum(hits(ranking[:k], judged, rel)), relevant(judged, rel))


def success(ranking: Ranking, judged: Judged, k: int, rel: int = 1) -> float:
    return float(any(hits(ranking[:k], judged, rel)))


def average_precision(ranking: Ranking, judged: Judged, k: int | None = None, rel: int = 1) -> float:
    found = hits(ranking[:k], judged, rel)
    return over(sum(sum(found[: i + 1]) / (i + 1) for i, hit in enumerate(found) if hit), relevant(judged, rel))


def reciprocal_rank(ranking: Ranking, judged: Judged, k: int | None = None, rel: int = 1) -> float:
    found = hits(ranking[:k], judged, rel)
    return 1 / (found.index(True) + 1) if True in found else 0.0


def r_precision(ranking: Ranking, judged: Judged, rel: int = 1) -> float:
    return precision(ranking, judged, relevant(judged, rel), rel) if relevant(judged, rel) else 0.0


def ndcg(ranking: Ranking, judged: Judged, k: int | None = None, gain: Callable[[int], float] = float) -> float:
    def dcg(grades: Sequence[int]) -> float:
        return sum(gain(grade) / math.log2(i + 2) for i, grade in enumerate(grades[:k]) if grade > 0)

    return over(dcg([judged.get(docid, 0) for docid in ranking]), dcg(sorted(judged.values(), reverse=True)))


def err(ranking: Ranking, judged: Judged, k: int | None = None) -> float:
    value, looking = 0.0, 1.0
    for rank, docid in enumerate(ranking[:k], 1):
        stop = max(0, 2 ** max(0, judged.get(docid, 0)) - 1) / 16
        value, looking = value + looking * stop / rank, looking * (1 - stop)
    return value


def bpref(ranking: Ranking, judged: Judged, rel: int = 1) -> float:
    wanted, unwanted = relevant(judged, rel), sum(0 <= grade < rel for grade in judged.values())
    total, before = 0.0, 0
    for docid in ranking:
        if judged.get(docid, -1) >= rel:
            total += 1 - over(min(before, wanted), min(unwanted, wanted))
        elif judged.get(docid, -1) >= 0:
            before += 1
    return over(total, wanted)


def inferred_ap(ranking: Ranking, judged: Judged, rel: int = 1) -> float:
    good = bad = pooled = 0
    total = 0.0
    for place, docid in enumerate(ranking):
        grade = judged.get(docid)
        if grade is None:
            continue
        if grade < 0:
            pooled += 1
        elif grade < rel:
            bad += 1
        else:
            share = (good + EPSILON) / (good + bad + 2 * EPSILON)
            total += (1 + (good + bad + pooled) * share) / (place + 1) if place else 1.0
            good += 1
    return over(total, relevant(judged, rel))


def interpolated_precision(ranking: Ranking, judged: Judged, level: float, rel: int = 1) -> float:
    found = hits(ranking, judged, rel)
    cut = int(level * relevant(judged, rel) + 0.9)
    return max((sum(found[: i + 1]) / (i + 1) for i in range(len(found)) if sum(found[: i + 1]) >= cut), default=0.0)


def set_precision(ranking: Ranking, judged: Judged, rel: int = 1) -> float:
    return over(sum(hits(ranking, judged, rel)), len(ranking))


def set_relative_precision(ranking: Ranking, judged: Judged, rel: int = 1) -> float:
    return over(sum(hits(ranking, judged, rel)), min(len(ranking), relevant(judged, rel)))


def set_recall(ranking: Ranking, judged: Judged, rel: int = 1) -> float:
    return over(sum(hits(ranking, judged, rel)), relevant(judged, rel))


def set_f(ranking: Ranking, judged: Judged, beta: float = 1.0) -> float:
    p, r = set_precision(ranking, judged), set_recall(ranking, judged)
    return over((beta + 1) * p * r, r + beta * p)


def judged_share(ranking: Ranking, judged: Judged, k: int | None = None) -> float:
    return over(sum(docid in judged for docid in ranking[:k]), len(ranking[:k]))


def accuracy(ranking: Ranking, judged: Judged, k: int | None = None) -> float:
    """Of the pairs of a relevant and another hit, how many have the relevant one first; 0 where there are none."""
    found = hits(ranking[:k], judged)
    pairs = [(a, b) for a in range(len(found)) for b in range(len(found)) if found[a] and not found[b]]
    return over(sum(a < b for a, b in pairs), len(pairs))


def compatibility(ranking: Ranking, judged: Judged, p: float = 0.95) -> float:
    def overlap(one: Ranking, other: Ranking) -> float:
        depth = max(len(ranking), len(ideal))
        weights = [p**i for i in range(depth)]
        return over(
            sum(w * len({*one[: i + 1]} & {*other[: i + 1]}) / (i + 1) for i, w in enumerate(weights)), sum(weights)
        )

    places = {docid: place for place, docid in enumerate(ranking)}
    ideal = sorted((docid for docid, grade in judged.items() if grade > 0),
                   key=lambda docid: (-judged[docid], places.get(docid, len(ranking))))  # fmt: skip
    return over(overlap(ranking, ideal), overlap(ideal, ideal))


def walked(gains: Sequence[float], goes_on: Callable[[int, float, float], float], depth: int = 1000) -> float:
    """A C/W/L measure: the mean gain of a document that a user looks at. `goes_on(rank, gain, gain so far)` is the
    chance that the user goes on behind this rank."""
    total = weights = so_far = 0.0
    looking = 1.0
    for rank in range(1, depth + 1):
        gain = gains[rank - 1] if rank <= len(gains) else 0.0
        so_far += gain
        weights, total = weights + looking, total + looking * gain
        looking *= goes_on(rank, gain, so_far)
    return total / weights


def alpha_ndcg(ranking: Ranking, topics_of: Mapping[str, set[str]], k: int, alpha: float = 0.5) -> float:
    """`topics_of` has the subtopics for which a document is relevant; the ideal ranking is the greedy one."""

    def dcg(order: Ranking) -> float:
        seen: dict[str, int] = {}
        total = 0.0
        for rank, docid in enumerate(order[:k], 1):
            for topic in topics_of.get(docid, ()):
                total += (1 - alpha) ** seen.get(topic, 0) / math.log2(rank + 1)
                seen[topic] = seen.get(topic, 0) + 1
        return total

    ideal: list[str] = []
    while len(ideal) < min(k, len(topics_of)):
        ideal.append(max((docid for docid in topics_of if docid not in ideal), key=lambda docid: (
            dcg([*ideal, docid]), docid)))  # fmt: skip
    return over(dcg(ranking), dcg(ideal))


def subtopic_recall(ranking: Ranking, topics_of: Mapping[str, set[str]], k: int) -> float:
    found = set().union(*(topics_of.get(docid, set()) for docid in ranking[:k]))
    return over(len(found), len(set().union(*topics_of.values())))
