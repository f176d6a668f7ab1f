"""A search that a notebook holds open: one line opens it, a text gives a ranking with passages, topics give a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from clir.corpora.collection import Collection, Document, Topic
from clir.corpora.registry import is_collection, open_collection
from clir.encoding.encoder import Encoder, load_encoder
from clir.experiments.indexes import ROOT
from clir.experiments.search import METHODS, Method, SearchOptions, Sides, collection_sides, searcher
from clir.indexing.dense import DenseIndex, open_dense_index
from clir.indexing.lucene import LuceneIndex, open_lucene_index
from clir.indexing.tokens import TokenIndex, open_token_index
from clir.retrieval.matches import Matches, matches
from clir.retrieval.passages import Passages, open_passages
from clir.retrieval.ranking import Ranking, rankings
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run
from clir.support.errors import UsageError, unknown
from clir.support.manifest import manifest_path, read_manifest
from clir.support.progress import say

HITS, TOPIC_HITS = 10, 1000
# What a text that is typed in is called among topics.
TYPED = "text"
Index = DenseIndex | LuceneIndex | TokenIndex


class OpenSearch:
    """Indexes, model and passages held open. A context manager; `close` lets go of files.

    `topics` are those of a collection (none for index folders); `passages` None where they are not known.
    """

    def __init__(
        self, method: Method, sides: Sides, encoder: Encoder | None, options: SearchOptions, passages: Passages | None
    ) -> None:
        self.method, self.sides, self.encoder, self.options, self.passages = method, sides, encoder, options, passages
        self.topics = list(sides.topics)
        self._searcher = self._over(None)

    @overload
    def search(self, query: str, k: int | None = None, *, sparse: str | None = None) -> Ranking: ...

    @overload
    def search(self, query: Sequence[Topic], k: int | None = None, *, sparse: Sequence[Topic] | None = None) -> Run: ...

    def search(
        self, query: str | Sequence[Topic], k: int | None = None, *, sparse: str | Sequence[Topic] | None = None
    ) -> Ranking | Run:
        """A text's best `k` documents (10) as a Ranking, or those of every topic (1,000) as a Run.

        `sparse` is what a hybrid's BM25 side reads in place of `query`. Raises UsageError for `sparse` with
        another method or of another kind than `query`.
        """
        if sparse is not None and self.method != "hybrid":
            raise UsageError(
                f"sparse= is the text for the BM25 side of a hybrid search; this is a {self.method} search"
            )
        if sparse is not None and isinstance(sparse, str) != isinstance(query, str):
            raise UsageError("give query and sparse in the same form: both as text, or both as lists of topics")
        if not isinstance(query, str):
            return self._searching(sparse).search(query, k or TOPIC_HITS)
        topic = Topic(TYPED, query)
        side = [Topic(TYPED, sparse)] if isinstance(sparse, str) else None
        run = self._searching(side).search([topic], k or HITS)
        found = Ranking.of(run, topic, self.passages)
        return Ranking(found.hits, query)

    def ranking(self, run: Run, qid: str, k: int | None = HITS) -> Ranking:
        """The best `k` hits that `run` has for a topic of the collection, with their passages."""
        topic = next((topic for topic in self.topics if topic.qid == qid), Topic(qid, ""))
        return Ranking.of(run, topic, self.passages, k)

    def passage(self, docid: str) -> Document:
        """A document by its docid; ClirError if there is none, UsageError if the passages are not known."""
        if self.passages is None:
            raise UsageError("the passages of this index are not known: open it with corpus=")
        return self.passages.read([docid])[0]

    def matches(self, text: str, docid: str) -> Matches:
        """Which token of `text` meets which token of the document, under the search's encoder."""
        if self.encoder is None:
            raise UsageError("matches of tokens need an encoder: open the search with encoder=")
        return matches(text, self.passage(docid).contents, self.encoder)

    def close(self) -> None:
        """Let go of indexes and passages."""
        if self.passages is not None:
            self.passages.close()
        _close(self._searcher)

    def __enter__(self) -> OpenSearch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        indexes = ", ".join(str(index.path) for index in _indexes(self.sides))
        return f"{self.method} search of {indexes}" + (f" by {self.encoder.name}" if self.encoder else "")

    def _searching(self, sparse: Any) -> Searcher:
        return self._searcher if sparse is None else self._over(sparse)

    def _over(self, sparse: Sequence[Topic] | None) -> Searcher:
        sides = dataclasses.replace(self.sides, sparse_topics=sparse)
        return searcher(self.method, sides, self.encoder, self.options)


