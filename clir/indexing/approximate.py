"""Dense indexes by FAISS's factory strings, made from a flat one: trained on a sample, tuned to a recall, measured."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from clir.indexing import document_languages
from clir.indexing.dense import DenseIndex, open_dense_index
from clir.indexing.factory_strings import check_factory_string
from clir.indexing.faiss_vectors import INNER_PRODUCT_ONLY, library, reason, set_parameters, tunable
from clir.indexing.flat import FlatVectors, Numbers, Vectors
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_folder
from clir.support.locks import alone
from clir.support.manifest import read_manifest, write_manifest
from clir.support.progress import Progress, say

# Vectors that an index is trained on: so many, or so many for each of its cells, or all.
SAMPLE, SAMPLE_PER_CELL = 50_000, 64
# Documents that stand for queries where none are given, and how deep recall is looked at.
SAMPLE_QUERIES, DEPTHS = 256, (10, 100)
RECALL = 0.95
# Bytes of vectors that are added at a time.
ADD_BLOCK = 1 << 26
# What is tuned, from where to where by doublings: cells looked into, candidates kept on a walk through a graph.
TUNED = {"nprobe": (1, 1 << 16), "efSearch": (32, 1 << 12)}
# A second look at the exact vectors, where the factory string asks for one, takes so many times k.
REFINED = 4
# What the flat index's manifest says of itself alone.
OWN = ("created", "platform", "implementation", "resources", "documents")


@dataclasses.dataclass(frozen=True)
class Factory:
    """How an approximate index is made.

    factory: FAISS's string (`HNSW32`, `IVF1024,PQ48x4`, `SQ8`, ...); build: parameters set before vectors are
    added (`efConstruction=200`); search: parameters to keep (default: tuned to `recall` at 100, as far as that
    goes); sample: vectors to train on (default: 50,000, or 64 for each cell if more); seed: of both samples.
    """

    factory: str
    build: str | None = None
    search: str | None = None
    sample: int | None = None
    seed: int = 0
    recall: float = RECALL


@dataclasses.dataclass(frozen=True)
class Recall:
    """What an index finds with `parameters` of the exact best: means over queries at each of DEPTHS; ms a query."""

    parameters: str
    at: dict[str, float]
    milliseconds: float


def build_approximate_index(
    flat: DenseIndex | str | Path,
    output: str | Path,
    factory: Factory,
    *,
    queries: Vectors | None = None,
    queries_from: str | None = None,
) -> DenseIndex:
    """The documents of the index `flat` in a FAISS index made by `factory.factory`, for inner products, at `output`.

    `queries`, (n, d), are what recall is measured with (`queries_from` says in the manifest where they came from);
    by default SAMPLE_QUERIES documents of the collection, each without itself in its list. Search parameters are
    saved in the FAISS file, so that other readers search with them too, and in the manifest with every setting
    that was tried. Vectors are read from `flat` as they are added; memory holds FAISS's index (for HNSW over
    plain vectors that is all of them), the training sample and ADD_BLOCK bytes.

    The same bytes come out each time on one machine, but for graphs (HNSW, NSG) built by several threads.

    Raises UsageError if `flat` is not flat, or FAISS cannot make such an index for these vectors.
    """
    flat = flat if isinstance(flat, DenseIndex) else open_dense_index(flat)
    output = Path(output)
    if output.resolve() == flat.path.resolve():
        raise UsageError(f"{output} is the index that this one is made from: choose another output")
    with alone(output, "building"):
        return _built(flat, output, factory, queries, queries_from)


def _built(
    flat: DenseIndex, output: Path, factory: Factory, queries: Vectors | None, queries_from: str | None
) -> DenseIndex:
    vectors = flat.flat
    if vectors is None:
        raise UsageError(f"{flat.path} is not a flat index: its vectors can no longer be read, so name the flat one")
    index = _empty(factory, vectors.dimension)
    trained = _train(index, factory, vectors)
    _add(index, vectors)
    asked = _asked(vectors, factory.seed, queries)
    tried = _tune(index, factory, vectors, asked)
    chosen = tried[-1] if factory.search is not None else _chosen(tried, factory.recall)
    _say(chosen, factory)
    if chosen.parameters:
        set_parameters(index, chosen.parameters)
    source = queries_from or ("given" if queries is not None else "documents")
    measured = {
        "queries": {"number": len(asked.vectors), "from": source, "seed": factory.seed},
        **chosen.at,
        "tried": [dataclasses.asdict(one) for one in tried],
    }
    made = read_manifest(flat.path) if (flat.path / "meta.json").exists() else {"kind": "dense"}
    with atomic_folder(output) as folder:
        _write(index, folder / "index")
        for name in ("docid", document_languages.FILE):
            if (flat.path / name).exists():
                shutil.copyfile(flat.path / name, folder / name)
        write_manifest(
            folder,
            **{name: value for name, value in made.items() if name not in OWN},
            documents=flat.documents,
            factory=dataclasses.asdict(factory),
            trained=trained,
            recall=measured,
            **{"search parameters": chosen.parameters},
        )
    return open_dense_index(output)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """Queries, the scores of their exact best, best first, and which document each is (-1: none)."""

    vectors: Vectors
    scores: Vectors
    own: Numbers


def check_factory(factory: Factory, dimension: int) -> None:
    """Raise UsageError if FAISS cannot make such an index for vectors of `dimension`, as far as is known beforehand."""
    _empty(factory, dimension)


def _empty(factory: Factory, dimension: int) -> Any:
    check_factory_string(factory.factory)
    faiss = library()
    try:
        index = faiss.index_factory(dimension, factory.factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, MemoryError) as error:
        raise _impossible(factory, dimension, error) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise UsageError(f"FAISS makes {factory.factory!r} for L2 distances alone: {INNER_PRODUCT_ONLY}")
    if factory.build is not None:
        set_parameters(index, factory.build)
    if factory.search is not None:
        set_parameters(index, factory.search)
    return index


def _train(index: Any, factory: Factory, vectors: FlatVectors) -> dict[str, int] | None:
    """Train on a sample of the vectors; what the manifest says of it (None: the index needs no training)."""
    faiss = library()
    if index.is_trained:
        return None
    cells = faiss.try_extract_index_ivf(index)
    wanted = factory.sample or max(SAMPLE, SAMPLE_PER_CELL * (cells.nlist if cells else 0))
    size = min(wanted, vectors.count)
    if cells and size < cells.nlist:
        raise UsageError(
            f"{factory.factory} has {cells.nlist:,} cells, but there are only {size:,} vectors to train them on"
        )
    if cells and size < faiss.ClusteringParameters().min_points_per_centroid * cells.nlist:
        say(f"training {cells.nlist:,} cells on {size:,} vectors is few: {39 * cells.nlist:,} would be enough")
    _silence(index)
    say(f"training {factory.factory} on {size:,} of {vectors.count:,} vectors")
    try:
        index.train(_sample(vectors, size, factory.seed))
    except (RuntimeError, MemoryError) as error:
        raise _impossible(factory, vectors.dimension, error, size) from error
    return {"vectors": size, "of": vectors.count, "seed": factory.seed}


def _add(index: Any, vectors: FlatVectors) -> None:
    with Progress("adding", vectors.count, "vectors") as progress:
        for _, block in vectors.blocks(ADD_BLOCK):
            try:
                index.add(np.ascontiguousarray(block))
            except (RuntimeError, MemoryError) as error:
                raise ClirError(f"FAISS could not add the {vectors.count:,} vectors: {reason(error)}") from error
            progress.advance(len(block))


def _asked(vectors: FlatVectors, seed: int, queries: Vectors | None) -> _Asked:
    """The queries with their exact answers."""
    if queries is None:
        own = _numbers(vectors.count, min(SAMPLE_QUERIES, vectors.count), seed + 1)
        queries = vectors.take(own)
    else:
        own = np.full(len(queries), -1, dtype=np.int64)
    depth = min(DEPTHS[-1], vectors.count - 1 if own[:1] != -1 else vectors.count)
    scores, numbers = vectors.search(queries, min(depth + 1, vectors.count))
    return _Asked(queries, _without(scores, numbers, own)[:, :depth], own)


def _tune(index: Any, factory: Factory, vectors: FlatVectors, asked: _Asked) -> list[Recall]:
    """What was tried, dearer from one to the next: up to the recall that is wanted, or as far as it grows."""
    names = tunable(index)
    if factory.search is not None or not names:
        return [_measured(index, factory.search or "", vectors, asked)]
    fixed = [f"k_factor_rf={REFINED}"] if "k_factor_rf" in names else []
    name = next((name for name in TUNED if name in names), None)
    if name is None:
        return [_measured(index, ",".join(fixed), vectors, asked)]
    least, most = TUNED[name]
    most = min(most, _cells(index)) if name == "nprobe" else most
    tried: list[Recall] = []
    value = least
    while True:
        tried.append(_measured(index, ",".join([*fixed, f"{name}={value}"]), vectors, asked))
        if _deepest(tried[-1]) >= factory.recall or value >= most or _flat(tried):
            return tried
        value = min(2 * value, most)


def _measured(index: Any, parameters: str, vectors: FlatVectors, asked: _Asked) -> Recall:
    if parameters:
        set_parameters(index, parameters)
    depth = asked.scores.shape[1]
    began = time.perf_counter()
    _, numbers = index.search(asked.vectors, min(depth + 1, vectors.count))
    milliseconds = 1000 * (time.perf_counter() - began) / max(1, len(numbers))
    exact = _exact_scores(vectors, asked.vectors, numbers)
    found = _without(exact, numbers, asked.own)[:, :depth]
    at = {}
    for wanted in DEPTHS:
        cut = min(wanted, depth)
        # By score, so that a document as good as the last of the exact list counts, whichever of equals was taken.
        right = found[:, :cut] >= asked.scores[:, cut - 1 : cut] - 1e-5 if cut else np.ones((1, 1))
        at[f"R@{wanted}"] = round(float(right.mean()), 4)
    return Recall(parameters, at, round(milliseconds, 3))


def _exact_scores(vectors: FlatVectors, queries: Vectors, numbers: Numbers) -> Vectors:
    """The inner products of each query with the vectors that were found for it; -inf for padding."""
    scores = np.full(numbers.shape, -np.inf, dtype=np.float32)
    for row, found in enumerate(numbers):
        kept = found >= 0
        scores[row, kept] = vectors.take(found[kept]) @ queries[row]
    return scores


def _without(scores: Vectors, numbers: Numbers, own: Numbers) -> Vectors:
    """`scores` without that of the query itself (or, where it is not there or there is none, without the last)."""
    if own[:1] == -1:
        return scores
    drop = numbers == own[:, None]
    drop[~drop.any(axis=1), -1] = True
    return scores[~drop].reshape(len(scores), -1)


def _chosen(tried: list[Recall], recall: float) -> Recall:
    """The cheapest that reaches `recall`; where none does, the cheapest of the best."""
    enough = [one for one in tried if _deepest(one) >= recall]
    return enough[0] if enough else max(tried, key=_deepest)


def _flat(tried: list[Recall]) -> bool:
    """Whether twice doubling the effort has brought nothing (codes that are too coarse, not too narrow a search)."""
    last = [_deepest(one) for one in tried[-3:]]
    return len(last) == 3 and last[0] > 0 and last[-1] - last[0] < 0.002


def _deepest(one: Recall) -> float:
    return one.at[f"R@{DEPTHS[-1]}"]


def _say(chosen: Recall, factory: Factory) -> None:
    scores = ", ".join(f"{name} {value:.4f}" for name, value in chosen.at.items())
    line = f"{factory.factory}{f' with {chosen.parameters}' if chosen.parameters else ''}: {scores} of exact search"
    if factory.search is None and _deepest(chosen) < factory.recall:
        line += f"; {factory.recall:g} was not reached"
    say(line)


def _sample(vectors: FlatVectors, size: int, seed: int) -> Vectors:
    return vectors.take(_numbers(vectors.count, size, seed))


def _numbers(count: int, size: int, seed: int) -> Numbers:
    """`size` of the numbers below `count`, in order, so that the disk is read forwards."""
    if size >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False, shuffle=False))


def _cells(index: Any) -> int:
    faiss = library()
    return int(faiss.extract_index_ivf(index).nlist)


def _silence(index: Any) -> None:
    """Let FAISS not warn of small samples, codebook by codebook: that is said once."""
    faiss = library()
    cells = faiss.try_extract_index_ivf(index)
    for part in (faiss.downcast_index(index), cells and faiss.downcast_index(cells)):
        for parameters in (getattr(part, "cp", None), getattr(getattr(part, "pq", None), "cp", None)):
            if parameters is not None:
                parameters.min_points_per_centroid = 1


def _write(index: Any, path: Path) -> None:
    faiss = library()
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise OSError(0, reason(error)) from error


def _impossible(factory: Factory, dimension: int, error: Exception, vectors: int | None = None) -> UsageError:
    trained = "" if vectors is None else f" (trained on {vectors:,} vectors)"
    return UsageError(
        f"FAISS cannot make an index {factory.factory!r} of {dimension} dimensions: {reason(error)}{trained}"
    )
