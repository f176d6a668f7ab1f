"""Another search's hits without the topic itself, where topics are documents (ArguAna, Quora of BEIR)."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from clir.corpora.collection import Topic
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run


class WithoutQuery:
    """The hits of `searcher`, but for the document whose docid is the topic's qid: as if it were not in the index.

    One hit more is searched for, so that as many come back as are asked for.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` other documents of every topic; a topic that finds none is not in the run."""
        return without_query(self.searcher.search(topics, k + 1)).cut(k)


def without_query(run: Run) -> Run:
    """A run without the hits whose docid is their topic's qid."""
    return Run(run.frame.filter(pl.col("docid") != pl.col("qid")), run.tag)
