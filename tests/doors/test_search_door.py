"""`python -m clir.search` as a person calls it: runs from indexes and from collections, and scores."""

import gzip
import itertools
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from clir.runs.trec import read_run

METHODS = ("bm25", "dense", "hybrid")
HITS = 12
MEASURES = ("AP", "nDCG@10", "RR@10")


class Searched(NamedTuple):
    """What one call left: its process, and the path of its run."""

    done: object
    run: Path

    @property
    def manifest(self) -> dict:
        return json.loads(Path(f"{self.run}.meta.json").read_text())


@pytest.fixture(scope="module")
def call(library, minilm, door, tmp_path_factory):
    """Searches the library's indexes with all that they are, into a file of its own."""
    outputs = tmp_path_factory.mktemp("runs")

    def search(method: str, *options: str | Path, name: str = "", **more: object) -> Searched:
        run = outputs / (name or f"{method}{len(list(outputs.iterdir()))}.run")
        common = ("--topics", "topics.tsv", "--index", "dense", "--sparse-index", "sparse", "--encoder", minilm)
        limits = ("--hits", str(HITS), "--output", run)
        done = door("search", "--method", method, *common, *limits, *options, cwd=library, **more)
        assert done.returncode == 0, done.stderr
        return Searched(done, run)

    return search


