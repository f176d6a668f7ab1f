"""Scores a student in training by searching a collection with it: what early stopping on a dev split looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clir.corpora.collection import Collection
from clir.corpora.registry import open_collection
from clir.distillation.start import tower_encoder
from clir.distillation.validation import BITEXT, EarlyStopping, Validate
from clir.encoding.encoder import TowerEncoder, Vectors, load_encoder, token_encoder
from clir.encoding.folder import Side
from clir.encoding.token_vectors import TokenVectors
from clir.evaluation.measures import evaluate, parse
from clir.experiments.indexes import ROOT, dense_index, token_index
from clir.retrieval.dense import DenseSearcher
from clir.retrieval.late import LateSearcher
from clir.retrieval.searcher import Searcher
from clir.support.errors import UsageError

if TYPE_CHECKING:
    from clir.encoding.encoder import Encoder
    from clir.encoding.tower import Tower

HITS = 100


@dataclasses.dataclass
class StudentInTraining:
    """An encoder of queries by a tower that is still trained, and of documents by its teacher."""

    queries: TowerEncoder
    teacher: Encoder
    name: str = "the student in training"

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return self.teacher.dimension

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 vectors of `texts` as the tower is now."""
        return self.queries.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """The teacher's document vectors."""
        return self.teacher.encode_documents(texts)

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """The token vectors of `texts` as the tower is now."""
        return self.queries.encode_query_tokens(texts)

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """The teacher's token vectors of documents."""
        return token_encoder(self.teacher).encode_document_tokens(texts)

    def token_limit(self, side: Side) -> int:
        """How many tokens of a text are read: of queries as the student's start does, of documents as the teacher."""
        return (self.queries if side == "query" else token_encoder(self.teacher)).token_limit(side)

    def fingerprint(self, side: Side) -> str:
        """The teacher's; a query tower in training has none that lasts."""
        return self.teacher.fingerprint(side)


def validation(
    stopping: EarlyStopping | None, teacher: str, student: str, device: str = "cpu", indexes: Path = ROOT
) -> Validate | None:
    """The score that `stopping` asks for where it names a collection, else None; its index is built if it is missing.

    `teacher` encodes the documents, `student` is the start, which says how the tower in training reads queries. Raises
    UsageError for an unknown collection or measure, or a collection without qrels.
    """
    if stopping is None or stopping.by == BITEXT:
        return None
    collection = open_collection(stopping.by)
    qrels = collection.qrels()
    if qrels is None:
        raise UsageError(f"early stopping: {stopping.by} has no qrels")
    (measure,) = parse([stopping.measure])
    encoder, start = load_encoder(teacher, device=device), tower_encoder(student, device)
    topics = collection.topics()
    search = _token_search(collection, encoder, indexes) if stopping.search == "late" else _search(
        collection, encoder, indexes
    )  # fmt: skip

    def validate(tower: Tower) -> float:
        run = search(StudentInTraining(start.with_query_tower(tower), encoder)).search(topics, HITS)
        return evaluate(run, qrels, [measure]).average[str(measure)]

    return validate


def _search(collection: Collection, teacher: Encoder, indexes: Path) -> Callable[[StudentInTraining], Searcher]:
    index = dense_index(collection, teacher, indexes)
    return lambda student: DenseSearcher(index, student)


def _token_search(collection: Collection, teacher: Encoder, indexes: Path) -> Callable[[StudentInTraining], Searcher]:
    index = token_index(collection, teacher, indexes)
    return lambda student: LateSearcher(index, student, first_stage="exhaustive")
