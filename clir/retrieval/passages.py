"""The documents behind docids, read from disk one by one: for showing what a search has found.

A JSON-lines file is read where it lies, by an index of its lines that is kept in the cache; other documents
of ours (of other forms, compressed, of collections) are copied there once; ir_datasets' have a store of their own.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from clir.corpora.collection import Collection, Document
from clir.corpora.documents import document_files, document_form, document_of
from clir.indexing.documents import chained_digest
from clir.support.compression import is_compressed
from clir.support.errors import ClirError
from clir.support.files import atomic_folder, cache_root, write_json
from clir.support.json_records import parsed
from clir.support.progress import Progress

# One line: a hash of its docid, and its place: the number of its file, and where in it the line begins.
LINE = np.dtype([("hash", "<u8"), ("place", "<u8")])
OFFSET_BITS = 44
# Lines that are sorted in memory at a time, and parts into which sorted runs are cut for merging.
LINES_AT_ONCE = 1 << 20
PARTS = 256
COPY = "documents.jsonl"


class Passages(Protocol):
    """Documents by their docids."""

    def read(self, docids: Sequence[str]) -> list[Document]:
        """The documents of these docids, in their order; ClirError for one that is not there."""

    def close(self) -> None:
        """Let go of open files."""


class Lines:
    """Documents in JSON-lines files, found by the bytes where their lines begin.

    In memory: nothing but the pages of the line index that were looked at (it is memory-mapped).
    """

    def __init__(self, name: str, files: Sequence[Path], folder: Path) -> None:
        self._name, self._files = name, list(files)
        self._hashes, self._places = (
            np.load(folder / f"{part}.npy", mmap_mode="r", allow_pickle=False) for part in ("hash", "place")
        )
        self._open: dict[int, IO[bytes]] = {}

    def read(self, docids: Sequence[str]) -> list[Document]:
        """The documents of these docids, in their order; ClirError for one that is not there."""
        return [self._find(docid) for docid in docids]

    def close(self) -> None:
        """Let go of open files."""
        for handle in self._open.values():
            handle.close()
        self._open.clear()

    def __len__(self) -> int:
        return len(self._hashes)

    def _find(self, docid: str) -> Document:
        wanted = np.uint64(_hash(docid))
        at = int(np.searchsorted(self._hashes, wanted))
        # Ids of the same hash stand side by side.
        while at < len(self) and self._hashes[at] == wanted:
            place = int(self._places[at])
            document = self._document(place >> OFFSET_BITS, place & ((1 << OFFSET_BITS) - 1))
            if document.docid == docid:
                return document
            at += 1
        raise ClirError(f"{self._name} has no document {docid!r}")

    def _document(self, file: int, offset: int) -> Document:
        if file not in self._open:
            self._open[file] = open(self._files[file], "rb")  # noqa: SIM115 (closed by `close`)
        handle = self._open[file]
        handle.seek(offset)
        try:
            record = json.loads(handle.readline())
        except ValueError as error:
            raise ClirError(f"{self._files[file]} has changed while it was open") from error
        return document_of(record, str(self._files[file]))


class Store:
    """The documents of one of ir_datasets' data sets, through the store that it keeps itself."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def read(self, docids: Sequence[str]) -> list[Document]:
        """The documents of these docids, in their order; ClirError for one that is not there."""
        found: dict[str, Document] = self._collection.lookup(docids)
        missing = [docid for docid in docids if docid not in found]
        if missing:
            raise ClirError(f"{self._collection.id} has no document {missing[0]!r}")
        return [found[docid] for docid in docids]

    def close(self) -> None:
        """Nothing stays open between reads."""


def open_passages(source: str | Path | Collection, expected: str | None = None) -> Passages:
    """The documents of a file of any form, of a folder of such files, or of a collection (or its id).

    JSON lines that are not compressed are read where they lie; of others a copy is kept in the cache. `expected` is
    the digest of the documents of an index (`documents sha256`): other documents are refused with ClirError, so that
    what is shown is what was searched. ir_datasets' are taken at their word. Raises UsageError if there is no such
    file or collection.
    """
    from clir.corpora.irds import Dataset
    from clir.corpora.registry import open_collection

    if isinstance(source, Path) or (isinstance(source, str) and Path(source).exists()):
        return _of_files(Path(source), expected)
    collection = open_collection(source) if isinstance(source, str) else source
    if isinstance(collection, Dataset):
        return Store(collection)
    return _of_collection(collection, expected)


def _of_files(path: Path, expected: str | None) -> Lines:
    from clir.corpora.documents import read_documents

    files = document_files(path)
    states = [[str(file.resolve()), *_state(file)] for file in files]
    folder = _folder(states)
    if not folder.is_dir():
        try:
            if any(document_form(file) != "json" or is_compressed(file) for file in files):
                raise _NotLines
            with atomic_folder(folder) as partial:
                digest = _write_lines(partial, _located(files), None)
                write_json(partial / "about.json", {"source": str(path), "documents sha256": digest})
        except _NotLines:
            return _copied(str(path), states, read_documents(path), None, expected)
    _check(folder, str(path), expected)
    if (folder / COPY).exists():
        files = [folder / COPY]
    return Lines(str(path), files, folder)


