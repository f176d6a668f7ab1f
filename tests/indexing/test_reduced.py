"""Reduced indexes: every document's vector in its place, bounded memory, and nothing half-written or out of date."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from clir.corpora.collection import Document
from clir.encoding.token_vectors import TokenVectors
from clir.indexing import reduced
from clir.indexing.fixed_dimensional import FixedDimensional
from clir.indexing.flat import FlatVectors
from clir.indexing.pooled_vectors import PooledVectors, sample_tokens
from clir.indexing.reduced import Kind, build_reduced_index, default_factory, is_current, open_reduced_index
from clir.indexing.tokens import TokenIndex, build_token_index, open_token_index
from clir.support.errors import ClirError, UsageError


class Given:
    """Has the vectors of its documents, which go by their numbers."""

    name = "given"

    def __init__(self, vectors: TokenVectors) -> None:
        self.vectors, self.dimension = vectors, vectors.dimension

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return TokenVectors.of([self.vectors[int(text)] for text in texts], self.dimension)

    encode_query_tokens = encode_document_tokens

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError

    encode_documents = encode_queries

    def token_limit(self, side: str) -> int:
        return 99

    def fingerprint(self, side: str) -> str:
        return "given"


def index_of(vectors: TokenVectors, folder: Path, name: str = "index") -> TokenIndex:
    documents = [Document(f"d{number}", str(number)) for number in range(len(vectors))]
    return build_token_index(lambda: iter(documents), Given(vectors), folder / name, storage="float32")


def drawn(lengths: Sequence[int], dimension: int, seed: int) -> TokenVectors:
    vectors = TokenVectors.empty(lengths, dimension)
    vectors.values[:] = np.random.default_rng(seed).normal(size=vectors.values.shape)
    vectors.values[:] /= np.linalg.norm(vectors.values, axis=1, keepdims=True)
    return vectors


COUNTS = [(5 * number) % 7 for number in range(60)]
VECTORS = drawn(COUNTS, 8, 1)


@pytest.fixture
def index(tmp_path: Path) -> TokenIndex:
    return index_of(VECTORS, tmp_path)


def small(index: TokenIndex, kind: Kind) -> FixedDimensional | PooledVectors:
    if kind == "muvera":
        return FixedDimensional(8, planes=2, repetitions=3, projection=4, centre=sample_tokens(index, 50).mean(axis=0))
    return PooledVectors(8, sample_tokens(index, 50))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "meta.json"}


@pytest.mark.parametrize("kind", ["pooled", "muvera"])
def test_every_document_with_tokens_is_in_its_place(
    index: TokenIndex, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduction = small(index, kind)
    monkeypatch.setattr(reduced, "BLOCK_TOKENS", 20)
    monkeypatch.setattr(reduced, "BLOCK_FLOATS", 2 * reduction.width)
    built = build_reduced_index(index, reduction, threads=3)
    held = [number for number, count in enumerate(COUNTS) if count]
    assert isinstance(built.vectors, FlatVectors)
    np.testing.assert_allclose(built.vectors.vectors, reduction.documents(VECTORS)[held], atol=1e-5)
    assert built.numbers.tolist() == held
    assert (built.path / "docid").read_text() == "".join(f"d{number}\n" for number in held)
    assert open_token_index(index.path) == index, "the token index is as it was"


@pytest.mark.parametrize("kind", ["pooled", "muvera"])
def test_it_is_searched_as_it_was_built(index: TokenIndex, kind: Kind) -> None:
    reduction = small(index, kind)
    build_reduced_index(index, reduction)
    queries = drawn([4, 0, 3], 8, 2)
    found = open_reduced_index(index, kind).search(queries, 5)
    held = np.flatnonzero(COUNTS)
    products = reduction.queries(queries) @ reduction.documents(VECTORS)[held].T
    for row in (0, 2):
        assert found[row].tolist() == held[np.argsort(-products[row], kind="stable")[:5]].tolist()
    assert [len(one) for one in open_reduced_index(index, kind).search(queries, 1000)] == [len(held)] * 3


@pytest.mark.parametrize("kind", ["pooled", "muvera"])
def test_threads_change_no_byte(index: TokenIndex, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced, "BLOCK_TOKENS", 9)
    made = [contents(build_reduced_index(index, small(index, kind), threads=threads).path) for threads in (1, 4)]
    assert made[0] == made[1] and "index" in made[0]


def test_many_vectors_lie_in_cells(index: TokenIndex, tmp_path: Path) -> None:
    assert default_factory(1000, 385) == "Flat"
    assert default_factory(1_000_000, 385) == "IVF4000,SQ8"
    larger = index_of(drawn([3] * 900, 8, 4), tmp_path, "larger")
    built = build_reduced_index(larger, small(larger, "pooled"), factory="IVF9,SQ8")
    queries = drawn([3] * 30, 8, 5)
    exact = build_reduced_index(index_of(drawn([3] * 900, 8, 4), tmp_path, "flat"), small(larger, "pooled"))
    found, best = built.search(queries, 50), exact.search(queries, 50)
    assert np.mean([np.isin(one, other).mean() for one, other in zip(best, found, strict=True)]) > 0.9
    made = json.loads((built.path / "meta.json").read_text())
    assert (made["factory"]["factory"], made["recall"]["queries"]["from"]) == ("IVF9,SQ8", "runs of document tokens")
    assert sorted(path.name for path in built.path.iterdir()) == ["docid", "index", "meta.json"]


def test_the_manifest_says_how_it_was_made(index: TokenIndex) -> None:
    built = build_reduced_index(index, small(index, "muvera"))
    made = json.loads((built.path / "meta.json").read_text())
    expected = {"planes": 2, "repetitions": 3, "projection": 4, "final": None, "seed": 0, "centred": True}
    assert made["reduction"] == {"name": "muvera", **expected, "drawn": small(index, "muvera").digest}
    assert (made["documents"], made["dimension"], made["factory"]) == (len(built.numbers), 60, {"factory": "Flat"})


@pytest.mark.parametrize("kind", ["pooled", "muvera"])
def test_vectors_of_another_token_index_are_noticed(index: TokenIndex, kind: Kind, tmp_path: Path) -> None:
    other = index_of(drawn(COUNTS[::-1], 8, 3), tmp_path, "other")
    built = build_reduced_index(index, small(index, kind))
    shutil.copytree(built.path, other.path / kind)
    assert is_current(index, kind) and not is_current(other, kind)
    with pytest.raises(ClirError, match=rf"other/{kind} was made of other token vectors than .*other holds: build it"):
        open_reduced_index(other, kind)


def test_encoding_a_collection_again_takes_its_reduced_vectors_away(index: TokenIndex, tmp_path: Path) -> None:
    build_reduced_index(index, small(index, "pooled"))
    again = index_of(drawn([2, 3], 8, 3), tmp_path)
    assert again.path == index.path and not is_current(again, "pooled")
    with pytest.raises(UsageError, match="index has no pooled vectors yet"):
        open_reduced_index(again, "pooled")


def test_random_numbers_that_are_not_the_same_any_more_are_noticed(
    index: TokenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_reduced_index(index, small(index, "muvera"))
    drawn_now = FixedDimensional._planes.func  # type: ignore[attr-defined]
    monkeypatch.setattr(FixedDimensional, "_planes", property(lambda self: drawn_now(self) + 1))
    with pytest.raises(ClirError, match="made with random numbers of another version of numpy: build it again"):
        open_reduced_index(index, "muvera")


def test_what_cannot_be_is_refused(index: TokenIndex, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown reduction 'poled'; did you mean 'pooled'"):
        build_reduced_index(index, "poled")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="FAISS cannot make an index 'IVF' of 9 dimensions"):
        build_reduced_index(index, small(index, "pooled"), factory="IVF")
    assert not (index.path / "pooled").exists(), "nothing is left of it"
    empty = index_of(TokenVectors.empty([0, 0], 8), tmp_path, "empty")
    with pytest.raises(ClirError, match="empty has no document with tokens"):
        build_reduced_index(empty, "pooled")
    build_reduced_index(index, small(index, "pooled"))
    (index.path / "pooled" / "meta.json").write_text(json.dumps({"token index": reduced.fingerprint(index)}))
    with pytest.raises(ClirError, match=r"is not the manifest of pooled vectors \('reduction'\)"):
        open_reduced_index(index, "pooled")


@pytest.mark.parametrize("kind", ["pooled", "muvera"])
def test_memory_does_not_grow_with_the_collection(tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced, "BLOCK_TOKENS", 256)
    peaks = []
    for documents in (400, 4000):
        index = index_of(drawn([8] * documents, 16, 1), tmp_path, str(documents))
        anchors = sample_tokens(index, 64)
        reduction = PooledVectors(16, anchors) if kind == "pooled" else FixedDimensional(16, 3, 4, 4)
        tracemalloc.start()
        build_reduced_index(index, reduction, threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 3,600 documents more: their vectors take 1 to 2 MB; docids and offsets, which grow, about .3 MB.
    assert peaks[1] - peaks[0] < 600_000, peaks


KILLED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from clir.indexing import reduced
from clir.indexing.tokens import open_token_index
from test_reduced import small

index = open_token_index(sys.argv[1])
reduced.BLOCK_TOKENS = 9
reduction = small(index, sys.argv[2])

class Slow(type(reduction)):
    def documents(self, vectors):
        if os.environ.get("SLOW"):
            time.sleep(.3)
        return super().documents(vectors)

object.__setattr__(reduction, "__class__", Slow)
reduced.build_reduced_index(index, reduction, threads=1)
"""


