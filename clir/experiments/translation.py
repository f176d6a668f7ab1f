"""Query translation as a step of a search: whose text it makes, and from what bitext its tables are learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from clir.corpora.bitext import Pair
from clir.experiments.search import Method, Sides
from clir.experiments.training_data import TEXT, training_pairs
from clir.retrieval.psq import StructuredQueries
from clir.retrieval.translation.table_source import ReadPairs
from clir.retrieval.translation.translator import Translator
from clir.support.errors import UsageError
from clir.support.progress import say


def translated(sides: Sides, method: Method, translator: Translator | StructuredQueries) -> Sides:
    """`sides` with what their searches read translated.

    A hybrid's BM25 side reads the translation and its dense side the topics as they are; any other search reads the
    translation. Structured queries are no text: they take BM25's place. Raises UsageError where no BM25 is searched.
    """
    provenance = translator.provenance()
    if isinstance(translator, StructuredQueries):
        if sides.sparse is None:
            raise UsageError(
                f"--translate psq works in a BM25 index, which --method {method} does not search: use bm25 or hybrid"
            )
        return dataclasses.replace(sides, structured=translator, translation=provenance)
    texts = translator(sides.topics)
    if method == "hybrid" or (method == "late" and sides.sparse is not None):
        return dataclasses.replace(sides, sparse_topics=texts, translation=provenance)
    return dataclasses.replace(sides, topics=texts, sparse_topics=None, translation=provenance)


def bitext_reader(held_out: str) -> ReadPairs:
    """Reads and cleans the bitext of a translation table, and frees it of the text of the collection, or of the file
    of topics, `held_out`."""

    def read(specs: Sequence[str], language: str) -> list[Pair]:
        pairs, reports = training_pairs(specs, [language], held_out=[held_out])
        kept: dict[str, Any] = {step: report["kept"] for step, report in reports.items() if "kept" in report}
        say("bitext of the table: " + ", ".join(f"{count:,} pairs after {step}" for step, count in kept.items()))
        if text := reports.get(TEXT):
            say("bitext of the table: " + "; ".join(f"{count:,} {what}" for what, count in text.items()))
        return pairs

    return read
