"""`python -m clir.search` as a person calls it: runs from indexes and from collections, scores, and refusals."""

import gzip
import hashlib
import itertools
import json
import os
import re
import resource
import shutil
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


def test_hc4_without_its_documents_says_where_they_come_from(refusal, shared_data, tmp_path):
    # Home is no part of the folder that must stay as it is: ir_datasets makes folders there.
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    for name in ("dev.topics.v1-0.jsonl", "fas/dev.qrels.v1-0.txt"):
        (home / "hc4" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared_data / "hc4" / name, home / "hc4" / name)
    environment = {**os.environ, "IR_DATASETS_HOME": str(home), "IR_DATASETS_DL_TRIES": "1"}
    options = ("--collection", "hc4/fa/dev", "--method", "bm25", "--output", "fa.run", "--indexes", "../home/indexes")
    message = refusal(work, "search", *options, status=1, env=environment)
    assert message.startswith(
        "the documents of hc4/fa/dev are not on this machine, and not for ir_datasets to download"
    )
    assert message.endswith("how to get them: https://ir-datasets.com/hc4.html")


# What is refused, in the order of the door's checks. `search` fills in what is not said.
DENSE = ("--method", "dense", "--index", "dense", "--encoder", "MINILM")
QUICK = ("--method", "dense", "--index", "quick-index", "--encoder", "quick:Encoder")


