"""BM25 through Anserini's SimpleSearcher: the run of Pyserini's LuceneSearcher, without importing Pyserini."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clir.corpora.collection import Topic
from clir.indexing.analyzers import java_analyzer
from clir.indexing.lucene import LuceneIndex, open_lucene_index
from clir.retrieval.term_feedback import TermFeedback
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError
from clir.support.jvm import java_class, java_errors
from clir.support.progress import Progress

# Anserini's defaults.
K1, B = 0.9, 0.4
# Hits that are held at a time on their way from Java; with more, its garbage collection takes longer.
BATCH_HITS = 16_000
# Java's greatest numbers, in 32 bits.
MOST_INT, MOST_FLOAT = (1 << 31) - 1, 3.4e38
# Lucene's own limit of 1,024 terms would refuse a topic as long as a document.
LONGEST_QUERY = 1 << 20


class BM25Searcher:
    """Searches a Lucene index with BM25; query text goes through the index's analyzer.

    Scores are Anserini's: BM25 (Robertson et al., as Lucene computes it) rounded to four decimals, documents of
    equal score by docid, each but the first 1e-6 lower. `threads` is a limit (None: every processor); results do
    not depend on it, but the first searcher of a process bounds those after it. `feedback` searches a second time with
    terms of the best documents; it needs an index with document vectors. `language` and `analyzer` are for an index
    without a manifest (see `open_lucene_index`).

    Raises UsageError for an unusable index or parameter. Java is started by the first search.
    """

    def __init__(
        self,
        index: LuceneIndex | str | Path,
        *,
        k1: float = K1,
        b: float = B,
        threads: int | None = None,
        feedback: TermFeedback | None = None,
        language: str | None = None,
        analyzer: str | None = None,
    ) -> None:
        check_parameters(k1, b)
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        if not isinstance(index, LuceneIndex):
            index = open_lucene_index(index, language=language, analyzer=analyzer)
        self.index, self.k1, self.b, self.threads, self.feedback = index, k1, b, threads, feedback
        self._searcher: Any = None

    def search(self, topics: Sequence[Topic], k: int) -> Run:
        """The best `k` documents of every topic, as a Run tagged `bm25`.

        A topic without a term that the index knows finds nothing and is not in the run. Raises UsageError for
        `k` below 1 and for feedback on an index without document vectors, ClirError for a topic id that occurs twice
        and if Lucene fails on the index.
        """
        if k < 1:
            raise UsageError(f"search needs at least 1 hit a topic, not {k}")
        if len({topic.qid for topic in topics}) < len(topics):
            raise ClirError("a topic id occurs twice among the topics to search")
        searcher = self._open()
        texts = self._texts(topics)
        qids: list[str] = []
        docids: list[str] = []
        scores: list[float] = []
        write = _result_writer()
        depth = k if self.feedback is None else self.feedback.depth(k)
        with Progress("BM25", len(topics), "topics") as progress:
            for begin, end in self._batches(len(topics), depth):
                batch = topics[begin:end]
                with java_errors(f"cannot search {self.index.path}"):
                    found = _batch_search(searcher, texts[begin:end], depth, self.threads or 1)
                    hits = json.loads(write(found).tostring())
                for number, topic in enumerate(batch):
                    ranking = hits[str(number)]
                    qids += [topic.qid] * len(ranking)
                    docids += [docid for docid, _ in ranking]
                    scores += [score for _, score in ranking]
                progress.advance(len(batch))
        run = Run.of(qids, docids, scores, "bm25")
        return run if depth == k else run.cut(k)

    def close(self) -> None:
        """Close the index's files; a later search opens them again."""
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None

    def _open(self) -> Any:
        if self._searcher is None:
            with java_errors(f"cannot open {self.index.path}", self.threads):
                java_class("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(LONGEST_QUERY)
                simple_searcher = java_class("io.anserini.search.SimpleSearcher")
                searcher = simple_searcher(str(self.index.path), java_analyzer(self.index.analyzer))
                searcher.set_bm25(float(self.k1), float(self.b))
                if self.feedback is not None:
                    _refuse_without_vectors(searcher, self.index.path)
                    self.feedback.apply(searcher, self.index.analyzer)
            self._searcher = searcher
        return self._searcher

    def _texts(self, topics: Sequence[Topic]) -> list[str]:
        """What Lucene's analyzer is given of the topics: their text, or the terms it is cut into."""
        return self.index.given([topic.text for topic in topics])

    def _batches(self, count: int, k: int) -> Iterator[tuple[int, int]]:
        # Anserini 1.7 takes every processor that Java knows for a batch, whatever number of threads it is given: where
        # Java was started with more, a batch of n topics keeps n of them busy.
        processors = int(java_class("java.lang.Runtime").getRuntime().availableProcessors())
        size = max(4 * processors, BATCH_HITS // k)
        if self.threads is not None and self.threads < processors:
            size = self.threads
        for begin in range(0, count, size):
            yield begin, min(begin + size, count)


def _batch_search(searcher: Any, texts: Sequence[str], k: int, threads: int) -> Any:
    """Java's map from the number of each text, as a string, to its hits."""
    numbers = [str(number) for number in range(len(texts))]
    k, threads = min(k, MOST_INT), min(threads, len(texts))
    try:
        return searcher.batch_search(_java_list(texts), _java_list(numbers), k, threads)
    except Exception:
        # Of what went wrong in a thread Anserini says no word; one after the other, the text at fault does.
        for text in texts:
            searcher.search(text, k)
        raise


def check_parameters(k1: float, b: float) -> None:
    """Raise UsageError for values that BM25 has no use for."""
    if not 0 <= k1 <= MOST_FLOAT:
        raise UsageError(f"BM25's k1 is a number from 0 up, not {k1}")
    if not 0 <= b <= 1:
        raise UsageError(f"BM25's b is between 0 and 1, not {b}")


def _refuse_without_vectors(searcher: Any, path: Path) -> None:
    infos = java_class("org.apache.lucene.index.FieldInfos").getMergedFieldInfos(searcher.reader)
    # Lucene 10 has other names for vectors of terms, and vectors of numbers.
    there = infos.hasTermVectors() if hasattr(infos, "hasTermVectors") else infos.hasVectors()
    if not there:
        raise UsageError(
            f"feedback needs document vectors, which {path} does not have: build it with python -m clir.index "
            "--storeDocvectors"
        )


def _java_list(strings: Sequence[str]) -> Any:
    made = java_class("java.util.ArrayList")(len(strings))
    for string in strings:
        made.add(string)
    return made


def _result_writer() -> Any:
    """A Java function from batch_search's map to the bytes of `{"<key>": [[docid, score], ...], ...}`.

    Reading a hit from Python costs several calls into Java; Jackson writes a million of them in one.
    """
    mapper = java_class("com.fasterxml.jackson.databind.ObjectMapper")()
    yes = java_class("java.lang.Boolean")(True)
    class_named = java_class("java.lang.Class").forName
    # Of ScoredDoc's fields (docid, lucene_docid, score, lucene_document) that leaves the docid and the score.
    for left_out in (class_named("org.apache.lucene.document.Document"), java_class("java.lang.Integer").TYPE):
        mapper.configOverride(left_out).setIsIgnoredType(yes)
    shape = java_class("com.fasterxml.jackson.annotation.JsonFormat$Shape").ARRAY
    as_array = java_class("com.fasterxml.jackson.annotation.JsonFormat$Value").forShape(shape)
    mapper.configOverride(class_named("io.anserini.search.ScoredDoc")).setFormat(as_array)
    return mapper.writeValueAsBytes
