"""ir_datasets both ways: any of its data sets as a collection, and our collections as its data sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clir.corpora import africlirmatrix, ciral, languages, lareqa, tatoeba
from clir.corpora.collection import Collection, Document, Topic, topic_language
from clir.corpora.qrels import Qrels
from clir.corpora.qrels_forms import NO_ITERATION
from clir.corpora.text import checked_id, storable
from clir.corpora.topic_records import field_name
from clir.support.errors import ClirError, UsageError, unknown

UNKNOWN_LANGUAGE = "und"
# Fields of translated topics, by hand or machine, and what tells of the translation.
_OF_A_TRANSLATION = re.compile(r"(\w{2}_)?[hm]t_|translation_lang")
_DOWNLOAD_FAULT = re.compile(
    r"Failed to resolve '[^']+'|Connection refused|[Tt]imed out|[45]\d\d \w+ Error: [A-Za-z ]+(?= for url)"
)


def open_dataset(name: str, known: Sequence[str] = ()) -> Dataset:
    """An ir_datasets id as a collection; UsageError if there is none, with the nearest of its ids and `known`."""
    import ir_datasets

    try:
        return Dataset(name, ir_datasets.load(name))
    except KeyError as error:
        # Here, and not at the top: the registry stands above the families that it lists.
        from clir.corpora.registry import unknown_collection

        raise unknown_collection(name, [*known, *ir_datasets.registry]) from error
    except (OSError, RuntimeError) as error:
        # Some ids (clirmatrix) are made from a list that has to be downloaded first.
        raise ClirError(
            f"ir_datasets could not open {name}: {_attempts(error)}; what it is and under which terms: {_page(name)}"
        ) from error


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of ir_datasets.

    Documents: title and text where the data set has just these, otherwise its own default text.

    Topics: the data set's default text in its own language. Where it brings translations (HC4,
    NeuCLIR: fields `ht_title`, `mt_title`, `fa_mt_title`), the original English titles are the
    default, and the document language gives the human translations, or the machine translations if
    there are no others.
    """

    id: str
    dataset: Any

    @property
    def language(self) -> str:
        return _language(self.dataset.docs_lang() if self.dataset.has_docs() else None)

    @property
    def topic_languages(self) -> tuple[str, ...]:
        return tuple(self._text_fields()) if self.dataset.has_queries() else ()

    def documents(self) -> Iterator[Document]:
        self._need("docs", "documents")
        with self._explained("documents"):
            for number, document in enumerate(self.dataset.docs_iter(), 1):
                yield _document(document, f"{self.id}, document {number}")

    def documents_are_here(self) -> bool:
        """Whether the documents lie on this machine, so that they can be read without a download."""
        handler: Any = self.dataset.docs_handler() if self.dataset.has_docs() else None
        try:
            if handler.docs_store().built():
                return True
        except (AttributeError, NotImplementedError, OSError, RuntimeError):
            # Not every data set has a store that can be asked.
            pass
        try:
            return Path(handler.docs_path(force=False)).exists()
        except (AttributeError, NotImplementedError, TypeError, OSError, RuntimeError):
            return False

    def document_count(self) -> int | None:
        count = self.dataset.docs_count() if self.dataset.has_docs() else None
        return None if count is None else int(count)

    def lookup(self, docids: Sequence[str]) -> dict[str, Document]:
        """The documents of these docids, through ir_datasets' store of them (made when first asked for)."""
        self._need("docs", "documents")
        with self._explained("documents"):
            found = self.dataset.docs_store().get_many(docids)
        return {docid: _document(document, f"{self.id}, document {docid}") for docid, document in found.items()}

    def topics(self, language: str | None = None) -> list[Topic]:
        self._need("queries", "topics")
        chosen = topic_language(self, language)
        field = self._text_fields()[chosen]
        texts = (lambda query: [query.default_text()]) if field is None else (lambda query: [getattr(query, field)])
        return self._topics(texts, f"text in {chosen}")

    def topic_fields(self, language: str | None = None) -> tuple[str, ...]:
        """The fields of the topics in `language`, as `title`, `description`, `narrative`."""
        self._need("queries", "topics")
        return tuple(self._fields_in(topic_language(self, language)))

    def topics_of(self, fields: Sequence[str], language: str | None = None) -> list[Topic]:
        self._need("queries", "topics")
        chosen = topic_language(self, language)
        known = self._fields_in(chosen)
        names = [field_name(name) for name in fields]
        for name in names:
            if name not in known:
                raise UsageError(f"{self.id}: {unknown(f'field of topics in {chosen}', name, tuple(known))}")
        what = f"{' and '.join(names)} in {chosen}"
        return self._topics(lambda query: [getattr(query, known[name]) for name in names], what)

    def topic_texts(self) -> Iterator[str]:
        if not self.dataset.has_queries():
            return
        names = self._string_fields()
        with self._explained("topics"):
            for query in self.dataset.queries_iter():
                yield from (text for name in names if (text := getattr(query, name)))

    def _topics(self, texts: Callable[[Any], list[str]], what: str) -> list[Topic]:
        topics = []
        with self._explained("topics"):
            for query in self.dataset.queries_iter():
                qid = checked_id(query.query_id, "topic id", self.id)
                parts = [storable(text or "").strip() for text in texts(query)]
                if not all(parts):
                    raise ClirError(f"{self.id}: topic {qid} has no {what}")
                topics.append(Topic(qid, " ".join(parts)))
        return topics

    def qrels(self) -> Qrels | None:
        if not self.dataset.has_qrels():
            return None
        with self._explained("qrels"):
            judged = list(self.dataset.qrels_iter())
        # Judgements of diversity name the subtopic, most others the iteration of TREC's files.
        iterations = [
            str(getattr(one, "subtopic_id", getattr(one, "iteration", None)) or NO_ITERATION) for one in judged
        ]
        return Qrels.of(
            [one.query_id for one in judged], [one.doc_id for one in judged], [one.relevance for one in judged],
            iterations,
        )  # fmt: skip

    def _text_fields(self) -> dict[str, str | None]:
        """The field that holds the text in each language; None stands for the data set's default text."""
        fields = getattr(self.dataset.queries_cls(), "_fields", ())
        by_machine = [field for field in fields if field.endswith("_mt_title")]
        if "title" in fields and ("ht_title" in fields or "mt_title" in fields):
            return {"en": "title", self.language: "ht_title" if "ht_title" in fields else "mt_title"}
        if "title" in fields and by_machine:
            return {"en": "title", **{languages.language(field.split("_")[0]): field for field in by_machine}}
        return {_language(self.dataset.queries_lang()): None}

    def _fields_in(self, language: str) -> dict[str, str]:
        """The fields with text in a language: the name, and ir_datasets' name (`ht_title`, `fa_mt_title`)."""
        texts = self._string_fields()
        prefix = (self._text_fields()[language] or "title").removesuffix("title")
        if prefix:
            return {name.removeprefix(prefix): name for name in texts if name.startswith(prefix)}
        return {name: name for name in texts if not _OF_A_TRANSLATION.match(name)}

    def _string_fields(self) -> list[str]:
        """The fields of the topics that are text, by ir_datasets' names."""
        kinds = getattr(self.dataset.queries_cls(), "__annotations__", {})
        return [name for name, kind in kinds.items() if kind in (str, "str") and name != "query_id"]

    def _need(self, part: str, name: str) -> None:
        if not self.dataset.has(part):
            raise UsageError(f"{self.id} has no {name} in ir_datasets; a longer id may have them")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn ir_datasets' failures to find or fetch a file into one line."""
        try:
            yield
        except FileNotFoundError as error:
            raise ClirError(
                f"the {what} of {self.id} are not on this machine, and not for ir_datasets to download: put them at "
                f"{error}; how to get them: {_page(self.id)}"
            ) from error
        except (OSError, RuntimeError) as error:
            raise ClirError(
                f"ir_datasets could not get the {what} of {self.id}: {_attempts(error)}; "
                f"what they are and under which terms: {_page(self.id)}"
            ) from error