@pytest.fixture
def refused(refusal, library, minilm, desk):
    """Refuses in a copy of the library, with an earlier run at the output."""
    for name in ("dense", "sparse"):
        shutil.copytree(library / name, desk / name)
    (desk / "earlier.run").write_text("1 Q0 d01 1 1.0 earlier\n")

    def refuse(*options: str, status: int, **more: object) -> str:
        filled = [str(minilm) if option == "MINILM" else option for option in options]
        return refusal(desk, "search", *filled, status=status, **more)

    return refuse


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "densse"), "unknown method 'densse'; did you mean 'dense'? (known: bm25, dense, late, hybrid)"),
        (("--hits", "0"), "--hits must be at least 1, not 0"),
        (("--runtag", "a b"), "run tag 'a b': a tag is one word without white space"),
        (("--collection", "demo/sw"), "say what to search: either --collection, or --topics with --index"),
        (("--encoder", "nowhere"), "no model at 'nowhere': not a folder, not a hub id (org/model), not package."),
        (("--encoder", "sparse"), "sparse holds no model (neither modules.json nor config.json)"),
        (("--index", "nowhere"), "no index folder at nowhere"),
        (("--index", "sparse"), "sparse is no dense index (it lacks the file index or docid)"),
        (("--method", "late"), "dense is no token index (it lacks the file values or offsets): make one with"),
        (("--method", "late", "--document-tokens", "9"), "--document-tokens was decided when --index was made"),
        (("--query-tokens", "9"), "--query-tokens means nothing to --method dense"),
        (("--method", "late", "--query-tokens", "0"), "--query-tokens must be at least 1, not 0"),
        (("--method", "bm25"), "dense is a dense index (build one with python -m clir.index)"),
        (("--method", "hybrid"), "--method hybrid with --topics needs --sparse-index beside --index"),
        (("--method", "hybrid", "--sparse-index", "dense"), "dense is a dense index"),
        (("--topics", "no.tsv"), "--topics no.tsv: no such file, and no collection of that name"),
        (("--sparse-topics", "no.tsv"), "--sparse-topics no.tsv: no such file, and no collection of that name"),
        (("--qrels", "no.txt"), "--qrels no.txt: no such file, and no collection of that name"),
        (("--topics-language", "sw"), "--topics-language goes with a collection; topics.tsv is a file"),
        (("--topics", "demo/sw", "--topics-language", "xx"), "unknown language 'xx'"),
        (("--topics", "demo/sw", "--topics-language", "yo"), "demo/sw has no topics in 'yo' (it has: sw, en)"),
        (("--qrels", "qrels.txt", "--measures", "ndcg@10"), "unknown measure 'ndcg@10'; did you mean 'nDCG@10'?"),
        (("--json",), "--json prints scores, but there are no judgements: add --qrels"),
        (
            ("--fusion", "rff"),
            "unknown fusion method 'rff'; did you mean 'rrf'? (known: rrf, weighted, combsum, combmnz, combanz, "
            "borda, isr, logisr)",
        ),
        (("--weights", ".5", ".5"), "method rrf takes no weights (method weighted does)"),
        (("--fusion", "weighted", "--rrf.k", "9"), "--rrf.k means nothing to fusion method weighted"),
        (("--normalization", "none"), "--normalization means nothing to fusion method rrf"),
        (("--fusion", "weighted", "--normalization", "max"), "unknown normalization 'max'"),
        (("--missing", "minimum"), "--missing means nothing to fusion method rrf"),
        (("--fusion", "combsum", "--missing", "least"), "unknown rule for missing documents 'least'"),
        (("--output-format", "tsv"), "unknown form of a run 'tsv'"),
        (("--k1", "-1"), "BM25's k1 is a number from 0 up, not -1.0"),
        (("--b", "1.5"), "BM25's b is between 0 and 1, not 1.5"),
        (("--output", "dense"), "--output dense is a folder: name a file in it"),
        (("--output", "topics.tsv"), "--output topics.tsv is one of the files to read"),
    ],
)
def test_wrong_use(refused, options, message):
    defaults = ("--topics", "topics.tsv", *DENSE, "--output", "earlier.run")
    assert message in refused(*defaults, *options, status=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--collection", "demo/swa/test"), "unknown collection 'demo/swa/test'; did you mean demo/sw"),
        (("--collection", "demo/sw", "--topics-language", "yo"), "demo/sw has no topics in 'yo' (it has: sw, en)"),
        (("--collection", "demo/sw", "--sparse-topics-language", "xx"), "unknown language 'xx'"),
        (("--collection", "demo/sw", "--index", "dense"), "--collection finds its own indexes: leave out --index"),
        (("--collection", "demo/sw", "--sparse-topics", "topics.tsv"), "a collection has --sparse-topics-language"),
        (("--collection", "demo/sw", "--analyzer", "porter"), "unknown analyzer 'porter'"),
        (("--topics", "demo/sw"), "--topics needs --index (and hybrid --sparse-index)"),
        (("--collection", "demo/sw", "--method", "dense"), "--method dense needs --encoder"),
    ],
)
def test_wrong_use_of_collections(refused, options, message):
    assert message in refused("--method", "bm25", "--output", "earlier.run", *options, status=2)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("topics.tsv", "", "topics.tsv has no topics"),
        ("topics.tsv", "1\tone\n2\t \n", "topics.tsv:2: topic 2 has no text"),
        ("topics.tsv", "1\tone\n2 two\n", "topics.tsv:2: no tab; a line of topics is: id, tab, text"),
        ("topics.tsv", "1\tone\n1\ttwo\n", "topics.tsv:2: topic 1 is there twice"),
        ("topics.tsv", "1 a\tone\n", "topics.tsv:1: the topic id has white space"),
        ("qrels.txt", "", "qrels.txt is empty"),
        ("qrels.txt", "101 0 d01\n", "qrels.txt:1: 3 columns, not the 4 of qid iteration docid relevance"),
        ("qrels.txt", "101 0 d01 1\n101 0 d01 0\n", "qrels.txt:2: document d01 a second time for topic 101"),
        ("qrels.txt", "7 0 d01 1\n", "no topic is judged: the topics are 101, 102, 103, ..., the qrels are for 7, ..."),
        ("dense/docid", "d01\n", "dense is broken: 20 vectors but 1 docids"),
        ("dense/index", "not an index", "dense/index is not a FAISS index"),
        ("dense/meta.json", "[", "dense/meta.json is not a manifest"),
    ],
)
def test_bad_files(refused, desk, file, content, message):
    (desk / file).write_text(content)
    options = ("--topics", "topics.tsv", *DENSE, "--qrels", "qrels.txt", "--output", "earlier.run")
    assert message in refused(*options, status=1)


