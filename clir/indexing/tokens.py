"""Token indexes: a vector for every content token of every document, for late interaction.

A folder with `values` (the vectors in a row, little-endian, nothing else), `offsets` (int64: document i
has the rows from offsets[i] to offsets[i + 1]), `docid` (line i names document i) and the manifest.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clir.corpora.collection import Document
from clir.encoding.encoder import TokenEncoder
from clir.encoding.token_vectors import TokenVectors, pieces
from clir.indexing.encoded import WINDOW, EncodedIndex, ReadDocuments, growing, longest_first
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest
from clir.support.progress import Progress

Stored = Literal["float16", "float32"]
STORED: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
OFFSET = np.dtype("<i8")


@dataclasses.dataclass(frozen=True)
class TokenIndex(EncodedIndex):
    """A token index on disk: `tokens` vectors of all documents, kept as `stored`, of at most `limit` tokens a text."""

    tokens: int
    stored: Stored
    limit: int

    @functools.cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(documents + 1,) where each document's rows begin and end."""
        return np.fromfile(self.path / "offsets", dtype=OFFSET).astype(np.int64, copy=False)

    @functools.cached_property
    def values(self) -> NDArray[Any]:
        """(tokens, d) all vectors as they are stored, memory-mapped."""
        shape, kind = (self.tokens, self.dimension), STORED[self.stored]
        if self.tokens == 0:
            return np.empty(shape, dtype=kind)
        # Copy-on-write, since torch wants arrays that may be written; nothing is.
        return np.memmap(self.path / "values", dtype=kind, mode="c", shape=shape)

    def blocks(self, tokens: int) -> Iterator[tuple[int, TokenVectors]]:
        """All documents in blocks of at most `tokens` vectors, and of one document at least, in float32.

        Yields the number of each block's first document beside the block.
        """
        for start, stop in pieces(self.offsets, tokens):
            yield start, self.read(start, stop)

    def read(self, start: int, stop: int) -> TokenVectors:
        """The vectors of the documents from `start` to `stop`, in float32."""
        offsets = self.offsets[start : stop + 1]
        return TokenVectors(_float32(self.values[offsets[0] : offsets[-1]]), offsets - offsets[0])


def open_token_index(path: str | Path) -> TokenIndex:
    """The token index at `path`.

    Raises UsageError if it is missing or no such index, ClirError if its parts do not agree.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"no index folder at {path}")
    if not (path / "values").exists() or not (path / "offsets").exists():
        raise UsageError(
            f"{path} is no token index (it lacks the file values or offsets): make one with clir.encode --tokens"
        )
    made = read_manifest(path)
    try:
        index = TokenIndex(
            path, int(made["documents"]), int(made["dimension"]), made["encoder fingerprint"],
            made["documents sha256"], int(made["tokens"]), made["stored"], int(made["token limit"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ClirError(f"{path / 'meta.json'} is not the manifest of a token index ({error})") from error
    _check_parts(index)
    return index


def build_token_index(
    read: ReadDocuments,
    encoder: TokenEncoder,
    output: str | Path,
    *,
    stored: Stored = "float16",
    window: int = WINDOW,
    total: int | None = None,
    about: dict[str, Any] | None = None,
) -> TokenIndex:
    """Encode the tokens of the documents that `read()` yields into an index at `output`; a killed run goes on.

    Windows, `about`, and what is refused are as in `build_dense_index`; memory holds a window's vectors.
    """
    output = Path(output)
    kind, dimension = STORED[stored], encoder.dimension
    parts = {
        "encoder": encoder.fingerprint("document"), "window": window, "stored": stored,
        "token limit": encoder.token_limit("document"), **(about or {}),
    }  # fmt: skip
    with growing(output, parts, {"values": b"", "offsets": np.zeros(1, OFFSET).tobytes()}) as growth:
        row = dimension * kind.itemsize
        with Progress("encoding tokens", total, "documents") as progress:
            for batch in growth.remaining(read, window, progress):
                rows = _encoded(batch, encoder, kind, progress)
                ends = growth.size("values") // row + np.cumsum([len(vectors) for vectors in rows])
                values = b"".join(vectors.tobytes() for vectors in rows)
                growth.append(batch, {"values": values, "offsets": ends.astype(OFFSET).tobytes()})
        growth.finish(
            output,
            kind="token",
            encoder=encoder.name,
            dimension=dimension,
            tokens=growth.size("values") // row,
            stored=stored,
            window=window,
            **{"encoder fingerprint": parts["encoder"], "token limit": parts["token limit"]},
            **(about or {}),
        )
    return open_token_index(output)


def _check_parts(index: TokenIndex) -> None:
    """Raise ClirError unless files and manifest say the same."""
    if index.stored not in STORED:
        raise ClirError(f"{index.path} keeps its vectors as {index.stored!r}, which this version does not read")
    if len(index.docids) != index.documents:
        raise ClirError(f"{index.path} is broken: {index.documents} documents but {len(index.docids)} docids")
    found = (index.path / "values").stat().st_size
    expected = index.tokens * index.dimension * STORED[index.stored].itemsize
    if found != expected:
        raise ClirError(f"{index.path} is broken: its values have {found} bytes, not {expected}")
    offsets = index.offsets
    ends = (len(offsets), *offsets[:1], *offsets[-1:])
    if ends != (index.documents + 1, 0, index.tokens) or (np.diff(offsets) < 0).any():
        raise ClirError(f"{index.path} is broken: its offsets do not go from 0 to {index.tokens}")


def _encoded(
    batch: Sequence[Document], encoder: TokenEncoder, kind: np.dtype[Any], progress: Progress
) -> list[NDArray[Any]]:
    """The (t, d) token vectors of each document of a window as they are kept, encoded longest first."""
    found: list[NDArray[Any]] = [np.empty((0, encoder.dimension), dtype=kind)] * len(batch)
    for chosen in longest_first(batch):
        vectors = encoder.encode_document_tokens([batch[at].contents for at in chosen])
        if (len(vectors), vectors.dimension) != (len(chosen), encoder.dimension):
            raise ClirError(
                f"the encoder gave token vectors of {len(vectors)} texts with {vectors.dimension} dimensions, "
                f"not of {len(chosen)} with {encoder.dimension}"
            )
        for row, at in enumerate(chosen):
            found[at] = _stored(vectors[row], kind, batch[at])
        progress.advance(len(chosen))
    return found


def _stored(vectors: NDArray[np.float32], kind: np.dtype[Any], document: Document) -> NDArray[Any]:
    """A document's vectors as they are kept; ClirError if one is not finite as such."""
    with np.errstate(over="ignore"):
        values = vectors.astype(kind)
    if not np.isfinite(values).all():
        raise ClirError(f"the encoder gave a vector with NaN or infinity (as {kind}) for document {document.docid!r}")
    return values


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """`values` in float32; torch has all cores convert half precision, numpy one."""
    if values.dtype == np.float32:
        return values
    import torch

    return torch.from_numpy(values).float().numpy()