@pytest.fixture(scope="module")
def searched(call) -> dict[str, Searched]:
    """One run of each method over the library, with scores; the same options do for all of them."""
    return {method: call(method, "--qrels", "qrels.txt", "--measures", *MEASURES, "--json") for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_trec_run_comes_out(searched, method):
    lines = [line.split(" ") for line in searched[method].run.read_text().splitlines()]
    assert {len(line) for line in lines} == {6}
    assert {line[1] for line in lines} == {"Q0"}
    assert {line[5] for line in lines} == {f"clir-{method}"}
    topics = list(dict.fromkeys(line[0] for line in lines))
    assert topics == ["101", "102", "103", "104", "105"]
    for qid in topics:
        ranking = [(int(rank), float(score)) for topic, _, _, rank, score, _ in lines if topic == qid]
        assert [rank for rank, _ in ranking] == list(range(1, len(ranking) + 1))
        assert all(one > other for (_, one), (_, other) in itertools.pairwise(ranking)), "no ties"
        assert len(ranking) == HITS if method != "bm25" else len(ranking) <= HITS


@pytest.mark.parametrize(("method", "least"), [("dense", 0.9), ("hybrid", 0.9), ("bm25", 0.6)])
def test_it_finds_what_was_asked_for(searched, method, least):
    scores = json.loads(searched[method].done.stdout)
    assert list(scores) == [str(searched[method].run)]
    assert list(scores[str(searched[method].run)]) == list(MEASURES)
    assert scores[str(searched[method].run)]["RR@10"] >= least


def test_scores_are_those_of_the_evaluate_door(searched, library, door):
    run = searched["hybrid"].run
    done = door("evaluate", "--qrels", "qrels.txt", "--runs", run, "--measures", *MEASURES, "--json", cwd=library)
    assert json.loads(done.stdout) == json.loads(searched["hybrid"].done.stdout)


def test_scores_as_a_table_by_default(call):
    output = call("bm25", "--qrels", "qrels.txt").done.stdout
    header, _, row = [line for line in output.splitlines() if line.strip()][:3]
    assert header.replace("|", " ").split() == ["run", "AP", "nDCG@10", "R@100"]
    assert row.split("|")[1].strip().endswith(".run")


def test_without_judgements_nothing_is_on_stdout(call):
    done = call("bm25").done
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("hits for 5 topics")


def test_hybrid_is_the_fusion_of_both_sides(searched, door, tmp_path):
    sides = searched["dense"].run, searched["bm25"].run
    tag = ("--hits", HITS, "--runtag", "clir-hybrid", "--output", tmp_path / "fused.run")
    assert door("fuse", "--runs", *sides, "--method", "rrf", *tag).returncode == 0
    assert (tmp_path / "fused.run").read_text() == searched["hybrid"].run.read_text()


def test_weighted_hybrid_with_its_own_text_for_the_sparse_side(call, door, searched, tmp_path):
    weights = ("--weights", ".7", ".3", "--hits", HITS)
    hybrid = call("hybrid", "--sparse-topics", "topics.sw.tsv", "--fusion", "weighted", *weights)
    sparse = call("bm25", "--topics", "topics.sw.tsv")
    assert sparse.run.read_text() != searched["bm25"].run.read_text()
    tag = ("--runtag", "clir-hybrid", "--output", tmp_path / "fused.run")
    fused = door("fuse", "--runs", searched["dense"].run, sparse.run, "--method", "weighted", *weights, *tag)
    assert fused.returncode == 0
    assert [line.split()[:4] for line in (tmp_path / "fused.run").read_text().splitlines()] == [
        line.split()[:4] for line in hybrid.run.read_text().splitlines()
    ]
    assert call("bm25", "--sparse-topics", "topics.sw.tsv").run.read_text() == sparse.run.read_text()


def test_hits_bound_the_run_and_change_nothing_else(call, searched):
    short, whole = read_run(call("dense", "--hits", "3").run), read_run(searched["dense"].run)
    assert all(short[qid] == whole[qid][:3] for qid in whole.topics)
    assert len(short) == 3 * 5


def test_depth_bounds_what_is_fused(call):
    run = read_run(call("hybrid", "--depth", "2", "--hits", "10").run)
    assert max(len(run[qid]) for qid in run.topics) <= 4


def test_the_tag_and_a_compressed_run(call, searched):
    run = call("dense", "--runtag", "mine-1", name="dense.run.gz").run
    plain = gzip.decompress(run.read_bytes()).decode()
    assert plain == searched["dense"].run.read_text().replace("clir-dense", "mine-1")
    assert Path(f"{run}.meta.json").exists()


def test_the_manifest_says_what_made_the_run(searched, library, minilm):
    from clir.encoding.encoder import load_encoder

    manifest = searched["hybrid"].manifest
    assert (manifest["kind"], manifest["tag"], manifest["hits"]) == ("run", "clir-hybrid", HITS)
    method = manifest["method"]
    assert (method["search"], method["k1"], method["b"]) == ("hybrid", 0.9, 0.4)
    assert method["fusion"] == {
        "method": "rrf", "rrf_k": 60.0, "weights": None, "normalization": "minmax", "depth": None,
            "sparse_depth": None, "missing": "zero",
    }  # fmt: skip
    assert method["encoder"] == str(minilm)
    assert method["query fingerprint"] == load_encoder(str(minilm)).fingerprint("query")
    documents = json.loads((library / "dense/meta.json").read_text())["documents sha256"]
    assert manifest["data"]["indexes"] == {
        "dense": {"path": "dense", "documents sha256": documents},
        "sparse": {"path": "sparse", "documents sha256": documents},
    }
    assert manifest["data"]["source"] == {"topics": "topics.tsv", "qrels": "qrels.txt"}
    assert manifest["data"]["topics"]["count"] == 5
    command = manifest["implementation"]["command"]
    assert command[command.index("--method") + 1] == "hybrid"
    assert {"clir", "torch", "faiss-cpu", "pyserini"} <= set(manifest["platform"]["software"]["libraries"])
    assert "fusion" not in searched["dense"].manifest["method"]
    assert set(searched["bm25"].manifest["data"]["indexes"]) == {"sparse"}


@pytest.mark.parametrize("settings", [("0", "1"), ("1", "2")])
def test_same_bytes_whatever_hash_seed_and_threads(call, searched, settings):
    seed, threads = settings
    run = call("hybrid", "--threads", threads, env={**os.environ, "PYTHONHASHSEED": seed}).run
    assert run.read_bytes() == searched["hybrid"].run.read_bytes()


@pytest.fixture(scope="module")
def tokens(library, minilm, door, tmp_path_factory) -> Path:
    """A token index of the library."""
    output = tmp_path_factory.mktemp("tokens") / "index"
    done = door("encode", "--tokens", "--corpus", library / "docs.jsonl", "--encoder", minilm, "--output", output)
    assert (done.returncode, done.stdout) == (0, f"{output}\n"), done.stderr
    return output


def test_late_interaction_from_an_index(call, tokens, minilm):
    measured = ("--qrels", "qrels.txt", "--measures", *MEASURES, "--json")
    searched = call("late", "--index", tokens, "--query-tokens", "32", "--threads", "1", *measured)
    scores = json.loads(searched.done.stdout)[str(searched.run)]
    assert scores["RR@10"] >= 0.9
    run = read_run(searched.run)
    assert (run.topics, len(run), run.tag) == (["101", "102", "103", "104", "105"], 5 * HITS, "clir-late")
    method = searched.manifest["method"]
    assert method.keys() == {
        "search", "threads", "token limit", "encoder", "query fingerprint", "first stage", "candidates",
    }  # fmt: skip
    assert (method["search"], method["token limit"], method["encoder"]) == ("late", 32, str(minilm))
    made = json.loads((tokens / "meta.json").read_text())
    assert searched.manifest["data"]["indexes"] == {
        "tokens": {"path": str(tokens), "documents sha256": made["documents sha256"]}
    }


def test_late_interaction_from_a_collections_id(door, minilm, tmp_path):
    options = ("--encoder", minilm, "--method", "late", "--topics-language", "en", "--json")
    command = ("--collection", "demo/sw", *options, "--document-tokens", "40", "--output", "late.run")
    done = door("search", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (index,) = (tmp_path / "indexes/demo").iterdir()
    assert re.fullmatch(r"tokens-[0-9a-f]{16}-40-[0-9a-f]{12}", index.name)
    assert json.loads(done.stdout)["late.run"]["AP"] > 0.5, "MiniLM reads English"
    made = {path: path.stat().st_mtime_ns for path in index.iterdir()}
    first = (tmp_path / "late.run").read_bytes()
    assert door("search", *command, cwd=tmp_path).returncode == 0
    assert (tmp_path / "late.run").read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in index.iterdir()} == made


@pytest.fixture(scope="module")
def collected(door, minilm, tmp_path_factory) -> Path:
    """A folder in which the demo collection was searched by its id: `hybrid.run`, and `indexes/` that it built."""
    folder = tmp_path_factory.mktemp("collected")
    options = ("--method", "hybrid", "--sparse-topics-language", "eng", "--runtag", "t", "--output", "hybrid.run")
    done = door("search", "--collection", "demo/sw", "--encoder", minilm, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "| hybrid.run |" in done.stdout, "a collection with qrels: the scores are printed"
    return folder


def test_a_collection_by_its_id_and_from_its_indexes(collected, door, minilm):
    built = sorted((collected / "indexes/demo").iterdir())
    assert [path.name.split("-")[0] for path in built] == ["bm25", "dense"]
    indexes = ("--index", built[1], "--sparse-index", built[0], "--sparse-topics-language", "en")
    common = ("--encoder", minilm, "--method", "hybrid", "--runtag", "t")
    done = door(
        "search", "--topics", "demo/sw", *indexes, *common, "--output", "again.run", "--qrels", "demo/sw", cwd=collected
    )
    assert done.returncode == 0, done.stderr
    assert (collected / "again.run").read_bytes() == (collected / "hybrid.run").read_bytes()
    assert len(read_run(collected / "again.run").topics) == 40


def test_a_collection_again_reuses_its_indexes(collected, door, minilm):
    before = {path: path.stat().st_mtime_ns for path in (collected / "indexes").rglob("*")}
    options = ("--topics-language", "en", "--method", "dense", "--json", "--output", "en.run")
    done = door("search", "--collection", "demo/sw", "--encoder", minilm, *options, cwd=collected)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (collected / "indexes").rglob("*")} == before
    english = json.loads(done.stdout)["en.run"]["AP"]
    assert english > 0.5, "MiniLM reads English"
    options = ("--topics", "demo/en", "--index", next((collected / "indexes/demo").glob("bm25-*")), "--json")
    done = door("search", "--method", "bm25", *options, "--qrels", "demo/en", "--output", "bm25.run", cwd=collected)
    assert json.loads(done.stdout)["bm25.run"]["AP"] > 0.3, "English terms in English passages"
