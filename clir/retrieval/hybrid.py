"""Hybrid search: a dense and a sparse searcher, each with the text that suits it, fused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from clir.corpora.collection import Topic
from clir.retrieval.searcher import Searcher
from clir.runs.fusion import check, fuse
from clir.runs.fusion.shared_topics import few_shared
from clir.runs.run import Run
from clir.support.errors import UsageError
from clir.support.progress import say


@dataclasses.dataclass(frozen=True)
class FusionOptions:
    """How two runs become one; see `clir.runs.fusion.fuse`.

    `depth` is what each side is searched to (None: k); `sparse_depth` the sparse side, where it is another. `missing`
    is what a side gives a document that it has not found.
    """

    method: str = "rrf"
    rrf_k: float = 60
    weights: tuple[float, float] | None = None
    normalization: str = "minmax"
    depth: int | None = None
    sparse_depth: int | None = None
    missing: str = "zero"


class HybridSearcher:
    """Searches both sides and fuses their runs.

    `sparse_topics` is the text for the sparse side where it is not the dense side's (terms only match
    within a language): the same qids. Raises UsageError for wrong fusion options.
    """

    def __init__(
        self,
        dense: Searcher,
        sparse: Searcher,
        *,
        sparse_topics: Sequence[Topic] | None = None,
        fusion: FusionOptions | None = None,
    ) -> None:
        self.dense, self.sparse = dense, sparse
        self.fusion = fusion or FusionOptions()
        self._sparse_text = None if sparse_topics is None else {topic.qid: topic for topic in sparse_topics}
        check(
            2, self.fusion.method, rrf_k=self.fusion.rrf_k, weights=self.fusion.weights,
            normalization=self.fusion.normalization, missing=self.fusion.missing, depth=self.fusion.depth,
        )  # fmt: skip
        if self.fusion.sparse_depth is not None and self.fusion.sparse_depth < 1:
            raise UsageError(f"depth must be at least 1, not {self.fusion.sparse_depth}")

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` of the fused ranking of every topic, tagged `hybrid`.

        Raises UsageError if a topic has no text for the sparse side.
        """
        return self.fuse(*self.sides(topics, k), k)

    def sides(self, topics: Sequence[Topic], k: int) -> tuple[Run, Run]:
        """The dense and the sparse run that are fused, each to the fusion's depth."""
        depth = self.fusion.depth or k
        sparse_depth = self.fusion.sparse_depth or depth
        sparse_topics = self._for_sparse(topics)
        return self.dense.search(topics, depth), self.sparse.search(sparse_topics, sparse_depth)

    def fuse(self, dense: Run, sparse: Run, k: int) -> Run:
        """The two sides as one run; where few topics have hits on both sides, a line on stderr says so."""
        options = self.fusion
        if said := few_shared(("the dense side", "the sparse side"), (dense, sparse)):
            say(said)
        return fuse(
            [dense, sparse], options.method, rrf_k=options.rrf_k, weights=options.weights,
            normalization=options.normalization, missing=options.missing, hits=k, tag="hybrid",
        )  # fmt: skip

    def _for_sparse(self, topics: Sequence[Topic]) -> Sequence[Topic]:
        if self._sparse_text is None:
            return topics
        missing = [topic.qid for topic in topics if topic.qid not in self._sparse_text]
        if missing:
            more = f" (nor have {len(missing) - 1} more topics)" if len(missing) > 1 else ""
            raise UsageError(
                f"topic {missing[0]} has no text for the sparse side{more}: both sides need the same topic ids"
            )
        return [self._sparse_text[topic.qid] for topic in topics]