def open_search(
    what: str | Path | Collection,
    encoder: str | Encoder | None = None,
    method: Method | None = None,
    *,
    sparse_index: str | Path | None = None,
    corpus: str | Path | Collection | None = None,
    topics_language: str | None = None,
    options: SearchOptions | None = None,
    root: Path = ROOT,
    device: str = "cpu",
) -> OpenSearch:
    """Open a collection (its id), or an index folder, to be searched.

    Of a collection what is missing is built and kept under `root`; `topics_language` says which of its topics.
    `sparse_index` is the BM25 folder beside a dense `what`, for a hybrid. `corpus` (a file, a folder or a
    collection) has an index folder's passages, where its manifest does not say. Without a `method` it is the
    index's own; of a collection `bm25` without an encoder, else what the encoder gives: `dense`, or `late` for
    a model of token vectors alone.

    Raises UsageError for what is neither, for a method that the indexes or the encoder do not serve, ClirError
    for an index of another model and for passages that are not the ones that were indexed.
    """
    if method is not None and method not in METHODS:
        raise unknown("method", method, METHODS)
    model = load_encoder(encoder, device=device) if isinstance(encoder, str) else encoder
    chosen = options or SearchOptions()
    if isinstance(what, str | Path) and Path(what).exists():
        sides = _folder_sides(Path(what), sparse_index, method)
        method = method or _method_of(sides)
    else:
        if sparse_index is not None:
            raise UsageError("sparse_index goes with an index folder; a collection finds its own indexes")
        collection = _collection(what)
        method = method or ("bm25" if model is None else "late" if _tokens_only(model) else "dense")
        sides = collection_sides(collection, method, model, topics_language=topics_language, root=root)
        corpus = collection if corpus is None else corpus
    return OpenSearch(method, sides, model, chosen, passages_of(sides, corpus))


def passages_of(sides: Sides, corpus: str | Path | Collection | None = None) -> Passages | None:
    """The passages of what is searched: those of `corpus`, else of the source that an index's manifest names.

    None, which is said, if no manifest names one that is there. Raises ClirError if they are not the ones that
    were indexed.
    """
    index = next(_indexes(sides))
    source = corpus if corpus is not None else _source(index.path)
    if source is None:
        return None
    return open_passages(source, index.documents_fingerprint)


def shown(
    run: Run, topics: Sequence[Topic], passages: Passages | None, hits: int, explain: Encoder | None = None
) -> Iterator[str]:
    """For every topic its best `hits` as text; with `explain`, under them how the words of each hit were met.

    Raises UsageError if matches are asked for without passages.
    """
    if explain is not None and passages is None:
        raise UsageError(
            "--explain needs the text of the documents, and the index does not say where it is: name it with --corpus"
        )
    for ranking in rankings(run, topics, passages, hits):
        parts = [repr(ranking)]
        for hit in ranking if explain is not None else ():
            if explain is not None and hit.document is not None and hit.document.contents.strip():
                table = matches(ranking.text, hit.document.contents, explain).words().table()
                parts.append(f"{hit.rank}  {hit.docid}\n" + "\n".join(f"    {line}" for line in table.splitlines()))
        yield "\n\n".join(parts) + "\n"


def _collection(what: str | Path | Collection) -> Collection:
    if not isinstance(what, str | Path):
        return what
    if "/" in str(what) and not is_collection(str(what)) and Path(what).parent.is_dir():
        raise UsageError(f"{what} is neither an index folder nor the id of a collection")
    return open_collection(str(what))


def _folder_sides(path: Path, sparse_index: str | Path | None, method: Method | None) -> Sides:
    sparse = None if sparse_index is None else open_lucene_index(sparse_index)
    kind = _kind(path)
    if kind == "lucene":
        if sparse is not None:
            raise UsageError(f"{path} is a BM25 index: sparse_index is for a hybrid, beside a dense index")
        return Sides(sparse=open_lucene_index(path))
    if kind == "token":
        return Sides(tokens=open_token_index(path), sparse=sparse)
    return Sides(dense=open_dense_index(path), sparse=sparse)


def _kind(path: Path) -> str:
    """The kind of the index in a folder: by its manifest, without one (Pyserini's) by its files."""
    if manifest_path(path).exists():
        kind = str(read_manifest(path).get("kind"))
        if kind in ("dense", "token", "lucene"):
            return kind
    if any(path.glob("segments_*")):
        return "lucene"
    if (path / "docid").exists():
        return "dense"
    raise UsageError(f"{path} is not an index that can be searched: make one with clir.index or clir.encode")


def _method_of(sides: Sides) -> Method:
    if sides.tokens is not None:
        return "late"
    if sides.dense is not None:
        return "dense" if sides.sparse is None else "hybrid"
    return "bm25"


def _indexes(sides: Sides) -> Iterator[Index]:
    for index in (sides.tokens, sides.dense, sides.sparse):
        if index is not None:
            yield index


def _source(path: Path) -> str | None:
    """Where an index's manifest says that its documents came from, if they are still there."""
    made: dict[str, Any] = {}
    if manifest_path(path).exists():
        made = read_manifest(path)
    data = made.get("data")
    named = data.get("source") if isinstance(data, dict) else made.get("source")
    if isinstance(named, str) and (Path(named).exists() or is_collection(named)):
        return named
    say(f"{path} does not say where its passages are: rankings are shown without them (name them with corpus=)")
    return None


def _tokens_only(encoder: Encoder) -> bool:
    spec = getattr(encoder, "spec", None)
    return spec is not None and spec("query").reading is not None


def _close(searcher: Any) -> None:
    """Close a searcher, or those that it is made of, where they hold anything open."""
    for part in (searcher, getattr(searcher, "sparse", None), getattr(searcher, "dense", None)):
        close = getattr(part, "close", None)
        if close is not None:
            close()
