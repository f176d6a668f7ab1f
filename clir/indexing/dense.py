"""Dense indexes in Pyserini's layout: `index` (FAISS, inner product) and `docid` (line i names vector i).

Vectors are appended window by window to the index file itself, so memory does not grow with the
collection and a killed run goes on after its last whole window.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from clir.corpora.collection import Document
from clir.encoding.encoder import Encoder, Vectors
from clir.indexing.documents import chained_digest
from clir.support.errors import ClirError, UsageError
from clir.support.files import replace_folder, wrapping_disk_errors, write_json
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress, say

WINDOW = 1024
# Documents a call of the encoder: enough to sort by tokens and fill batches, few enough to show progress.
CALL = 128
# FAISS's IndexFlatIP on disk: fourcc, d, ntotal, two unused words, trained, metric, number of floats, floats.
FLAT_HEADER = struct.Struct("<4siqqqbiq")
FLAT_FOURCC = b"IxFI"
FLAT_UNUSED = 1 << 20
INNER_PRODUCT = 0

Item = TypeVar("Item")
# Called once, or twice where an unfinished run turns out to be of other documents.
ReadDocuments = Callable[[], Iterable[Document]]


@dataclasses.dataclass(frozen=True)
class DenseIndex:
    """A dense index on disk; `encoder` is the fingerprint of the document tower (None if unknown)."""

    path: Path
    documents: int
    dimension: int
    encoder: str | None
    documents_fingerprint: str | None

    @functools.cached_property
    def docids(self) -> list[str]:
        """The docid of each vector, in the vectors' order."""
        names = (self.path / "docid").read_text("utf-8").split("\n")
        return names[:-1] if names and names[-1] == "" else names


def open_dense_index(path: str | Path) -> DenseIndex:
    """The dense index at `path`, ours or Pyserini's.

    Raises UsageError if it is missing or no such index, ClirError if its parts do not agree.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"no index folder at {path}")
    if not (path / "index").exists() or not (path / "docid").exists():
        raise UsageError(f"{path} is no dense index (it lacks the file index or docid)")
    import faiss

    try:
        vectors = faiss.read_index(str(path / "index"), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise ClirError(f"{path / 'index'} is not a FAISS index: {str(error).splitlines()[0]}") from error
    made = read_manifest(path) if (path / "meta.json").exists() else {}
    index = DenseIndex(path, vectors.ntotal, vectors.d, made.get("encoder fingerprint"), made.get("documents sha256"))
    if len(index.docids) != index.documents:
        raise ClirError(f"{path} is broken: {index.documents} vectors but {len(index.docids)} docids")
    return index


def check_encoder(index: DenseIndex, encoder: Encoder) -> None:
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


def build_dense_index(
    read: ReadDocuments,
    encoder: Encoder,
    output: str | Path,
    *,
    window: int = WINDOW,
    total: int | None = None,
    about: dict[str, Any] | None = None,
) -> DenseIndex:
    """Encode the documents that `read()` yields into a dense index at `output`; a killed run goes on where it stopped.

    Documents are encoded in windows of `window` (sorted by length inside, stored in their own order).
    `about` goes into the manifest and, with the encoder's fingerprint, decides whether earlier windows
    may be kept; their documents are read again and must be the same. Raises ClirError if not a single
    document comes, a docid comes twice or has white space in it, or a vector is not finite.
    """
    output = Path(output)
    key = _key({"encoder": encoder.fingerprint("document"), "window": window, **(about or {})})
    partial = output.with_name(f".{output.name}.encoding")
    with wrapping_disk_errors(output), _removing_empty(partial):
        store = _Store.open(partial, key, encoder.dimension)
        with Progress("encoding", total, "documents") as progress:
            for batch in _remaining_windows(read, store, window, progress):
                store.append(batch, _encoded(batch, encoder, progress))
        if store.documents == 0:
            raise ClirError("no documents to encode")
        store.finish()
        write_manifest(
            partial,
            kind="dense",
            encoder=encoder.name,
            documents=store.documents,
            dimension=encoder.dimension,
            window=window,
            **{"encoder fingerprint": encoder.fingerprint("document"), "documents sha256": store.chain},
            **(about or {}),
        )
        replace_folder(partial, output)
    return open_dense_index(output)


def refuse_foreign(output: str | Path) -> None:
    """Refuse (UsageError) to put an index where something else than a dense index of clir's stands."""
    output = Path(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        kind = read_manifest(output).get("kind") if output.is_dir() else None
    except ClirError:
        kind = None
    if kind != "dense":
        raise UsageError(f"{output} exists and is no dense index of clir's: choose another --output, or remove it")


def documents_fingerprint(documents: Iterable[Document]) -> str:
    """The digest that an index of `documents` has as `documents sha256`: of docids and contents, in order."""
    chain = ""
    for batch in _windows(iter(documents), WINDOW):
        chain = _chained(chain, batch)
    return chain


class _Store:
    """The folder in which an index grows: `index`, `docid`, and `progress.json`, which says what counts."""

    def __init__(self, folder: Path, key: str, dimension: int) -> None:
        self.folder, self.key, self.dimension = folder, key, dimension
        self.documents = 0
        self.chain = ""

    @classmethod
    def open(cls, folder: Path, key: str, dimension: int) -> _Store:
        """The store in `folder`: an earlier one of the same work, cut to its last whole window, or a new one."""
        store = cls(folder, key, dimension)
        progress = _read_progress(folder)
        if progress.get("key") == key:
            store.documents, store.chain = int(progress["documents"]), str(progress["chain"])
            sizes = {"index": FLAT_HEADER.size + 4 * dimension * store.documents, "docid": int(progress["docid bytes"])}
            # A file that is shorter than its progress would be filled up with zeros.
            if all(_size(folder / name) >= size for name, size in sizes.items()):
                for name, size in sizes.items():
                    os.truncate(folder / name, size)
                return store
            store.documents, store.chain = 0, ""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "docid").touch()
        (folder / "index").write_bytes(_flat_header(dimension, 0))
        store._commit()
        return store

    def restart(self) -> None:
        """Forget everything stored (the documents are not the ones of the earlier run)."""
        self.documents, self.chain = 0, ""
        os.truncate(self.folder / "index", FLAT_HEADER.size)
        os.truncate(self.folder / "docid", 0)
        self._commit()

    def append(self, batch: Sequence[Document], vectors: Vectors) -> None:
        """Store one window; after this returns it survives a kill."""
        _append(self.folder / "index", np.ascontiguousarray(vectors, dtype="<f4").tobytes())
        _append(self.folder / "docid", "".join(f"{doc.docid}\n" for doc in batch).encode("utf-8"))
        self.documents += len(batch)
        self.chain = _chained(self.chain, batch)
        self._commit()

    def finish(self) -> None:
        """Write the true counts into the header and drop the progress file."""
        with open(self.folder / "index", "r+b") as handle:
            handle.write(_flat_header(self.dimension, self.documents))
            handle.flush()
            os.fsync(handle.fileno())
        (self.folder / "progress.json").unlink()

    def _commit(self) -> None:
        write_json(
            self.folder / "progress.json",
            {
                "key": self.key,
                "documents": self.documents,
                "chain": self.chain,
                "docid bytes": (self.folder / "docid").stat().st_size,
            },
        )