def _page(name: str) -> str:
    """ir_datasets' page on a data set: what it needs, its terms, where to ask for it."""
    return f"https://ir-datasets.com/{name.split('/')[0]}.html"


def _attempts(error: Exception) -> str:
    """Every address that a download was tried from, with what went wrong there; the error itself if there is none."""
    tries = error.args[1] if len(error.args) == 2 and isinstance(error.args[1], list) else [(None, error)]
    told = [(_address(mirror, fault), _fault(fault)) for mirror, fault in tries]
    return ", ".join(f"{address}: {fault}" for address, fault in told if address) or str(error)


def _address(mirror: Any, error: Exception) -> str | None:
    return getattr(mirror, "url", None) or getattr(getattr(error, "request", None), "url", None)


def _fault(error: Exception) -> str:
    """What went wrong with a download, without the layers of libraries around it."""
    found = _DOWNLOAD_FAULT.search(str(error))
    return found.group() if found else " ".join(str(error).split())


def _language(code: str | None) -> str:
    """The BCP-47 code, or `und` where ir_datasets does not say or says one that we have no name for."""
    try:
        return languages.language(code) if code else UNKNOWN_LANGUAGE
    except UsageError:
        return UNKNOWN_LANGUAGE


def _document(document: Any, where: str) -> Document:
    docid = checked_id(document.doc_id, "document id", where)
    title = getattr(document, "title", None)
    text = next((getattr(document, name) for name in ("text", "body") if hasattr(document, name)), None)
    if isinstance(title, str) and isinstance(text, str):
        return Document(docid, storable(text), storable(title))
    return Document(docid, storable(document.default_text()))


