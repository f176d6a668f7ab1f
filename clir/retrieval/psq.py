"""Probabilistic structured queries: BM25 over expected term frequencies, by a translation table's probabilities."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clir.corpora.collection import Topic
from clir.corpora.languages import same_language
from clir.indexing.analyzers import java_analyzer
from clir.indexing.lucene import LuceneIndex, open_lucene_index
from clir.retrieval.bm25 import K1, LONGEST_QUERY, MOST_INT, B, check_parameters
from clir.retrieval.translation.table import Alternative, TranslationTable
from clir.retrieval.translation.table_source import TableSource
from clir.retrieval.translation.words import keyed, words
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError
from clir.support.jvm import java_class, java_errors
from clir.support.progress import Progress

FIELD = "contents"
# A term that no analyzer gives: Lucene takes a clause with one term for another kind of query.
NO_TERM = " "

Clause = tuple[Alternative, ...]
"""Index terms that a query word stands for, with their weights."""


@dataclasses.dataclass(frozen=True)
class Cutoffs:
    """Which translations of a word take part: the most probable ones.

    They end where their probabilities reach `cumulative` of the word's sum, or after `most` of them; those below
    `least` take no part. Then they are scaled to sum to 1.
    """

    cumulative: float = 0.95
    most: int = 20
    least: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.cumulative <= 1:
            raise UsageError(f"a cumulative probability is above 0 and at most 1, not {self.cumulative}")
        if self.most < 1:
            raise UsageError(f"a word needs at least 1 translation, not {self.most}")
        if not 0 <= self.least < 1:
            raise UsageError(f"the least probability of a translation is from 0 up to 1, not {self.least}")

    def apply(self, alternatives: Sequence[Alternative]) -> list[Alternative]:
        """The alternatives (most probable first) that take part, scaled to sum to 1."""
        whole = sum(alternative.probability for alternative in alternatives)
        kept: list[Alternative] = []
        reached = 0.0
        for alternative in alternatives[: self.most]:
            if alternative.probability < self.least or reached >= self.cumulative * whole:
                break
            kept.append(alternative)
            reached += alternative.probability
        return [Alternative(word, probability / reached) for word, probability in kept]


@dataclasses.dataclass(frozen=True)
class StructuredQueries:
    """Query translation that happens in the ranking: a table, and how much of it takes part."""

    source: TableSource
    cutoffs: Cutoffs

    def searcher(self, index: LuceneIndex | str | Path, *, k1: float = K1, b: float = B) -> PSQSearcher:
        """The searcher of topics in the table's source language over a BM25 index; the table is read, or learned."""
        return PSQSearcher(index, self.source.table(), cutoffs=self.cutoffs, k1=k1, b=b)

    def provenance(self) -> dict[str, Any]:
        """The table's, and the cutoffs."""
        return {"kind": "psq", **dataclasses.asdict(self.cutoffs), **self.source.provenance()}


class PSQSearcher:
    """Searches a Lucene index with queries in another language, through a translation table.

    Darwish and Oard, "Probabilistic structured query methods", SIGIR 2003: a query word f counts in a document as
    often as its translations e do on average, tf(f, d) = sum over e of p(e | f) tf(e, d), and is as frequent in the
    collection, df(f) = sum over e of p(e | f) df(e). BM25 then takes these for a term's frequencies, with Lucene's
    formula and lengths, and Lucene computes it. The words of the table go through the index's analyzer; what it
    makes of one word shares the word's probability, and with a stop word its probability is gone. A word that is not
    in the table stands for itself.

    Scores and ties are `BM25Searcher`'s: with a table in which every word translates into itself alone, so are runs.
    Raises UsageError for an unusable index or parameter, or a table into another language than the index's.
    """

    def __init__(
        self,
        index: LuceneIndex | str | Path,
        table: TranslationTable,
        *,
        cutoffs: Cutoffs | None = None,
        k1: float = K1,
        b: float = B,
        language: str | None = None,
        analyzer: str | None = None,
    ) -> None:
        check_parameters(k1, b)
        if not isinstance(index, LuceneIndex):
            index = open_lucene_index(index, language=language, analyzer=analyzer)
        if index.language is not None and not same_language(index.language, table.target):
            raise UsageError(
                f"{index.path} has documents in {index.language!r}; the table translates into {table.target!r}"
            )
        self.index, self.table, self.cutoffs, self.k1, self.b = index, table, cutoffs or Cutoffs(), k1, b
        self._lucene: _Lucene | None = None

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `psq`.

        A topic without a translation that the index knows finds nothing and is not in the run. Raises UsageError
        for `k` below 1, ClirError for a topic id that occurs twice and if Lucene fails on the index.
        """
        if k < 1:
            raise UsageError(f"search needs at least 1 hit a topic, not {k}")
        if len({topic.qid for topic in topics}) < len(topics):
            raise ClirError("a topic id occurs twice among the topics to search")
        hits: dict[str, list[tuple[str, float]]] = {}
        with Progress("PSQ", len(topics), "topics") as progress, java_errors(f"cannot search {self.index.path}"):
            lucene = self._open()
            for topic in topics:
                if found := lucene.search(self.clauses(topic.text), k):
                    hits[topic.qid] = found
                progress.advance()
        return Run.from_hits(hits, "psq")

    def clauses(self, text: str) -> Counter[Clause]:
        """The structured query of `text`: what each of its words stands for, and how often it does."""
        lucene = self._open()
        return Counter(clause for word in words(text) if (clause := self._clause(lucene, word)))

    def close(self) -> None:
        """Close the index's files; a later search opens them again."""
        if self._lucene is not None:
            self._lucene.close()
            self._lucene = None

    def _clause(self, lucene: _Lucene, word: str) -> Clause:
        alternatives = self.cutoffs.apply(self.table[keyed(word)]) or [Alternative(word, 1.0)]
        weights: dict[str, float] = {}
        for translation, probability in alternatives:
            terms = lucene.terms(translation)
            for term in terms:
                weights[term] = weights.get(term, 0.0) + probability / len(terms)
        return tuple(Alternative(*item) for item in sorted(weights.items(), key=lambda item: (-item[1], item[0])))

    def _open(self) -> _Lucene:
        if self._lucene is None:
            self._lucene = _Lucene(self.index, self.k1, self.b)
        return self._lucene