def _remaining_windows(read: ReadDocuments, store: _Store, window: int, progress: Progress) -> Iterator[list[Document]]:
    """The windows that are not in the store yet, refusing a docid that came before."""
    seen: set[int] = set()
    documents = iter(read())
    if store.documents:
        chain = ""
        for batch in _windows(islice(documents, store.documents), window):
            _check_docids(batch, seen)
            chain = _chained(chain, batch)
        if chain == store.chain:
            say(f"going on after {store.documents:,} documents that an earlier run encoded")
            progress.resume_at(store.documents)
        else:
            say("the documents have changed since the unfinished run: encoding all of them again")
            store.restart()
            seen.clear()
            documents = iter(read())
    for batch in _windows(documents, window):
        _check_docids(batch, seen)
        yield batch


def _check_docids(batch: Sequence[Document], seen: set[int]) -> None:
    for doc in batch:
        if doc.docid.split() != [doc.docid]:
            raise ClirError(f"docid {doc.docid!r} is empty or has white space in it")
        # Eight bytes an id bound the memory; two of 10 million ids meet by chance once in 300,000 runs.
        short = int.from_bytes(hashlib.blake2b(doc.docid.encode("utf-8"), digest_size=8).digest(), "little")
        if short in seen:
            raise ClirError(f"docid {doc.docid!r} comes twice")
        seen.add(short)


def _encoded(batch: Sequence[Document], encoder: Encoder, progress: Progress) -> Vectors:
    """The vectors of a window in its own order, encoded longest first, a few batches at a time."""
    vectors = np.empty((len(batch), encoder.dimension), dtype=np.float32)
    order = sorted(range(len(batch)), key=lambda at: -len(batch[at].contents))
    for start in range(0, len(order), CALL):
        chosen = order[start : start + CALL]
        found = encoder.encode_documents([batch[at].contents for at in chosen])
        if found.shape != (len(chosen), encoder.dimension):
            wanted = (len(chosen), encoder.dimension)
            raise ClirError(f"the encoder gave vectors of shape {found.shape}, not {wanted}")
        vectors[chosen] = found
        progress.advance(len(chosen))
    return _finite(vectors, batch)


def _finite(vectors: Vectors, batch: Sequence[Document]) -> Vectors:
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise ClirError(
            f"the encoder gave a vector with NaN or infinity for document {batch[int(bad.argmax())].docid!r}"
        )
    return vectors


def _windows(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while window := list(islice(items, size)):
        yield window


def _chained(chain: str, batch: Sequence[Document]) -> str:
    for doc in batch:
        chain = chained_digest(chain, doc)
    return chain


def _flat_header(dimension: int, count: int) -> bytes:
    return FLAT_HEADER.pack(
        FLAT_FOURCC, dimension, count, FLAT_UNUSED, FLAT_UNUSED, 1, INNER_PRODUCT, dimension * count
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _key(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _removing_empty(folder: Path) -> Iterator[None]:
    """Leave no folder behind where work fails before there is anything to go on from."""
    try:
        yield
    except BaseException:
        if not _read_progress(folder).get("documents"):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _read_progress(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder / "progress.json").read_text("utf-8")))
    return {}
