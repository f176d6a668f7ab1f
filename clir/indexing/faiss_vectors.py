"""Vectors in any other index of FAISS's: opened without loading it where FAISS can, searched with its parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clir.indexing.flat import READ_WHOLE, Numbers, Vectors
from clir.support.errors import ClirError, UsageError

PARAMETERS = re.compile(r"[A-Za-z_]+=\d+(,[A-Za-z_]+=\d+)*")
# With 0 of these FAISS finds less than it is asked for, or fails; also as `quantizer_nprobe`, of another index inside.
LONGEST_REASON = 120
# Said where FAISS offers or has another metric.
INNER_PRODUCT_ONLY = "clir ranks by inner product (faiss.METRIC_INNER_PRODUCT)"
COUNTS = ("nprobe", "efSearch", "efConstruction", "k_factor", "k_factor_rf")


def library() -> Any:
    """The module `faiss`, imported when it is needed; its own types leave out most of it."""
    import faiss

    return faiss


class FaissVectors:
    """An index of FAISS's; inner products only.

    `parameters` is FAISS's string, as "nprobe=16" or "efSearch=64,k_factor_rf=2"; what it does not name stays as
    the index was saved. Raises ClirError for a file that is no such index, UsageError for parameters that it does
    not have.
    """

    def __init__(self, path: Path, parameters: str | None = None) -> None:
        self.path = path
        self.index = read_index(path)
        check_usable(self.index, path)
        if parameters is not None:
            set_parameters(self.index, parameters)

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return int(self.index.ntotal)

    @property
    def dimension(self) -> int:
        """How wide they are."""
        return int(self.index.d)

    def take(self, numbers: Numbers) -> Vectors:
        """The vectors of these numbers as the index keeps them: nearly those that were added, if it quantises.

        Raises ClirError if this kind of index cannot give them back.
        """
        faiss = library()
        try:
            inverted = faiss.try_extract_index_ivf(self.index)
            if inverted is not None and isinstance(faiss.downcast_index(inverted), faiss.IndexIVFFastScan):
                # FAISS 1.15 reads beyond its memory here.
                raise RuntimeError("no reconstruction from inverted lists for fast scans")
            if inverted is not None and inverted.direct_map.no():
                inverted.make_direct_map()
            return self.index.reconstruct_batch(numbers)
        except RuntimeError as error:
            kind = type(faiss.downcast_index(self.index)).__name__
            raise ClirError(
                f"{self.path} ({kind}) does not keep its vectors, which are needed here: use the flat index"
            ) from error

    def search(self, queries: Vectors, k: int, chosen: NDArray[np.bool_] | None = None) -> tuple[Vectors, Numbers]:
        """The `k` vectors with the greatest inner products that the index finds, best first: (n, k) each.

        With `chosen`, (count,), only vectors for which it is true; nprobe and efSearch then grow by count /
        number of these, since so many fewer of those met will do. A list that is too short ends in number -1.
        Raises ClirError if FAISS cannot restrict this kind of index.
        """
        faiss = library()
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if chosen is None:
            try:
                return self.index.search(queries, k)
            except (RuntimeError, MemoryError) as error:
                raise ClirError(f"FAISS cannot search {self.path}: {reason(error)}") from error
        bits = np.packbits(chosen, bitorder="little")
        effort = len(chosen) / max(1, int(np.count_nonzero(chosen)))
        try:
            restricted = _restricted(self.index, faiss.IDSelectorBitmap(bits), effort)
            return self.index.search(queries, k, params=restricted)
        except RuntimeError as error:
            raise ClirError(
                f"FAISS cannot search a part of {self.path} ({type(faiss.downcast_index(self.index)).__name__}): "
                "use the flat index"
            ) from error


def read_index(path: Path) -> Any:
    """A FAISS index from its file, memory-mapped if it is large; ClirError if it is none.

    FAISS maps flat, scalar-quantised and graph indexes and inverted lists; codes for fast scans it loads.
    """
    faiss = library()
    # IO_FLAG_MMAP maps inverted lists alone; FAISS before 1.11 has no other. Both at once crash FAISS 1.15.
    mapped = getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP)
    flag = 0 if path.stat().st_size <= READ_WHOLE else mapped
    try:
        return faiss.read_index(str(path), flag)
    except (RuntimeError, MemoryError) as error:
        if (named := other_kind(path)) is not None:
            raise ClirError(f"{path} is {named}, not a FAISS index of vectors") from error
        said = "its end is missing" if "read error" in str(error) else reason(error)[:LONGEST_REASON]
        raise ClirError(f"{path} is not a FAISS index, or it is damaged: {said}") from error


def other_kind(path: Path) -> str | None:
    """What a file that FAISS does not read as vectors is instead, where its first bytes tell."""
    with open(path, "rb") as handle:
        begin = handle.read(64)
    if not begin:
        return "an empty file"
    if begin.startswith(b"IB"):
        return "a binary index"
    if begin.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (git lfs pull brings the file)"
    return None


def check_usable(index: Any, path: Path) -> None:
    """Raise ClirError unless an index ranks by inner product, is finished, and numbers its vectors by their place."""
    faiss = library()
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        metric = "L2 distance" if index.metric_type == faiss.METRIC_L2 else f"FAISS's metric {index.metric_type}"
        raise ClirError(f"{path} ranks by {metric}: {INNER_PRODUCT_ONLY}")
    if not index.is_trained:
        raise ClirError(f"{path} is not trained: build the index again")
    kept = faiss.downcast_index(index)
    if isinstance(kept, faiss.IndexIDMap):
        numbers = faiss.vector_to_array(kept.id_map)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= index.ntotal):
            raise ClirError(f"{path} has ids of its own (IDMap) that are no lines of docid: build it without IDMap")
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None and (inverted.nlist < 1 or inverted.quantizer.ntotal < inverted.nlist):
        raise ClirError(f"{path} has {inverted.nlist:,} cells (IVF) without their centroids: build the index again")


def reason(error: Exception) -> str:
    """FAISS's own words, without function, file and condition."""
    first = (str(error).splitlines() or [""])[0]
    words = re.sub(r"^Error in .* at \S+:\d+: ?(Error: )?('.*' failed: ?)?", "", first).strip()
    if isinstance(error, MemoryError) or "bad_alloc" in first:
        return "there is not enough memory"
    return words or (re.findall(r"'(.*)' failed", first) or [first])[0]


