"""Scores a student in training by searching a collection with it: what early stopping on a dev split looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clir.corpora.registry import open_collection
from clir.distillation.start import tower_encoder
from clir.distillation.validation import BITEXT, EarlyStopping, Validate
from clir.encoding.encoder import Vectors, load_encoder
from clir.encoding.folder import Side
from clir.evaluation.measures import evaluate, parse
from clir.experiments.indexes import ROOT, dense_index
from clir.retrieval.dense import DenseSearcher
from clir.support.errors import UsageError

if TYPE_CHECKING:
    from clir.encoding.encoder import Encoder
    from clir.encoding.tower import Tower

HITS = 100
BATCH = 32


@dataclasses.dataclass
class StudentInTraining:
    """An encoder of queries by a tower that is still trained, and of documents by its teacher."""

    tower: Tower
    teacher: Encoder
    prompt: str
    name: str = "the student in training"

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        return self.teacher.dimension

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 vectors of `texts` as the tower is now."""
        import numpy as np
        import torch

        device = next(self.tower.parameters()).device
        found = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                batch = self.tower.tokenize(texts[start : start + BATCH], self.prompt).to(device)
                found.append(self.tower(batch).sentence.float().cpu().numpy())
        return np.concatenate(found)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """The teacher's document vectors."""
        return self.teacher.encode_documents(texts)

    def fingerprint(self, side: Side) -> str:
        """The teacher's; a query tower in training has none that lasts."""
        return self.teacher.fingerprint(side)


def validation(
    stopping: EarlyStopping | None, teacher: str, student: str, device: str = "cpu", indexes: Path = ROOT
) -> Validate | None:
    """The score that `stopping` asks for where it names a collection, else None; its index is built if it is missing.

    `teacher` encodes the documents, `student` is the start, whose prompt is read. Raises UsageError for an
    unknown collection or measure, or a collection without qrels.
    """
    if stopping is None or stopping.by == BITEXT:
        return None
    collection = open_collection(stopping.by)
    qrels = collection.qrels()
    if qrels is None:
        raise UsageError(f"early stopping: {stopping.by} has no qrels")
    (measure,) = parse([stopping.measure])
    encoder, prompt = load_encoder(teacher, device=device), tower_encoder(student).spec("query").prompt
    index, topics = dense_index(collection, encoder, indexes), collection.topics()

    def validate(tower: Tower) -> float:
        searcher = DenseSearcher(index, StudentInTraining(tower, encoder, prompt))
        return evaluate(searcher.search(topics, HITS), qrels, [measure]).average[str(measure)]

    return validate
