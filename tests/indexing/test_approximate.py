"""Approximate indexes: what FAISS makes of the flat store, its recall, and what it cannot make."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from test_dense_index import LetterEncoder, read

from clir.corpora.collection import Document
from clir.indexing import approximate
from clir.indexing.approximate import Factory, build_approximate_index
from clir.indexing.dense import DenseIndex, build_dense_index, open_dense_index
from clir.indexing.faiss_vectors import FaissVectors
from clir.indexing.flat import flat_header
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest

COUNT, WIDTH = 1500, 16


def clustered(count: int, seed: int) -> np.ndarray:
    """Unit vectors around 20 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(20, WIDTH))
    vectors = centres[rng.integers(0, 20, count)] + 0.6 * rng.normal(size=(count, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DenseIndex:
    folder = tmp_path_factory.mktemp("flat") / "store"
    folder.mkdir()
    (folder / "index").write_bytes(flat_header(WIDTH, COUNT) + clustered(COUNT, 1).tobytes())
    (folder / "docid").write_text("".join(f"d{number}\n" for number in range(COUNT)))
    (folder / "language").write_text("".join("sw\n" if number % 3 else "en\n" for number in range(COUNT)))
    made = {"kind": "dense", "encoder": "e", "encoder fingerprint": "f", "documents sha256": "s", "documents": COUNT}
    (folder / "meta.json").write_text(json.dumps(made))
    return open_dense_index(folder)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Counted document by document."""
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in zip(found, exact, strict=True)]))


@pytest.mark.parametrize(
    ("factory", "kind", "parameter"),
    [
        ("Flat", faiss.IndexFlat, ""),
        ("SQ8", faiss.IndexScalarQuantizer, ""),
        ("HNSW16", faiss.IndexHNSWFlat, "efSearch="),
        ("IVF32,SQ8", faiss.IndexIVFScalarQuantizer, "nprobe="),
        ("IVF32,PQ4x4,RFlat", faiss.IndexRefineFlat, "k_factor_rf=4,nprobe="),
    ],
)
def test_what_is_measured_is_what_a_search_then_finds(
    store: DenseIndex, tmp_path: Path, factory: str, kind: type, parameter: str
) -> None:
    queries = clustered(40, 2)
    index = build_approximate_index(store, tmp_path / "index", Factory(factory), queries=queries, queries_from="topics")
    read_back = faiss.read_index(str(index.path / "index"))
    assert isinstance(read_back, kind) and read_back.metric_type == faiss.METRIC_INNER_PRODUCT
    made = read_manifest(index.path)
    assert made["search parameters"].startswith(parameter)
    # As saved, so that Pyserini, which sets nothing, searches like this too.
    _, numbers = read_back.search(queries, 100)
    _, exact = store.vectors().search(queries, 100)
    assert made["recall"]["R@100"] == pytest.approx(recall(numbers, exact), abs=0.002)
    assert made["recall"]["R@10"] == pytest.approx(recall(numbers[:, :10], exact[:, :10]), abs=0.004)
    assert made["recall"]["R@100"] >= 0.95
    assert made["recall"]["queries"] == {"number": 40, "from": "topics", "seed": 0}


def test_the_folder_is_that_of_the_flat_index_with_another_index(store: DenseIndex, tmp_path: Path) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory("SQ8", sample=200, seed=5))
    for name in ("docid", "language"):
        assert (index.path / name).read_bytes() == (store.path / name).read_bytes()
    made = read_manifest(index.path)
    assert (made["kind"], made["encoder"], made["documents sha256"], made["documents"]) == ("dense", "e", "s", COUNT)
    assert made["trained"] == {"vectors": 200, "of": COUNT, "seed": 5}
    assert made["factory"] == dataclasses.asdict(Factory("SQ8", sample=200, seed=5))
    assert (index.encoder, index.documents_fingerprint, index.flat) == ("f", "s", None)


def test_documents_that_stand_for_queries_do_not_find_themselves(store: DenseIndex, tmp_path: Path) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory("IVF32,Flat", search="nprobe=1"))
    made = read_manifest(index.path)["recall"]
    assert made["queries"] == {"number": 256, "from": "documents", "seed": 0}
    chosen = approximate._numbers(COUNT, 256, 1)
    vectors = store.flat.vectors[chosen]
    lists = [store.vectors().search(vectors, 101)[1], FaissVectors(index.path / "index").search(vectors, 101)[1]]
    exact, found = ([set(row) - {own, -1} for row, own in zip(one, chosen, strict=True)] for one in lists)
    assert made["R@100"] == pytest.approx(
        np.mean([len(a & b) / 100 for a, b in zip(exact, found, strict=True)]), abs=0.01
    )
    assert made["R@100"] < 0.9, "one cell is not enough, or this shows nothing"


def test_effort_is_doubled_up_to_the_recall_that_is_wanted(
    store: DenseIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory("IVF64,Flat", recall=0.9))
    made = read_manifest(index.path)
    tried = made["recall"]["tried"]
    assert [one["parameters"] for one in tried] == [f"nprobe={1 << at}" for at in range(len(tried))]
    assert [one["at"]["R@100"] >= 0.9 for one in tried] == [False] * (len(tried) - 1) + [True]
    assert made["search parameters"] == tried[-1]["parameters"]
    said = f"IVF64,Flat with {tried[-1]['parameters']}: R@10 {tried[-1]['at']['R@10']:.4f}, R@100"
    assert said in capsys.readouterr().err


def test_codes_that_are_too_coarse_are_said_to_be(
    store: DenseIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory("IVF32,PQ2x2"))
    assert "; 0.95 was not reached" in capsys.readouterr().err
    tried = read_manifest(index.path)["recall"]["tried"]
    best = max(one["at"]["R@100"] for one in tried)
    chosen = read_manifest(index.path)["search parameters"]
    assert chosen == next(one["parameters"] for one in tried if one["at"]["R@100"] == best)


def test_the_same_bytes_come_out_again_and_another_seed_gives_others(store: DenseIndex, tmp_path: Path) -> None:
    made = [
        build_approximate_index(store, tmp_path / str(at), Factory("IVF16,SQ8", sample=700, seed=seed)).path / "index"
        for at, seed in enumerate((0, 0, 1))
    ]
    assert made[0].read_bytes() == made[1].read_bytes() != made[2].read_bytes()


def test_vectors_are_added_piece_by_piece(store: DenseIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_approximate_index(store, tmp_path / "whole", Factory("IVF16,SQ8"))
    monkeypatch.setattr(approximate, "ADD_BLOCK", 4 * WIDTH * 70)
    pieces = build_approximate_index(store, tmp_path / "pieces", Factory("IVF16,SQ8"))
    assert (whole.path / "index").read_bytes() == (pieces.path / "index").read_bytes()


def test_building_parameters_are_set_before_vectors_come(store: DenseIndex, tmp_path: Path) -> None:
    index = build_approximate_index(
        store, tmp_path / "index", Factory("HNSW8", build="efConstruction=17", search="efSearch=99")
    )
    graph = faiss.read_index(str(index.path / "index")).hnsw
    assert (graph.efConstruction, graph.efSearch) == (17, 99)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Factory("Nonsense"), "FAISS cannot make an index 'Nonsense' of 16 dimensions: could not parse index string"),
        (Factory("PQ5"), "cannot make an index 'PQ5' of 16 dimensions: The dimension of the vector"),
        (Factory("PCA64,Flat"), "cannot make an index 'PCA64,Flat' of 16 dimensions: PCA matrix cannot output 64"),
        (Factory("IVF4096,Flat"), "IVF4096,Flat has 4,096 cells, but there are only 1,500 vectors to train them on"),
        (Factory("IVF64,Flat", sample=9), "has 64 cells, but there are only 9 vectors to train them on"),
        (Factory("SQ8", search="nprobe=3"), r"this index has no parameter nprobe \(it has: none\)"),
        (Factory("HNSW8", search="nprobe=3"), r"this index has no parameter nprobe \(it has: efSearch\)"),
        (
            Factory("HNSW8", search="efSearch"),
            "index parameters must be name=number, with commas between, such as nprobe=16",
        ),
        (Factory("HNSW8", build="efSearch=x"), "index parameters must be name=number"),
    ],
)
def test_what_faiss_cannot_make_leaves_nothing(
    store: DenseIndex, tmp_path: Path, factory: Factory, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_approximate_index(store, tmp_path / "index", factory)
    assert list(tmp_path.iterdir()) == []


def test_only_from_a_flat_index_and_not_over_itself(store: DenseIndex, tmp_path: Path) -> None:
    coded = build_approximate_index(store, tmp_path / "coded", Factory("SQ8"))
    with pytest.raises(
        UsageError, match="coded is not a flat index: its vectors can no longer be read, so name the flat one"
    ):
        build_approximate_index(coded, tmp_path / "again", Factory("HNSW8"))
    with pytest.raises(UsageError, match="is the index that this one is made from"):
        build_approximate_index(store, store.path, Factory("HNSW8"))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_documents(tmp_path: Path, count: int) -> None:
    documents = [Document(f"d{number}", "abc"[: number % 4]) for number in range(count)]
    flat = build_dense_index(read(documents), LetterEncoder(), tmp_path / "flat")
    index = build_approximate_index(flat, tmp_path / "index", Factory("HNSW8"))
    assert read_manifest(index.path)["recall"]["R@100"] == 1.0


@pytest.mark.parametrize("factory", ["SQ8", "HNSW16", "IVF32,SQ8", "PCA8,IVF16,Flat", "IVF32,PQ4x4,RFlat"])
def test_a_part_of_the_documents_is_searched(store: DenseIndex, tmp_path: Path, factory: str) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory(factory))
    chosen = np.arange(COUNT) % 10 == 0
    queries = clustered(20, 4)
    scores, numbers = index.vectors().search(queries, 50, chosen)
    assert chosen[numbers[numbers >= 0]].all()
    exact = store.vectors().search(queries, 50, chosen)[1]
    # PCA to half of the dimensions is rough.
    assert recall(numbers, exact) > (0.5 if factory.startswith("PCA") else 0.9)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_an_index_that_faiss_cannot_search_in_part(store: DenseIndex, tmp_path: Path) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory("PQ4x4"))
    with pytest.raises(ClirError, match=r"FAISS cannot search a part of .* \(IndexPQ\): use the flat index"):
        index.vectors().search(clustered(2, 4), 5, np.arange(COUNT) < 9)


def test_an_index_that_ranks_by_distance_is_refused(store: DenseIndex, tmp_path: Path) -> None:
    wrong: Any = faiss.IndexFlatL2(WIDTH)
    wrong.add(clustered(COUNT, 1))
    (tmp_path / "index").mkdir()
    faiss.write_index(wrong, str(tmp_path / "index/index"))
    (tmp_path / "index/docid").write_bytes((store.path / "docid").read_bytes())
    with pytest.raises(ClirError, match=r"index ranks by L2 distance: clir ranks by inner product"):
        open_dense_index(tmp_path / "index").vectors()


# Each of these ended the process, searched for ever, or made an index by distances.
FATAL = (
    "HNSW0", "HNSW1", "HNSW00", "HNSW01", "IVF4_HNSW0,Flat", "IVF4_HNSW1,Flat", "IVF4(HNSW0),Flat", "PCA8,HNSW0",
    "OPQ8,HNSW1", "Flat,Refine(HNSW0)", "NSG0", "NSG1", "IVF0,Flat", "RR0,Flat", "PQ0", "PQ8x0", "PQ8x4fs_0", "RQ0x8",
    "RQ4x0", "LSQ0x8", "SQ0", "PCA0,Flat", "PQ8x24", "IVF999999999999,Flat", "HNSW99999999", "IDMap,Flat",
    "IDMap2,IVF4,Flat", "HNSW32,IDMap", "HNSW32_PQ8", "HNSW_16+PQ8", "LSH", "IMI2x4,Flat", "", " ", "Flat,,",
    "IVF-1,Flat", "BIVF4",
)  # fmt: skip


def test_no_factory_string_ends_the_process() -> None:
    code = (
        "import sys\n"
        "from clir.indexing.approximate import Factory, check_factory\n"
        "from clir.support.errors import UsageError\n"
        "for one in sys.argv[1:]:\n"
        "    try: check_factory(Factory(one), 32); print('made', repr(one))\n"
        "    except UsageError as error: print(len(str(error).splitlines()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *FATAL], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout.split("\n")) == (0, ["1"] * len(FATAL) + [""]), done.stderr


@pytest.mark.parametrize(
    "factory",
    [
        "Flat", "HNSW32", "HNSW16,Flat", "HNSW16_SQ8", "HNSW16,SQ8", "HNSW2", "NSG16", "IVF16,Flat", "IVF16_HNSW8,Flat",
        "IVF16(HNSW8),SQ8", "IVF1,Flat", "SQ4", "SQ6", "SQ8", "SQfp16", "SQbf16", "IVF16,SQfp16", "PQ4x4", "PQ4x4fs",
        "IVF16,PQ4x4fs,RFlat", "PQ4x4,Refine(SQ8)", "OPQ4,PQ4x4", "PCA8,Flat", "PCAR8,SQ8", "L2norm,Flat", "RR8,Flat",
        "Pad32,Flat", "RaBitQ", "IVF16,RaBitQ", "RQ2x4",
    ],
)  # fmt: skip
def test_what_people_write_makes_an_index(store: DenseIndex, tmp_path: Path, factory: str) -> None:
    index = build_approximate_index(store, tmp_path / "index", Factory(factory))
    _, numbers = index.vectors().search(clustered(5, 4), 10)
    assert (numbers >= 0).all() and (numbers < COUNT).all()
