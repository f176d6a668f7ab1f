"""What indexes of encoded documents share: they grow window by window, survive a kill, and know their model."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain as chain_of
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from clir.corpora.collection import Document
from clir.corpora.distinct import DistinctIds
from clir.encoding.encoder import READERS, Encoder, TowerEncoder
from clir.indexing import document_languages
from clir.indexing.documents import chained, documents_fingerprint, windows
from clir.indexing.lines import count_lines, read_lines
from clir.indexing.shards import ENDS, Shard
from clir.support.errors import ClirError, UsageError
from clir.support.files import replace_folder, wrapping_disk_errors, write_json
from clir.support.locks import alone
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress, say, track

WINDOW = 1024
# Documents a call of the encoder: enough to sort by tokens and fill batches, few enough to show progress.
CALL = 128

Kind = Literal["dense", "token"]
# Called once, or twice where an unfinished run turns out to be of other documents.
ReadDocuments = Callable[[], Iterable[Document]]


@dataclasses.dataclass(frozen=True)
class EncodedIndex:
    """An index of encoded documents on disk; `encoder` is the fingerprint of the document tower (None if unknown)."""

    path: Path
    documents: int
    dimension: int
    encoder: str | None
    documents_fingerprint: str | None

    @functools.cached_property
    def docid_column(self) -> pl.Series:
        """The docid of each document, in the index's order, as a String column: a third of a list's memory.

        Raises ClirError if one is empty or has white space in it.
        """
        column = read_lines(self.path / "docid")
        unfit = (column.str.len_bytes() == 0) | column.str.contains(r"\s")
        if unfit.any():
            at = int(unfit.arg_max() or 0)
            raise ClirError(f"{self.path / 'docid'}:{at + 1}: {column[at]!r} is no docid (empty, or with white space)")
        return column

    @property
    def docids(self) -> list[str]:
        """The docid of each document, in the index's order."""
        return self.docid_column.to_list()

    @functools.cached_property
    def languages(self) -> document_languages.DocumentLanguages | None:
        """The language of each document; None if the index keeps none."""
        return document_languages.document_languages(self.path)


def check_docids(index: EncodedIndex, what: str) -> None:
    """Raise ClirError unless there are as many docids as documents, which are called `what`."""
    found = count_lines(index.path / "docid")
    if found != index.documents:
        raise ClirError(f"{index.path} is broken: {index.documents} {what} but {found} docids: make it again")


def required_languages(index: EncodedIndex) -> document_languages.DocumentLanguages:
    """The language of each document; UsageError if the index keeps none, ClirError if not of each."""
    if index.languages is None:
        raise UsageError(
            f"{index.path} does not know the languages of its documents: encode them again from documents "
            "with a field `language`"
        )
    if len(index.languages.column) != index.documents:
        raise ClirError(
            f"{index.path} is broken: {index.documents} documents but {len(index.languages.column)} languages"
        )
    return index.languages


def named(encoder: Encoder) -> dict[str, Any]:
    """A manifest's lines on the model: its name, and what a person should know of its folder, if anything."""
    notes = list(getattr(encoder, "notes", ()))
    return {"encoder": encoder.name} | ({"encoder notes": notes} if notes else {})


def refuse_shard(path: Path, made: Mapping[str, Any]) -> None:
    """Raise ClirError if the manifest `made` is of a part of an index only."""
    if "shard" in made:
        number, of = made["shard"]["number"], made["shard"]["of"]
        raise ClirError(f"{path} is shard {number} of {of} of an index: put them together with clir.encode --merge")


def check_encoder(index: EncodedIndex, encoder: Encoder) -> None:
    """Refuse an encoder whose documents are not the ones in the index (ClirError).

    An index without manifest (Pyserini's own) is checked by dimension alone.
    """
    if index.encoder is not None and not _made_by(index.encoder, encoder):
        raise ClirError(
            f"{index.path} was made by another model (document fingerprint {index.encoder}) than {encoder.name} "
            f"({encoder.fingerprint('document')}); {_remedy(index.encoder, encoder)}"
        )
    if index.dimension != encoder.dimension:
        raise ClirError(f"{index.path} has {index.dimension} dimensions, {encoder.name} gives {encoder.dimension}")


def _made_by(made_by: str, encoder: Encoder) -> bool:
    """Whether `made_by` is the fingerprint of the documents' side of `encoder`, or was that in earlier releases."""
    if made_by == encoder.fingerprint("document"):
        return True
    from clir.encoding.former import former_fingerprint

    return isinstance(encoder, TowerEncoder) and made_by == former_fingerprint(encoder.spec("document"))


