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
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from clir.corpora.collection import Document
from clir.encoding.encoder import Encoder
from clir.indexing.documents import chained, windows
from clir.support.errors import ClirError, UsageError
from clir.support.files import replace_folder, wrapping_disk_errors, write_json
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress, say

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
    def docids(self) -> list[str]:
        """The docid of each document, in the index's order."""
        names = (self.path / "docid").read_text("utf-8").split("\n")
        return names[:-1] if names and names[-1] == "" else names


def check_encoder(index: EncodedIndex, encoder: Encoder) -> None:
    """Refuse an encoder whose documents are not the ones in the index (ClirError).

    An index without manifest (Pyserini's own) is checked by dimension alone.
    """
    if index.encoder is not None and index.encoder != encoder.fingerprint("document"):
        raise ClirError(
            f"{index.path} was made by another model (document fingerprint {index.encoder}) than {encoder.name} "
            f"({encoder.fingerprint('document')}); encode the collection again with this model"
        )
    if index.dimension != encoder.dimension:
        raise ClirError(f"{index.path} has {index.dimension} dimensions, {encoder.name} gives {encoder.dimension}")


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

    `begin` gives the data files and the bytes that each begins with.
    """

    def __init__(self, folder: Path, key: str, begin: Mapping[str, bytes]) -> None:
        self.folder, self.key = folder, key
        self.begin = {**begin, "docid": b""}
        self.documents = 0
        self.chain = ""

    def open(self) -> Growth:
        """Take up what an earlier run of the same work left, cut to its last whole window, or begin anew."""
        progress = read_progress(self.folder)
        sizes = progress.get("bytes", {})
        # A file that is shorter than its progress would be filled up with zeros.
        if progress.get("key") == self.key and all(self.size(name) >= sizes.get(name, 1 << 62) for name in self.begin):
            self.documents, self.chain = int(progress["documents"]), str(progress["chain"])
            for name in self.begin:
                os.truncate(self.folder / name, sizes[name])
            return self
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.restart()
        return self

    def restart(self) -> None:
        """Forget everything stored (the documents are not the ones of the earlier run)."""
        self.documents, self.chain = 0, ""
        for name, data in self.begin.items():
            (self.folder / name).write_bytes(data)
        self._commit()

    def remaining(self, read: ReadDocuments, window: int, progress: Progress) -> Iterator[list[Document]]:
        """The windows of documents that are not stored yet, refusing a docid that came before (ClirError)."""
        seen: set[int] = set()
        documents = iter(read())
        if self.documents:
            chain = ""
            for batch in windows(islice(documents, self.documents), window):
                _check_docids(batch, seen)
                chain = chained(chain, batch)
            if chain == self.chain:
                say(f"going on after {self.documents:,} documents that an earlier run encoded")
                progress.resume_at(self.documents)
            else:
                say("the documents have changed since the unfinished run: encoding all of them again")
                self.restart()
                seen.clear()
                documents = iter(read())
        for batch in windows(documents, window):
            _check_docids(batch, seen)
            yield batch

    def append(self, batch: Sequence[Document], data: Mapping[str, bytes]) -> None:
        """Store one window: its documents, and the bytes that each data file gets; now it survives a kill."""
        for name, part in data.items():
            _append(self.folder / name, part)
        _append(self.folder / "docid", "".join(f"{doc.docid}\n" for doc in batch).encode("utf-8"))
        self.documents += len(batch)
        self.chain = chained(self.chain, batch)
        self._commit()

    def overwrite(self, name: str, data: bytes) -> None:
        """Put `data` over the beginning of a data file."""
        with open(self.folder / name, "r+b") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())

    def size(self, name: str) -> int:
        """Bytes of a data file, 0 if it is not there."""
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def finish(self, output: Path, **sections: Any) -> None:
        """Put the whole index at `output`, with a manifest of `sections`. Raises ClirError if it is empty."""
        if self.documents == 0:
            raise ClirError("no documents to encode")
        (self.folder / "progress.json").unlink()
        write_manifest(self.folder, documents=self.documents, **{"documents sha256": self.chain}, **sections)
        replace_folder(self.folder, output)

    def _commit(self) -> None:
        write_json(
            self.folder / "progress.json",
            {
                "key": self.key,
                "documents": self.documents,
                "chain": self.chain,
                "bytes": {name: self.size(name) for name in self.begin},
            },
        )


@contextlib.contextmanager
def growing(output: Path, parts: Mapping[str, Any], begin: Mapping[str, bytes]) -> Iterator[Growth]:
    """An index that grows beside `output`, after an unfinished run of the same `parts` or anew.

    `parts` is all that decides what a document becomes; `begin` as in Growth.
    """
    folder = output.with_name(f".{output.name}.encoding")
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    with wrapping_disk_errors(output), _removing_empty(folder):
        yield Growth(folder, key, begin).open()


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


def _check_docids(batch: Sequence[Document], seen: set[int]) -> None:
    for doc in batch:
        if doc.docid.split() != [doc.docid]:
            raise ClirError(f"docid {doc.docid!r} is empty or has white space in it")
        # Eight bytes an id bound the memory; two of 10 million ids meet by chance once in 300,000 runs.
        short = int.from_bytes(hashlib.blake2b(doc.docid.encode("utf-8"), digest_size=8).digest(), "little")
        if short in seen:
            raise ClirError(f"docid {doc.docid!r} comes twice")
        seen.add(short)


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
