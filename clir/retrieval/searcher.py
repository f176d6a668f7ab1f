"""What every kind of search offers: topics in, a Run out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clir.corpora.collection import Topic
from clir.runs.run import Run


class Searcher(Protocol):
    """One index (or several) with one way of ranking its documents."""

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic; a topic that finds nothing is not in the run."""
