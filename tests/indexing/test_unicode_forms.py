"""A letter with its accent is one term, whether topic or document has it in one character or in two."""

import json
import unicodedata
from pathlib import Path

import polars as pl
import pytest

from clir.corpora.collection import Document, Topic
from clir.indexing.analyzers import ANALYZERS, cutter_of, java_analyzer
from clir.indexing.lucene import FORM, build_lucene_index, for_lucene, open_lucene_index
from clir.retrieval.bm25 import BM25Searcher
from clir.retrieval.psq import PSQSearcher
from clir.retrieval.translation.table import TranslationTable
from clir.support.jvm import java_class

# French, Vietnamese, Yoruba, Hindi, Bengali, Korean, Arabic, Turkish, Japanese, Ukrainian; in NFC.
WORDS = {
    text: unicodedata.normalize("NFC", text)
    for text in (
        "élève",
        "phường ẩm",
        "ẹ́kọ́ ọ̀rọ̀",
        "सड़क पढ़ना",
        "কোন গাড়ি",
        "한국어",
        "مؤمن بئر",
        "gönül çığ",
        "プリン",
        "їжак",
    )
}


@pytest.mark.parametrize("name", [name for name in ANALYZERS if name != "th"])
def test_every_analyzer_gives_both_forms_the_same_terms(name: str) -> None:
    analyze, analyzer = java_class("io.anserini.analysis.AnalyzerUtils").analyze, java_analyzer(name)

    def terms(text: str, form: str | None) -> list[str]:
        found = analyze(analyzer, *for_lucene([text], cutter_of(name), form))
        return [str(found.get(at)) for at in range(found.size())]

    for text in WORDS.values():
        apart = unicodedata.normalize("NFD", text)
        assert terms(apart, FORM) == terms(text, FORM) == terms(text, None), text


@pytest.mark.parametrize(("language", "analyzer"), [("fr", None), ("yo", "standard"), ("yo", "whitespace")])
def test_either_form_finds_either_form(language: str, analyzer: str | None, tmp_path: Path) -> None:
    documents = [
        Document(f"{form}{number}", unicodedata.normalize(form, text))
        for number, text in enumerate(WORDS.values())
        for form in ("NFC", "NFD")
    ]
    index = build_lucene_index(documents, tmp_path / "index", language, analyzer=analyzer)
    assert json.loads((index / "meta.json").read_text())["unicode form"] == "NFC"
    searcher = BM25Searcher(index)
    for form in ("NFC", "NFD"):
        topics = [Topic(str(number), unicodedata.normalize(form, text)) for number, text in enumerate(WORDS.values())]
        found: dict[str, set[str]] = {}
        for qid, docid in searcher.search(topics, 2).frame.select("qid", "docid").iter_rows():
            found.setdefault(qid, set()).add(docid)
        assert found == {topic.qid: {f"NFC{topic.qid}", f"NFD{topic.qid}"} for topic in topics}


def test_an_index_of_an_earlier_version_is_searched_as_it_was_and_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index = build_lucene_index([Document("1", "élève"), Document("2", "été")], tmp_path / "index", "fr")
    made = json.loads((index / "meta.json").read_text())
    del made["unicode form"]
    (index / "meta.json").write_text(json.dumps(made))
    searcher = BM25Searcher(index)
    assert "index is of an earlier version, with letters as they were typed" in capfd.readouterr().err
    assert len(searcher.search([Topic("1", "élève")], 2)) == 1
    assert len(searcher.search([Topic("1", unicodedata.normalize("NFD", "élève"))], 2)) == 0
    build_lucene_index([Document("1", "élève"), Document("2", "été")], index, "fr")
    capfd.readouterr()
    assert open_lucene_index(index).unicode_form == "NFC"
    assert capfd.readouterr().err == ""


def test_structured_queries_too(tmp_path: Path) -> None:
    index = build_lucene_index([Document("1", unicodedata.normalize("NFD", "élève"))], tmp_path / "index", "fr")
    row = {"source": ["mwanafunzi"], "target": ["élève"], "probability": [1.0]}
    table = TranslationTable(pl.DataFrame(row), "sw", "fr", {})
    assert len(PSQSearcher(index, table).search([Topic("1", "mwanafunzi")], 1)) == 1