class _Lucene:
    """An open index: the terms of a word, their frequencies, and ranking by clauses."""

    def __init__(self, index: LuceneIndex, k1: float, b: float) -> None:
        lucene = "org.apache.lucene"
        java_class(f"{lucene}.search.IndexSearcher").setMaxClauseCount(LONGEST_QUERY)
        self._term, self._term_query = java_class(f"{lucene}.index.Term"), java_class(f"{lucene}.search.TermQuery")
        self._synonyms = java_class(f"{lucene}.search.SynonymQuery$Builder")
        self._boosted = java_class(f"{lucene}.search.BoostQuery")
        self._any_of = java_class(f"{lucene}.search.BooleanQuery$Builder")
        self._should = java_class(f"{lucene}.search.BooleanClause$Occur").SHOULD
        self._analyzer, self._given = java_analyzer(index.analyzer), index.given
        self._analyze = java_class("io.anserini.analysis.AnalyzerUtils").analyze
        path = java_class("java.io.File")(str(index.path)).toPath()
        directory = java_class(f"{lucene}.store.FSDirectory").open(path)
        self._reader = java_class(f"{lucene}.index.DirectoryReader").open(directory)
        self._documents = int(self._reader.getDocCount(FIELD))
        self._searcher = java_class(f"{lucene}.search.IndexSearcher")(self._reader.getContext())
        self._searcher.setSimilarity(java_class(f"{lucene}.search.similarities.BM25Similarity")(float(k1), float(b)))
        # As SimpleSearcher: the best by score, then docid; scores rounded, each of equal ones a little lower.
        sort_field = java_class(f"{lucene}.search.SortField")
        by_docid = sort_field("id", java_class(f"{lucene}.search.SortField$Type").STRING_VAL)
        self._order = java_class(f"{lucene}.search.Sort")(sort_field.FIELD_SCORE, by_docid)
        self._scored = java_class("io.anserini.search.ScoredDocs").fromTopDocs
        self._part_ties = java_class("io.anserini.rerank.lib.ScoreTiesAdjusterReranker")().rerank
        self._write = _writer()
        self.terms = functools.cache(self._terms)
        self._frequency = functools.cache(self._frequency_of)

    def search(self, clauses: Mapping[Clause, int], k: int) -> list[tuple[str, float]]:
        """The best `k` documents and their scores."""
        query = self._any_of()
        empty = True
        for clause, times in clauses.items():
            if known := [part for part in clause if self._frequency(part.word)]:
                query.add(self._query(known, times), self._should)
                empty = False
        if empty:
            return []
        top = self._searcher.search(query.build(), min(k, MOST_INT), self._order, True)
        found = json.loads(self._write(self._part_ties(self._scored(top, self._searcher), None)).tostring())
        return list(zip(found["docids"], found["scores"], strict=True))

    def close(self) -> None:
        """Close the index's files."""
        self._reader.close()

    def _query(self, parts: Sequence[Alternative], times: int) -> Any:
        """Lucene's query for a clause: terms that count as one, each occurrence as much as the term's weight.

        Lucene gives such a query the weight of the commonest of its terms; the boost makes it that of df(f).
        """
        frequencies = [self._frequency(word) for word, _ in parts]
        expected = sum(part.probability * df for part, df in zip(parts, frequencies, strict=True))
        boost = times * self._idf(expected) / self._idf(max(frequencies))
        query = self._counted_as_one(parts)
        return query if boost == 1 else self._boosted(query, boost)

    def _counted_as_one(self, parts: Sequence[Alternative]) -> Any:
        if len(parts) == 1 and parts[0].probability == 1:
            return self._term_query(self._term(FIELD, parts[0].word))
        synonyms = self._synonyms(FIELD)
        for word, probability in parts:
            # Sums of probabilities may come out a rounding above 1, which Lucene refuses.
            synonyms.addTerm(self._term(FIELD, word), min(probability, 1.0))
        if len(parts) == 1:
            synonyms.addTerm(self._term(FIELD, NO_TERM), 1.0)
        return synonyms.build()

    def _idf(self, frequency: float) -> float:
        """BM25's weight of a term in so many documents, as Lucene has it (never below 0)."""
        return math.log(1 + (self._documents - frequency + 0.5) / (frequency + 0.5))

    def _terms(self, word: str) -> list[str]:
        found = self._analyze(self._analyzer, *self._given([word]))
        return [str(found.get(at)) for at in range(found.size())]

    def _frequency_of(self, term: str) -> int:
        return int(self._reader.docFreq(self._term(FIELD, term)))


def _writer() -> Any:
    """A Java function from ScoredDocs to the bytes of `{"docids": [...], "scores": [...], ...}`, in one call."""
    mapper = java_class("com.fasterxml.jackson.databind.ObjectMapper")()
    documents = java_class("java.lang.Class").forName("[Lorg.apache.lucene.document.Document;")
    mapper.configOverride(documents).setIsIgnoredType(java_class("java.lang.Boolean")(True))
    return mapper.writeValueAsBytes
