"""Another search's hits among some documents alone: what is asked for grows until there are enough of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from clir.corpora.collection import Topic
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run

# By how much a search goes deeper for topics of which too few hits were left.
DEEPER = 4


class LimitedSearcher:
    """The hits of `searcher` whose docids are in `allowed`, with its scores.

    As if it had ranked these documents alone, where the score of a document does not depend on how many are asked for.
    """

    def __init__(self, searcher: Searcher, allowed: pl.Series) -> None:
        self.searcher, self.allowed = searcher, allowed.unique()

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` allowed documents of every topic; a topic that finds none is not in the run."""
        parts: list[Run] = []
        asked, depth = list(topics), k
        while asked:
            run = self.searcher.search(asked, depth)
            left = Run(run.frame.filter(pl.col("docid").is_in(self.allowed.implode())), run.tag)
            found, kept = _lengths(run), _lengths(left)
            deeper = [topic for topic in asked if found.get(topic.qid, 0) >= depth and kept.get(topic.qid, 0) < k]
            again = {topic.qid for topic in deeper}
            parts.append(left.only(topic.qid for topic in asked if topic.qid not in again).cut(k))
            asked, depth = deeper, depth * DEEPER
        return _in_order(parts, topics)


def _lengths(run: Run) -> dict[str, int]:
    return dict(zip(run.topics, run.lengths.tolist(), strict=True))


def _in_order(parts: Sequence[Run], topics: Sequence[Topic]) -> Run:
    """Runs of different topics as one, in the order of `topics`."""
    if not parts:
        return Run.from_hits({})
    frame = pl.concat([part.frame for part in parts])
    place = {topic.qid: at for at, topic in enumerate(topics)}
    order = np.argsort(frame["qid"].replace_strict(place, return_dtype=pl.Int64).to_numpy(), kind="stable")
    return Run(frame[order], parts[0].tag)