def test_an_index_of_another_model(refused, desk):
    options = ("--topics", "topics.tsv", "--index", "dense", "--encoder", "quick:Encoder", "--method", "dense")
    message = refused(*options, "--output", "earlier.run", status=1)
    made = json.loads((desk / "dense/meta.json").read_text())["encoder fingerprint"]
    assert message == (
        f"dense was made by another model (document fingerprint {made}) than quick (quick-1); "
        "encode the collection again with this model"
    )
    # Pyserini's own indexes have no manifest: there the number of dimensions is all that can be checked.
    (desk / "dense/meta.json").unlink()
    assert refused(*options, "--output", "earlier.run", status=1) == "dense has 384 dimensions, quick gives 8"


def test_a_topic_without_text_for_the_sparse_side(refused, desk):
    (desk / "some.tsv").write_text("101\tmaji salama\n102\tbasi\n")
    options = (
        "--topics",
        "topics.tsv",
        *DENSE,
        "--method",
        "hybrid",
        "--sparse-index",
        "sparse",
        "--output",
        "new.run",
    )
    message = refused(*options, "--sparse-topics", "some.tsv", status=2)
    assert message == "topic 103 has no text for the sparse side (3 such topics)"


def test_nothing_found_is_a_failure_and_no_run(refused, desk):
    (desk / "topics.tsv").write_text("1\tzzz qqq\n")
    options = ("--topics", "topics.tsv", "--index", "sparse", "--method", "bm25", "--output", "earlier.run")
    assert refused(*options, status=1) == "nothing to write to earlier.run: the run has no hit for any topic"


def small_files() -> None:
    """No file may grow beyond 1,000 bytes: a full disk, but for the error's name."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.fixture
def quick_index(desk, door) -> Path:
    """An index by the quick encoder beside the library's files."""
    options = ("--corpus", "docs.jsonl", "--encoder", "quick:Encoder", "--output", "quick-index")
    assert door("encode", *options, cwd=desk).returncode == 0
    return desk


@pytest.mark.parametrize("name", ["new.run", "earlier.run", "new.run.gz", "sub/new.run"])
def test_no_space_left(quick_index, refusal, name):
    (quick_index / "earlier.run").write_text("1 Q0 d01 1 1.0 earlier\n")
    (quick_index / "sub").mkdir()
    options = ("--topics", "topics.tsv", *QUICK, "--output", name)
    message = refusal(quick_index, "search", *options, status=1, preexec_fn=small_files)
    # Whichever comes first, the run or its manifest: neither is there.
    assert re.match(rf"cannot write {re.escape(name)}(\.meta\.json)?: File too large", message)


def test_an_output_that_cannot_be(quick_index, refusal):
    options = ("--topics", "topics.tsv", *QUICK, "--output", "docs.jsonl/new.run")
    message = refusal(quick_index, "search", *options, status=2)
    assert message == "--output docs.jsonl/new.run cannot be: docs.jsonl is a file"


def test_a_run_takes_the_place_of_an_earlier_one(quick_index, door):
    (quick_index / "new.run").write_text("earlier")
    done = door("search", "--topics", "topics.tsv", *QUICK, "--output", "new.run", cwd=quick_index)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "new.run: 100 hits for 5 topics\n"
    assert len(read_run(quick_index / "new.run")) == 100
    digest = hashlib.sha256((quick_index / "new.run").read_bytes()).hexdigest()
    again = door("search", "--topics", "topics.tsv", *QUICK, "--output", "again.run", cwd=quick_index)
    assert again.returncode == 0
    assert hashlib.sha256((quick_index / "again.run").read_bytes()).hexdigest() == digest