@pytest.mark.parametrize("kind", ["muvera"])
def test_a_kill_leaves_nothing_half_written(index: TokenIndex, kind: Kind, tmp_path: Path) -> None:
    script = tmp_path / "build.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, str(script), str(index.path), kind]
    killed = subprocess.Popen(command, env=os.environ | {"SLOW": "1"}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    # More than its header: some documents are in.
    while not any(path.stat().st_size > 300 for path in index.path.glob(f".{kind}.*.partial/new/flat/index")):
        assert killed.poll() is None and time.monotonic() < deadline, killed.stderr and killed.stderr.read()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (index.path / kind).exists() and not is_current(index, kind)
    assert open_token_index(index.path) == index

    subprocess.run(command, check=True, capture_output=True, timeout=120)
    names = sorted(path.name for path in index.path.iterdir())
    assert names == ["docid", "meta.json", kind, "offsets", "values"], "what the killed run left is gone"
    assert is_current(index, kind)


@pytest.fixture
def read_only(index: TokenIndex, tmp_path: Path) -> Iterator[TokenIndex]:
    """The index where nothing can be written: root, whom no mode stops, has it on a file system that is read-only."""
    place = tmp_path / "read-only"
    if os.geteuid() != 0:
        shutil.copytree(index.path, place)
        place.chmod(0o555)
        yield open_token_index(place)
        place.chmod(0o755)
        return
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    try:
        shutil.copytree(index.path, place, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield open_token_index(place)
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("kind", ["pooled", "muvera"])
def test_where_nothing_can_be_written_the_cache_keeps_it(
    read_only: TokenIndex, index: TokenIndex, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "cache"))
    queries = drawn([4, 1, 3], 8, 2)
    built = build_reduced_index(read_only, small(read_only, kind))
    (key,) = (tmp_path / "cache" / "reduced").iterdir()
    assert built.path == key / kind and is_current(read_only, kind)
    found = open_reduced_index(read_only, kind).search(queries, 5)
    within = build_reduced_index(index, small(index, kind))
    assert within.path == index.path / kind and contents(within.path) == contents(built.path)
    for one, other in zip(found, within.search(queries, 5), strict=True):
        np.testing.assert_array_equal(one, other)
    other = index_of(drawn(COUNTS[1:], 8, 3), tmp_path, "other")
    assert not is_current(other, kind), "what is cached is of one index alone"
    assert [path.name for path in key.iterdir()] == [kind]