class TitledDoc(NamedTuple):
    """A document of ours as ir_datasets has them."""

    doc_id: str
    title: str
    text: str

    def default_text(self) -> str:
        """Title and text."""
        return Document(self.doc_id, self.text, self.title).contents


class TranslatedQuery(NamedTuple):
    """A topic of ours as ir_datasets has them, with its English translation."""

    query_id: str
    text: str
    english: str

    def default_text(self) -> str:
        """The text in the collection's default language."""
        return self.text


def register_with_ir_datasets() -> list[str]:
    """Make `ir_datasets.load` know our collections; the ids that were added (none the second time).

    ir_datasets has no entry point for plug-ins, so that a program that wants our ids calls this
    once. Ids with BCP-47 codes work as well (`afriqa/sw/test`). Nothing is read until it is asked for.
    """
    import ir_datasets

    from clir.corpora.registry import aliases, collection_ids, open_collection

    known = set(ir_datasets.registry)
    added = []
    for name in collection_ids():
        for spelling in (name, *aliases(name)):
            if spelling not in known:
                ir_datasets.registry.register(spelling, _as_dataset(open_collection(name)))
                added.append(spelling)
    return added


def _store_name(collection: Collection) -> str:
    """What the store of the documents is called: as many parts of the id as tell documents apart."""
    family, *rest = collection.id.split("/")
    if family in (tatoeba.FAMILY, *lareqa.FAMILIES):
        return "-".join([family, *rest])
    return "-".join([family, *rest[:1]]) if family in (ciral.FAMILY, africlirmatrix.FAMILY) else family


def _as_dataset(collection: Collection) -> Any:
    """An ir_datasets.Dataset over a collection of ours."""
    import ir_datasets
    from ir_datasets.formats import BaseDocs, BaseQrels, BaseQueries, TrecQrel
    from ir_datasets.indices import PickleLz4FullStore

    store = _store_name(collection)

    class Docs(BaseDocs):  # type: ignore[misc]
        @ir_datasets.util.use_docstore  # type: ignore[untyped-decorator]
        def docs_iter(self) -> Iterator[TitledDoc]:
            return (TitledDoc(one.docid, one.title, one.text) for one in collection.documents())

        def docs_store(self) -> Any:
            return PickleLz4FullStore(
                path=ir_datasets.util.home_path() / "clir" / f"{store}.pklz4",
                init_iter_fn=self.docs_iter,
                data_cls=TitledDoc,
                lookup_field="doc_id",
                index_fields=["doc_id"],
            )

        def docs_cls(self) -> type[TitledDoc]:
            return TitledDoc

        def docs_count(self) -> int | None:
            return collection.document_count()

        def docs_lang(self) -> str:
            return collection.language

    class Queries(BaseQueries):  # type: ignore[misc]
        def queries_iter(self) -> Iterator[TranslatedQuery]:
            pairs = zip(collection.topics(), collection.topics("en"), strict=True)
            return (TranslatedQuery(own.qid, own.text, english.text) for own, english in pairs)

        def queries_cls(self) -> type[TranslatedQuery]:
            return TranslatedQuery

        def queries_lang(self) -> str:
            return collection.topic_languages[0]

    class Judgements(BaseQrels):  # type: ignore[misc]
        def qrels_iter(self) -> Iterator[Any]:
            qrels = collection.qrels()
            rows = qrels.judgements.iter_rows() if qrels else ()
            return (TrecQrel(qid, docid, relevance, iteration) for qid, iteration, docid, relevance in rows)

        def qrels_cls(self) -> Any:
            return TrecQrel

        def qrels_defs(self) -> dict[int, str]:
            return {1: "relevant"}

    return ir_datasets.Dataset(Docs(), Queries(), Judgements())