def set_parameters(index: Any, parameters: str) -> None:
    """Set search (or, before vectors are added, construction) parameters; UsageError for what the index has not."""
    faiss = library()
    if not PARAMETERS.fullmatch(parameters):
        raise UsageError(
            f"index parameters must be name=number, with commas between, such as nprobe=16, not {parameters!r}"
        )
    for one in parameters.split(","):
        name, _, value = one.partition("=")
        if name.endswith(COUNTS) and int(value) < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
        try:
            faiss.ParameterSpace().set_index_parameters(index, one)
        except RuntimeError as error:
            names = ", ".join(tunable(index)) or "none"
            raise UsageError(f"this index has no parameter {name} (it has: {names})") from error


def tunable(index: Any) -> list[str]:
    """The names of an index's search parameters."""
    faiss = library()
    space = faiss.ParameterSpace()
    space.initialize(index)
    names = [space.parameter_ranges.at(at).name for at in range(space.parameter_ranges.size())]
    # Polysemous codes' Hamming threshold does nothing unless they were trained for it.
    return [name for name in names if name != "ht"]


def _restricted(index: Any, selector: Any, effort: float) -> Any:
    """Search parameters of `index` that find only what `selector` takes."""
    faiss = library()
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=_restricted(index.index, selector, effort))
    if isinstance(index, faiss.IndexRefine):
        base = _restricted(index.base_index, selector, effort)
        return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=base)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=min(index.nlist, int(np.ceil(index.nprobe * effort))))
    if isinstance(index, faiss.IndexHNSW):
        most = max(1, int(index.ntotal))
        return faiss.SearchParametersHNSW(sel=selector, efSearch=min(most, int(np.ceil(index.hnsw.efSearch * effort))))
    return faiss.SearchParameters(sel=selector)