def _remedy(made_by: str, encoder: Encoder) -> str:
    """What to do about an index that was made by the fingerprint `made_by` and not by `encoder`."""
    for reader in READERS:
        if isinstance(encoder, TowerEncoder) and _made_by(made_by, encoder.reading_documents_by(reader)):
            return f"its documents were read by the {reader}: --documents-by {reader}"
    return "encode the collection again with this model"


def refuse_foreign(output: str | Path, kind: Kind = "dense") -> None:
    """Refuse (UsageError) to put an index where something else than an index of clir's of this kind stands."""
    output = Path(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        found = read_manifest(output).get("kind") if output.is_dir() else None
    except ClirError:
        found = None
    if found != kind:
        raise UsageError(f"{output} exists and is no {kind} index of clir's: choose another --output, or remove it")


class Growth:
    """The folder in which an index grows: its data files, `docid`, and `progress.json`, which says what counts.

    `begin` gives the data files and the bytes that each begins with; `language` lies beside `docid` where any
    document has one. A shard stores its own windows of the stream alone, and in the file `ends` where each ends
    in every data file.
    """

    def __init__(self, folder: Path, key: str, begin: Mapping[str, bytes], shard: Shard | None = None) -> None:
        self.folder, self.key, self.shard = folder, key, shard
        self.begin = {**begin, "docid": b"", document_languages.FILE: b"", **({ENDS: b""} if shard else {})}
        # Stored here; read from the stream, whose digest so far is `chain`.
        self.documents = self.read = 0
        self.chain = ""

    def open(self) -> Growth:
        """Take up what an earlier run of the same work left, cut to its last whole window, or begin anew."""
        progress = read_progress(self.folder)
        sizes = progress.get("bytes", {})
        # A file that is shorter than its progress would be filled up with zeros.
        if progress.get("key") == self.key and all(self.size(name) >= sizes.get(name, 1 << 62) for name in self.begin):
            self.documents, self.chain = int(progress["documents"]), str(progress["chain"])
            self.read = int(progress["read"])
            for name in self.begin:
                os.truncate(self.folder / name, sizes[name])
            return self
        for path in self.folder.iterdir():
            path.unlink()
        self.restart()
        return self

    def restart(self) -> None:
        """Forget everything stored (the documents are not the ones of the earlier run)."""
        self.documents = self.read = 0
        self.chain = ""
        for name, data in self.begin.items():
            (self.folder / name).write_bytes(data)
        self._commit()

    def remaining(self, read: ReadDocuments, window: int, progress: Progress) -> Iterator[list[Document]]:
        """The windows of documents that are still to be stored; ClirError for a docid that came before.

        A shard's documents are a part of those of `read`, so that is what its `progress` counts up to.
        """
        if self.shard and progress.total is not None:
            progress.total = self.shard.share(progress.total, window)
        seen, documents, number = DistinctIds(), iter(read()), 0
        if self.read:
            chain = ""
            again = track(islice(documents, self.read), "reading what is encoded", self.read, "documents")
            for batch in windows(again, window):
                _check_docids(batch, seen)
                chain, number = chained(chain, batch), number + 1
            following = next(documents, None)
            # A part window is the last one: what is appended to it would stand in other windows than in one run.
            if chain == self.chain and (following is None or self.read % window == 0):
                documents = chain_of([] if following is None else [following], documents)
                say(f"going on after {self.documents:,} documents that an earlier run encoded")
                progress.resume_at(self.documents)
            else:
                say("the documents have changed since the unfinished run: encoding all of them again")
                self.restart()
                seen, documents, number = DistinctIds(), iter(read()), 0
        for at, batch in enumerate(windows(documents, window), number):
            _check_docids(batch, seen)
            if self.shard is None or self.shard.has(at):
                yield batch
            else:
                self._passed(batch)

    def append(self, batch: Sequence[Document], data: Mapping[str, bytes]) -> None:
        """Store one window: its documents, and the bytes that each data file gets; now it survives a kill."""
        for name, part in data.items():
            _append(self.folder / name, part)
        _append(self.folder / "docid", "".join(f"{doc.docid}\n" for doc in batch).encode("utf-8"))
        _append(self.folder / document_languages.FILE, document_languages.language_lines(batch))
        if self.shard:
            ends = [self.size(name) for name in self.begin if name != ENDS]
            _append(self.folder / ENDS, np.array(ends, dtype="<i8").tobytes())
        self.documents += len(batch)
        self._passed(batch)
        self._commit()

    def overwrite(self, name: str, data: bytes) -> None:
        """Put `data` over the beginning of a data file."""
        overwrite(self.folder / name, data)

    def size(self, name: str) -> int:
        """Bytes of a data file, 0 if it is not there."""
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def finish(self, output: Path, **sections: Any) -> None:
        """Put the whole index at `output`, with a manifest of `sections`. Raises ClirError if there was no document."""
        if self.read == 0:
            raise ClirError("no documents to encode")
        if self.shard is not None:
            heads = {name: len(data) for name, data in self.begin.items() if name != ENDS}
            sections["shard"] = {**self.shard._asdict(), "collection": self.read, "heads": heads}
        write_manifest(self.folder, documents=self.documents, **{"documents sha256": self.chain}, **sections)
        if self.shard is None:
            document_languages.drop_if_empty(self.folder, self.documents)
        replace_folder(self.folder, output)
        # Last, so that after a full disk or a kill all that was encoded still counts.
        (output / "progress.json").unlink()

    def _passed(self, batch: Sequence[Document]) -> None:
        self.read += len(batch)
        self.chain = chained(self.chain, batch)

    def _commit(self) -> None:
        write_json(
            self.folder / "progress.json",
            {
                "key": self.key,
                "documents": self.documents,
                "read": self.read,
                "chain": self.chain,
                "bytes": {name: self.size(name) for name in self.begin},
            },
        )


@contextlib.contextmanager
def growing(
    output: Path, parts: Mapping[str, Any], begin: Mapping[str, bytes], shard: Shard | None = None
) -> Iterator[Growth]:
    """An index, or a shard of one, that grows beside `output`, after an unfinished run of the same `parts` or anew.

    `parts` is all that decides what a document becomes; `begin` as in Growth. Raises UsageError while another
    process is at it.
    """
    folder = work_folder(output)
    with wrapping_disk_errors(output), alone(output, "encoding into"), _removing_empty(folder):
        folder.mkdir(parents=True, exist_ok=True)
        whole = {**parts, "shard": list(shard)} if shard else parts
        key = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
        yield Growth(folder, key, begin, shard).open()


def work_folder(output: Path) -> Path:
    """Where an index grows until it is whole."""
    return output.with_name(f".{output.name}.encoding")


def is_finished(output: Path, parts: Mapping[str, Any], read: ReadDocuments, shard: Shard | None = None) -> bool:
    """Whether `output` is that index, or shard, already: of the same `parts` and documents (which are read through)."""
    if not (output / "meta.json").exists():
        return False
    made = read_manifest(output)
    found = [made.get("encoder fingerprint" if name == "encoder" else name) for name in parts]
    division = {name: value for name, value in made.get("shard", {}).items() if name in Shard._fields}
    if found != list(parts.values()) or division != (shard._asdict() if shard else {}):
        return False
    documents = track(read(), "comparing documents", unit="documents")
    return bool(made.get("documents sha256") == documents_fingerprint(documents))


def longest_first(batch: Sequence[Document]) -> Iterator[list[int]]:
    """The positions of a window's documents in calls of the encoder, long documents before short ones."""
    order = sorted(range(len(batch)), key=lambda at: -len(batch[at].contents))
    for start in range(0, len(order), CALL):
        yield order[start : start + CALL]


def read_progress(folder: Path) -> dict[str, Any]:
    """What an unfinished run in `folder` says of itself; nothing if there is none or it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder / "progress.json").read_text("utf-8")))
    return {}


def _check_docids(batch: Sequence[Document], seen: DistinctIds) -> None:
    for doc in batch:
        if doc.docid.split() != [doc.docid]:
            raise ClirError(f"docid {doc.docid!r} is empty or has white space in it")
        if not seen.add(doc.docid):
            raise ClirError(f"docid {doc.docid!r} comes twice")


def overwrite(path: Path, data: bytes) -> None:
    """Put `data` over the beginning of a file."""
    with open(path, "r+b") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


@contextlib.contextmanager
def _removing_empty(folder: Path) -> Iterator[None]:
    """Leave no folder behind where work fails before there is anything to go on from."""
    try:
        yield
    except BaseException:
        if not read_progress(folder).get("documents"):
            shutil.rmtree(folder, ignore_errors=True)
        raise
