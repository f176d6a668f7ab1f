"""Lucene indexes: what is built, what is refused, and that nothing half-built stays."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unicodedata import normalize

import pytest

from clir.corpora.collection import Document, Topic
from clir.indexing import analyzers, lucene
from clir.indexing.documents import documents_fingerprint
from clir.indexing.lucene import build_lucene_index, open_lucene_index
from clir.retrieval.bm25 import BM25Searcher
from clir.support import jvm
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest

DOCUMENTS = [
    Document("001", "The well behind the school gives clean water"),
    Document("NA", "Goats graze on the hill", "Farming"),
    Document("null", " \t\n"),
    Document("d😀", "A bus leaves for the coast at noon 😀"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_lucene_index(iter(DOCUMENTS), tmp_path_factory.mktemp("built") / "index", "eng", source="four.jsonl")


def contents(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def terms_of(index: Path) -> set[str]:
    reader = jvm.java_class("io.anserini.index.IndexReaderUtils")
    found = reader.getTerms(reader.getReader(str(index)))
    return {found.next().getTerm() for _ in iter(found.hasNext, False)}


def test_manifest_and_fingerprint(built: Path) -> None:
    manifest = read_manifest(built)
    assert {name: manifest[name] for name in ("kind", "language", "analyzer", "documents", "documents with text")} == {
        "kind": "lucene", "language": "en", "analyzer": "en", "documents": 4, "documents with text": 3,
    }  # fmt: skip
    assert manifest["anserini"] == jvm.anserini_version()
    assert manifest["data"] == {"source": "four.jsonl"}
    index = open_lucene_index(built)
    assert (index.language, index.analyzer, index.documents) == ("en", "en", 4)
    assert index.documents_fingerprint == documents_fingerprint(DOCUMENTS)


def test_terms_are_the_english_analyzers(built: Path) -> None:
    # Title and text, stemmed by Porter's rules, without "the"; nothing of the document without text.
    expected = "well behind school give clean water goat graze hill farm bu leav coast noon 😀"
    assert terms_of(built) == set(expected.split())


def test_documents_without_text_are_counted_aloud(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_lucene_index(DOCUMENTS, tmp_path / "index", "en")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("1 of 4 documents have no text; BM25 cannot find them\n")
    with pytest.raises(ClirError, match=r"none of the 2 documents has any text"):
        build_lucene_index([Document("a", ""), Document("b", "\x01 ")], tmp_path / "none", "en")
    with pytest.raises(ClirError, match="no documents"):
        build_lucene_index([], tmp_path / "none", "en")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_analyzer_table_is_anserinis() -> None:
    table = jvm.java_class("io.anserini.analysis.AnalyzerMap").analyzerMap
    assert {*table.keySet().toArray(), "en"} == set(analyzers.WITH_ANALYZER)


@pytest.mark.parametrize("language", ["sw", "swa", "so", "yo", "ha", "tl", "mr"])
def test_language_without_analyzer_is_refused(language: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no analyzer for '\w+': choose with --analyzer: unicode .* whitespace .* zh$"
    ):
        build_lucene_index(DOCUMENTS, tmp_path / "index", language)
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown analyzer 'whitespaces'; did you mean 'whitespace'"):
        build_lucene_index(DOCUMENTS, tmp_path / "index", "sw", analyzer="whitespaces")
    for name in ("subwords", "subwords:"):
        with pytest.raises(UsageError, match="needs a model: its folder or hub id"):
            build_lucene_index(DOCUMENTS, tmp_path / "index", "sw", analyzer=name)
    with pytest.raises(UsageError, match="unknown language"):
        build_lucene_index(DOCUMENTS, tmp_path / "index", "xx", analyzer="standard")
    with pytest.raises(UsageError, match="unknown part to store"):
        build_lucene_index(DOCUMENTS, tmp_path / "index", "en", store=["everything"])
    with pytest.raises(UsageError, match="threads"):
        build_lucene_index(DOCUMENTS, tmp_path / "index", "en", threads=0)


@pytest.mark.parametrize(
    ("analyzer", "expected"),
    [
        ("unicode", {"maji", "safi", "ni", "uhai", "ya", "kisima"}),
        ("whitespace", {"Maji", "safi", "ni", "uhai,", "maji", "ya", "kisima"}),
        ("standard", {"maji", "safi", "ni", "uhai", "ya", "kisima"}),
    ],
)
def test_analyzers_for_any_language(analyzer: str, expected: set[str], tmp_path: Path) -> None:
    documents = [Document("1", "Maji safi ni uhai, maji ya kisima")]
    index = build_lucene_index(documents, tmp_path / "index", "swa", analyzer=analyzer)
    assert terms_of(index) == expected
    assert open_lucene_index(index, language="sw").analyzer == analyzer


def test_stored_parts(tmp_path: Path) -> None:
    index = build_lucene_index(DOCUMENTS, tmp_path / "index", "en", store=lucene.STORABLE, optimize=True, threads=1)
    searcher = jvm.java_class("io.anserini.search.SimpleSearcher")(str(index))
    assert searcher.doc_contents("NA") == "Farming Goats graze on the hill"
    assert json.loads(searcher.doc_raw("NA"))["id"] == "NA"
    searcher.close()


SENTENCES = {
    "yo": ("Ọjà ńlá wà nítòsí odò", "oja", "ọjà"),
    "mr": ("विहिरीचे पाणी स्वच्छ आहे।", "पाणि", "पाणी"),
    "am": ("ገበያው፡በወንዙ፡አጠገብ፡ነው።", "ገበያ", "ገበያው"),
    "my": ("ရေတွင်းက ရွာထဲမှာ ရှိတယ်", "ဈေး", "ရေတွင်း"),
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_found_by_its_words(language: str, tmp_path: Path) -> None:
    sentence, other, word = SENTENCES[language]
    documents = [Document("1", sentence), Document("2", "123")]
    index = build_lucene_index(documents, tmp_path / "index", language, analyzer="unicode", threads=1)
    run = BM25Searcher(index).search([Topic("it", f"{word}?"), Topic("decomposed", normalize("NFD", word)),
                                      Topic("other", other), Topic("none", "።")], 5)  # fmt: skip
    assert {qid: [hit.docid for hit in run[qid]] for qid in run} == {"it": ["1"], "decomposed": ["1"]}
    if language == "yo":
        folded = build_lucene_index(documents, tmp_path / "folded", "yo", analyzer="unicode-folded", threads=1)
        assert BM25Searcher(folded).search([Topic("it", word), Topic("other", other)], 5).topics == ["it", "other"]


def test_subwords_are_cut_by_the_tokenizer_that_the_index_keeps(minilm: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "tokenizer.json").write_bytes((minilm / "tokenizer.json").read_bytes())
    name = f"subwords:{model}"
    index = build_lucene_index(DOCUMENTS, tmp_path / "index", "sw", analyzer=name, threads=1)
    manifest = read_manifest(index)
    assert (manifest["analyzer"], manifest["data"]["tokenizer"]) == ("subwords", str(model))
    before = contents(index)
    build_lucene_index(DOCUMENTS, index, "sw", analyzer=name, threads=1)
    assert contents(index) == before
    assert BM25Searcher(index, analyzer=name).search([Topic("1", "GOATS?"), Topic("2", "?")], 5).topics == ["1"]
    settings = json.loads((model / "tokenizer.json").read_text())
    settings["normalizer"] = None
    (model / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match=f"{index} was made with another tokenizer than that of {model}"):
        open_lucene_index(index, analyzer=name)
    with pytest.raises(UsageError, match="was built with the analyzer 'subwords', not 'unicode'"):
        open_lucene_index(index, analyzer="unicode")
    # The model may go; the index's own copy may not change.
    (model / "tokenizer.json").unlink()
    assert len(BM25Searcher(index).search([Topic("1", "goats")], 5)) == 1
    (index / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(ClirError, match=r"tokenizer\.json is not the tokenizer that the index was made with: build"):
        BM25Searcher(index).search([Topic("1", "goats")], 5)


def test_thai_without_a_word_list(tmp_path: Path) -> None:
    documents = [Document("1", "ปลาดีที่ตลาด")]
    try:
        build_lucene_index(documents, tmp_path / "thai", "th", threads=1)
    except ClirError as error:
        assert "cannot cut Thai into words" in str(error)
        assert str(error).endswith("or take --analyzer unicode (pairs of characters)")
    index = build_lucene_index(documents, tmp_path / "pairs", "th", analyzer="unicode", threads=1)
    run = BM25Searcher(index).search([Topic("market", "ตลาด"), Topic("rain", "ฝน")], 5)
    assert run.topics == ["market"]


def test_words_that_the_tokenizer_lacks_are_said(
    minilm: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    documents = [Document("1", "पाणी water"), Document("2", "ገበያው")]
    build_lucene_index(documents, tmp_path / "index", "mr", analyzer=f"subwords:{minilm}", threads=1)
    assert f"pieces of text are not in the vocabulary of {minilm}; left out\n" in capfd.readouterr().err


def test_an_index_that_stores_more_will_do(tmp_path: Path) -> None:
    output = tmp_path / "index"
    build_lucene_index(DOCUMENTS, output, "en", store=["docvectors", "positions"], threads=1)
    before = contents(output)
    build_lucene_index(DOCUMENTS, output, "en", store=["positions"], threads=1)
    assert contents(output) == before
    build_lucene_index(DOCUMENTS, output, "en", store=["raw"], threads=1)
    assert read_manifest(output)["options"]["store"] == ["raw"]


def test_document_id_twice(tmp_path: Path) -> None:
    documents = [*DOCUMENTS, Document("NA", "another")]
    with pytest.raises(ClirError, match=r"^document id 'NA' occurs twice: documents 2 and 5$"):
        build_lucene_index(documents, tmp_path / "index", "en")
    assert list(tmp_path.iterdir()) == []


def test_many_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lucene, "SHARD_BYTES", 200)
    documents = [Document(f"d{number}", f"pump {number} stands by river {number % 7}") for number in range(50)]
    assert read_manifest(build_lucene_index(documents, tmp_path / "index", "en"))["documents"] == 50
    with pytest.raises(ClirError, match="document id 'd3' occurs twice: documents 4 and 51"):
        build_lucene_index([*documents, Document("d3", "")], tmp_path / "other", "en")


def test_equal_index_is_reused_and_a_changed_one_rebuilt(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "index"
    build_lucene_index(DOCUMENTS, output, "en")
    before = contents(output)
    capfd.readouterr()
    build_lucene_index(iter(DOCUMENTS), output, "en", threads=1)
    assert contents(output) == before
    assert "already holds the index of these 4 documents; left as it is" in capfd.readouterr().err
    build_lucene_index(DOCUMENTS[:2], output, "en")
    assert read_manifest(output)["documents"] == 2
    build_lucene_index(DOCUMENTS[:2], output, "en", analyzer="standard")
    assert read_manifest(output)["analyzer"] == "standard"
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_what_clir_did_not_make_is_not_overwritten(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="did not make"):
        build_lucene_index(DOCUMENTS, home, "en")
    (home / "meta.json").write_text('{"kind": "dense"}')
    with pytest.raises(UsageError, match="did not make"):
        build_lucene_index(DOCUMENTS, home, "en")
    with pytest.raises(UsageError, match="is a file"):
        build_lucene_index(DOCUMENTS, home / "letter.txt", "en")
    assert (home / "letter.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    build_lucene_index(DOCUMENTS, tmp_path / "empty", "en")


def test_failures_are_one_line_and_leave_the_earlier_index(tmp_path: Path) -> None:
    output = build_lucene_index(DOCUMENTS, tmp_path / "index", "en")
    before = contents(output)
    with pytest.raises(ClirError, match=r"^Anserini could not index the documents: [^\n]*heap[^\n]*$"):
        build_lucene_index(DOCUMENTS[:2], output, "en", memory=1)

    def broken() -> object:
        yield DOCUMENTS[0]
        raise ClirError("docs.jsonl:2: not JSON")

    with pytest.raises(ClirError, match=r"docs.jsonl:2"):
        build_lucene_index(broken(), output, "en")  # type: ignore[arg-type]
    assert contents(output) == before
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_missing_documents_in_anserinis_count_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loses_one(main: str, arguments: list[str], *, memory: int, on_line: object) -> int:
        on_line("2026-01-01 00:00:00,000 INFO  [main] index.AbstractIndexer (x.java:1) - indexed:                2")  # type: ignore[operator]
        return 0

    monkeypatch.setattr(lucene, "run_java", loses_one)
    with pytest.raises(ClirError, match="exit status 0, 2 of 3 documents indexed"):
        build_lucene_index(DOCUMENTS, tmp_path / "index", "en")


SLOW_BUILD = """
import sys, time
from clir.corpora.collection import Document
from clir.indexing.lucene import build_lucene_index