def _of_collection(collection: Collection, expected: str | None) -> Lines:
    # Without a digest to go by, the id and the number of documents stand for them.
    count = collection.document_count()
    return _copied(collection.id, [collection.id, count, expected], collection.documents(), count, expected)


def _copied(name: str, key: Any, documents: Iterable[Document], count: int | None, expected: str | None) -> Lines:
    folder = _folder(key)
    if not folder.is_dir():
        with atomic_folder(folder) as partial:
            with open(partial / COPY, "wb") as copy:
                digest = _write_lines(partial, _copying(documents, copy), count)
            write_json(partial / "about.json", {"source": name, "documents sha256": digest})
            _check(partial, name, expected)
    _check(folder, name, expected)
    return Lines(name, [folder / COPY], folder)


def _check(folder: Path, name: str, expected: str | None) -> None:
    found = json.loads((folder / "about.json").read_text("utf-8"))["documents sha256"]
    if expected is not None and found != expected:
        raise ClirError(f"the documents of {name} are not the ones that were indexed: index them again")


def _folder(key: Any) -> Path:
    digest = hashlib.sha256(json.dumps(key).encode("ascii")).hexdigest()[:24]
    return cache_root() / "passages" / digest


def _state(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _located(files: Sequence[Path]) -> Iterator[tuple[Document, int, int]]:
    """Every document of the files, with the number of its file and where its line begins."""
    for number, file in enumerate(files):
        offset = 0
        with open(file, "rb") as lines:
            for at, line in enumerate(lines, 1):
                # The byte order mark that some editors put before a file is no part of its first line.
                bare = line.removeprefix(b"\xef\xbb\xbf") if at == 1 else line
                if not bare.isspace():
                    yield _parsed(bare, f"{file}:{at}"), number, offset + len(line) - len(bare)
                offset += len(line)


class _NotLines(Exception):
    """A file has not an object in every line; whether it has documents all the same, its reader finds out."""


def _parsed(line: bytes, where: str) -> Document:
    try:
        record = parsed(line.decode("utf-8").strip(), where)
    except (UnicodeDecodeError, ClirError) as error:
        raise _NotLines from error
    if not isinstance(record, dict):
        raise _NotLines
    return document_of(record, where)


def _copying(documents: Iterable[Document], copy: IO[bytes]) -> Iterator[tuple[Document, int, int]]:
    """The documents, each with the place where it is written into `copy`."""
    offset = 0
    for document in documents:
        yield document, 0, offset
        offset += copy.write(json.dumps(_record(document)).encode("ascii") + b"\n")


def _record(document: Document) -> dict[str, str]:
    """What `document_of` reads a document from."""
    more = {name: value for name, value in document._asdict().items() if value and name not in ("docid", "text")}
    return {"id": document.docid, "text": document.text, **more}


def _write_lines(folder: Path, located: Iterable[tuple[Document, int, int]], total: int | None) -> str:
    """Write all lines sorted by hash, `hash.npy` and `place.npy`, in bounded memory; gives the documents' digest.

    Raises ClirError if there is no document.
    """
    digest = ""
    runs: list[Path] = []
    hashes, places = array("Q"), array("Q")
    with Progress("finding passages", total, "documents") as progress:
        for document, file, offset in located:
            digest = chained_digest(digest, document)
            hashes.append(_hash(document.docid))
            places.append(file << OFFSET_BITS | offset)
            if len(hashes) == LINES_AT_ONCE:
                runs.append(_sorted_run(hashes, places, folder / f"run-{len(runs)}.npy"))
                hashes, places = array("Q"), array("Q")
            progress.advance()
    if not digest:
        raise ClirError("there are no documents")
    if hashes:
        runs.append(_sorted_run(hashes, places, folder / f"run-{len(runs)}.npy"))
    _merge(runs, folder)
    for run in runs:
        run.unlink()
    return digest


def _sorted_run(hashes: array[int], places: array[int], path: Path) -> Path:
    lines = np.empty(len(hashes), dtype=LINE)
    lines["hash"], lines["place"] = hashes, places
    np.save(path, np.sort(lines), allow_pickle=False)
    return path


def _merge(runs: Sequence[Path], folder: Path) -> None:
    """Merge sorted runs, one range of hashes after another: hashes are spread evenly."""
    arrays = [np.load(run, mmap_mode="r", allow_pickle=False) for run in runs]
    size = sum(map(len, arrays))
    merged = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype="<u8", shape=(size,))
        for name in LINE.names or ()
    }
    edges = np.arange(PARTS, dtype=np.uint64) << np.uint64(56)
    cuts = [[*np.searchsorted(array["hash"], edges), len(array)] for array in arrays]
    begin = 0
    for part in range(PARTS):
        slices = [array[cut[part] : cut[part + 1]] for array, cut in zip(arrays, cuts, strict=True)]
        lines = np.sort(np.concatenate(slices))
        for name, values in merged.items():
            values[begin : begin + len(lines)] = lines[name]
        begin += len(lines)
    for values in merged.values():
        values.flush()


def _hash(docid: str) -> int:
    return int.from_bytes(hashlib.blake2b(docid.encode("utf-8"), digest_size=8).digest(), "little")
