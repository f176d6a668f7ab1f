"""LAReQA's mAP@k: average precision of the first k hits over as many relevant documents as k hits can hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from ir_measures import Measure, ParamInfo

NAME = "mAP"


class CutAveragePrecision(Measure):  # type: ignore[misc]
    """`mAP@k`: the sum of the precisions at the relevant ones among the first k hits, divided by min(R, k).

    R is the number of relevant documents of the topic; a topic without any has 0. ir_measures'
    `AP@k` (trec_eval's `map_cut_k`) divides by R, and so cannot reach 1 where R > k; where R <= k the
    two are equal. `rel` is the least relevance that counts as relevant, 1 if not said.

    Roy et al., "LAReQA", EMNLP 2020; `average_precision_at_k` of the code of XTREME-R.
    """

    __name__ = NAME
    NAME = NAME
    PRETTY_NAME = "Mean Average Precision of a cut ranking"
    SHORT_DESC = "Average precision of the first k hits, divided by the most relevant documents that k hits can hold."
    SUPPORTED_PARAMS = {  # noqa: RUF012  (ir_measures' own way)
        "cutoff": ParamInfo(dtype=int, required=True, desc="ranking cutoff threshold"),
        "rel": ParamInfo(dtype=int, default=1, desc="minimum relevance score to be considered relevant (inclusive)"),
    }

    def value(self, ranking: Iterable[str], judged: Mapping[str, int]) -> float:
        """The value of a topic: `ranking` has docids from the best on, `judged` their relevance."""
        cutoff = self["cutoff"]
        relevant = {docid for docid, relevance in judged.items() if relevance >= self["rel"]}
        if not relevant:
            return 0.0
        found, total = 0, 0.0
        for rank, docid in enumerate(itertools.islice(ranking, cutoff), 1):
            if docid in relevant:
                found += 1
                total += found / rank
        return total / min(len(relevant), cutoff)