def documents():
    for number in range(30000):
        yield Document(str(number), f"granary {number} beside the road to market {number % 977}")
    if sys.argv[2] == "reading":
        print("reading", flush=True)
        time.sleep(60)
build_lucene_index(documents(), sys.argv[1], "en", threads=1)
"""


def processes_with(text: str) -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in line.read_text("utf-8", "replace"):
                found.append(line.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("stage", ["reading", "indexing"])
def test_killed_build_leaves_no_index_and_its_remains_go(stage: str, tmp_path: Path) -> None:
    output = tmp_path / "index"
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(output), stage], stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC"}
    )
    deadline = time.monotonic() + 60
    if stage == "reading":
        assert child.stdout is not None and child.stdout.readline() == b"reading\n"
    else:
        while not list(tmp_path.glob(".index.*.partial/index")):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    while processes_with(str(tmp_path)):
        assert time.monotonic() < deadline, "the Java child outlived its killed parent"
        time.sleep(0.05)
    left = sorted(re.sub(r"\.\w{8}\.", ".*.", path.name) for path in tmp_path.iterdir())
    assert left == [".index.*.partial", ".index.lock"]
    build_lucene_index(DOCUMENTS, output, "en")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_living_build_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    def documents() -> object:
        yield DOCUMENTS[0]
        build_lucene_index(DOCUMENTS[1:], tmp_path / "index", "en")
        yield DOCUMENTS[1]

    build_lucene_index(documents(), tmp_path / "index", "en")  # type: ignore[arg-type]
    assert read_manifest(tmp_path / "index")["documents"] == 2


def test_opening(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Lucene index not found"):
        open_lucene_index(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is no Lucene index"):
        open_lucene_index(tmp_path)
    (tmp_path / "docid").write_text("a\n")
    with pytest.raises(UsageError, match="is a dense index"):
        open_lucene_index(tmp_path)
    with pytest.raises(UsageError, match="built with the analyzer 'en', not 'hi'"):
        open_lucene_index(built, analyzer="hi")
    with pytest.raises(UsageError, match="has documents in 'en', not in 'hi'"):
        open_lucene_index(built, language="hi")
    assert open_lucene_index(built, language="eng", analyzer="English") == open_lucene_index(built)


def test_opening_an_index_of_others(built: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for path in built.iterdir():
        if path.name != "meta.json":
            (theirs / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="no manifest: give --language or --analyzer"):
        open_lucene_index(theirs)
    with pytest.raises(UsageError, match="no analyzer for 'sw'"):
        open_lucene_index(theirs, language="sw")
    assert open_lucene_index(theirs, language="en").analyzer == "en"
    assert open_lucene_index(theirs, language="sw", analyzer="whitespace").analyzer == "whitespace"
    assert open_lucene_index(theirs, analyzer="whitespace").language is None
