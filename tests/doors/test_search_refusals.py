"""What `python -m clir.search` refuses, each in one line, and outputs that cannot be."""

import hashlib
import json
import os
import re
import resource
import shutil
from pathlib import Path

import pytest

from clir.runs.trec import read_run

# What is refused, in the order of the door's checks. `search` fills in what is not said.
DENSE = ("--method", "dense", "--index", "dense", "--encoder", "MINILM")
HYBRID = ("--method", "hybrid", "--sparse-index", "sparse")
BM25 = ("--method", "bm25", "--index", "sparse")
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
        (
            ("--encoder", "nowhere"),
            "no model 'nowhere': it is neither a folder, nor a hub id (org/model), nor package.",
        ),
        (("--encoder", "sparse"), "sparse holds no model (neither modules.json nor config.json)"),
        (("--index", "nowhere"), "no index folder at nowhere"),
        (("--index", "sparse"), "sparse is no dense index (it lacks the file index or docid)"),
        (("--method", "late"), "dense is no token index (it lacks the file values or offsets): make one with"),
        (
            ("--method", "late", "--document-tokens", "9"),
            "--document-tokens cannot change for an --index that is there",
        ),
        (("--documents-by", "pupil"), "unknown reader of documents 'pupil' (known: teacher, student)"),
        (("--method", "bm25", "--documents-by", "student"), "--documents-by does not apply to --method bm25"),
        (("--query-tokens", "9"), "--query-tokens does not apply to --method dense"),
        (("--method", "late", "--query-tokens", "0"), "--query-tokens must be at least 1, not 0"),
        (("--method", "bm25"), "dense is a dense index (build one with python -m clir.index)"),
        (("--method", "hybrid"), "--method hybrid with --topics needs --sparse-index beside --index"),
        (("--method", "hybrid", "--sparse-index", "dense"), "dense is a dense index"),
        (("--topics", "no.tsv"), "--topics no.tsv: no such file, and no collection of that name"),
        (
            (*HYBRID, "--sparse-topics", "no.tsv"),
            "--sparse-topics no.tsv: no such file, and no collection of that name",
        ),
        (("--qrels", "no.txt"), "--qrels no.txt: no such file, and no collection of that name"),
        (("--topics-language", "sw"), "--topics-language goes with a collection; topics.tsv is a file"),
        (("--topics", "demo/sw", "--topics-language", "xx"), "unknown language 'xx'"),
        (("--topics", "demo/sw", "--topics-language", "yo"), "demo/sw has no topics in 'yo' (it has: sw, en)"),
        (("--qrels", "qrels.txt", "--measures", "ndcg@10"), "unknown measure 'ndcg@10'; did you mean 'nDCG@10'?"),
        (("--json",), "--json prints scores, which need judgements: add --qrels"),
        (
            (*HYBRID, "--fusion", "rff"),
            "unknown fusion method 'rff'; did you mean 'rrf'? (known: rrf, weighted, combsum, combmnz, combanz, "
            "borda, isr, logisr)",
        ),
        ((*HYBRID, "--weights", ".5", ".5"), "method rrf takes no weights (method weighted does)"),
        ((*HYBRID, "--fusion", "weighted", "--rrf.k", "9"), "--rrf.k does not apply to fusion method weighted"),
        ((*HYBRID, "--normalization", "none"), "--normalization does not apply to fusion method rrf"),
        ((*HYBRID, "--fusion", "weighted", "--normalization", "max"), "unknown normalization 'max'"),
        ((*HYBRID, "--missing", "minimum"), "--missing does not apply to fusion method rrf"),
        ((*HYBRID, "--fusion", "combsum", "--missing", "least"), "unknown rule for missing documents 'least'"),
        (("--output-format", "tsv"), "unknown form of a run 'tsv'"),
        (("--k1", "5"), "--k1 does not apply to --method dense"),
        (("--sparse-topics", "topics.tsv"), "--sparse-topics does not apply to --method dense"),
        (("--fusion", "weighted"), "--fusion does not apply to --method dense"),
        (("--depth", "3"), "--depth does not apply to --method dense"),
        (("--language", "fr"), "--language is for a BM25 --index without a manifest"),
        (("--indexes", "kept"), "--indexes (where --collection keeps its indexes) needs --collection"),
        ((*BM25, "--rrf.k", "9"), "--rrf.k does not apply to --method bm25"),
        ((*HYBRID, "--balance-languages"), "--balance-languages works for dense search alone"),
        (("--method", "late", "--b", ".5"), "--b does not apply to --method late with --first-stage auto"),
        ((*BM25, "--k1", "-1"), "BM25's k1 is a number from 0 up, not -1.0"),
        ((*BM25, "--b", "1.5"), "BM25's b is between 0 and 1, not 1.5"),
        (("--output", "dense"), "--output dense is a folder: name a file in it"),
        (("--output", "topics.tsv"), "--output topics.tsv is also one of the files to read"),
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
        ("qrels.txt", "101 0 d01\n", "qrels.txt:1: the relevance 'd01' is not an integer"),
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
    assert (
        message
        == "topic 103 has no text for the sparse side (nor have 2 more topics): both sides need the same topic ids"
    )


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
    assert message == "--output docs.jsonl/new.run cannot be written: docs.jsonl is a file, not a folder"


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
