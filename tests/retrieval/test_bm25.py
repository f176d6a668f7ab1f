"""BM25 runs: equal to Pyserini's on the same index, and what topics and parameters are refused."""

import itertools
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic
from clir.indexing.lucene import build_lucene_index
from clir.retrieval.bm25 import BM25Searcher
from clir.retrieval.searcher import Searcher
from clir.runs.run import Run
from clir.support import jvm
from clir.support.errors import ClirError, UsageError

PLACES = ["the clinic", "a market by the river", "the primary school", "our village well", "the bus station"]
EVENTS = [
    "farmers sell beans and dried fish on Fridays",
    "a nurse vaccinates children against measles",
    "the council repairs the broken water pump",
    "students borrow books when the rains begin",
]
REMARKS = ["", " again and again", " since the flood; nobody knows why"]
# 60 documents; each remark and each event stand in several, so that many scores are equal.
ENGLISH = [
    Document(f"doc{number:02}", f"At {place}, {event}{remark}.", "Notice" if number % 4 == 0 else "")
    for number, (place, event, remark) in enumerate(itertools.product(PLACES, EVENTS, REMARKS))
]
ENGLISH_TOPICS = [
    Topic("001", "water pumps near villages"),
    Topic("1", "vaccination of a child"),
    Topic("NA", "fish markets"),
    Topic("stop", "the of and"),
    Topic("none", "helicopter"),
    Topic("😀", "school books 😀 rains?"),
]
HINDI = [
    Document("हि1", "किसान बाज़ार में मछलियाँ और फलियाँ बेचते हैं"),
    Document("हि2", "नर्स गाँव के बच्चों को टीका लगाती है"),
    Document("हि3", "लड़कियों की किताबें विद्यालय में हैं"),
    Document("हि4", "बाज़ार के पास नदी का पानी साफ़ है"),
]
HINDI_TOPICS = [Topic("क", "बाजार में मछली"), Topic("ख", "लड़की की किताब")]
SWAHILI = [
    Document("s1", "Wakulima huuza Samaki sokoni, karibu na mto."),
    Document("s2", "muuguzi huchanja watoto kijijini"),
    Document("s3", "watoto husoma vitabu; samaki wa mto"),
    Document("s4", "Watoto wa shule"),
]
SWAHILI_TOPICS = [Topic("1", "samaki wa mto"), Topic("2", "Watoto kijijini")]


def build(folder: Path, documents: list[Document], language: str, analyzer: str | None = None) -> Path:
    return build_lucene_index(documents, folder / "index", language, analyzer=analyzer)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("english"), ENGLISH, "en")


def pyserini_run(index: Path, topics: list[Topic], k: int, k1: float, b: float, language: str, analyzer: str) -> Run:
    searcher = jvm.pyserini_module("pyserini.search.lucene").LuceneSearcher(str(index))
    analysis = jvm.pyserini_module("pyserini.analysis")
    searcher.set_language(language)
    if analyzer == "whitespace":
        searcher.set_analyzer(analysis.JWhiteSpaceAnalyzer())
    if analyzer == "standard":
        searcher.set_analyzer(analysis.get_lucene_analyzer(stemming=False, stopwords=False))
    searcher.set_bm25(k1, b)
    return Run.from_hits({t.qid: [(hit.docid, hit.score) for hit in searcher.search(t.text, k)] for t in topics})


def by_score(run: Run, qid: str) -> dict[float, set[str]]:
    """The documents of each score of a topic, but for the last score, whose ties the cut may part."""
    groups: dict[float, set[str]] = defaultdict(set)
    for docid, score in run[qid]:
        groups[score].add(docid)
    return dict(list(groups.items())[:-1])


@pytest.mark.parametrize(
    ("documents", "topics", "language", "analyzer"),
    [
        (ENGLISH, ENGLISH_TOPICS, "en", None),
        (HINDI, HINDI_TOPICS, "hi", None),
        (SWAHILI, SWAHILI_TOPICS, "sw", "whitespace"),
        (SWAHILI, SWAHILI_TOPICS, "sw", "standard"),
    ],
)
def test_run_equals_pyserinis(
    documents: list[Document], topics: list[Topic], language: str, analyzer: str | None, tmp_path: Path
) -> None:
    index = build(tmp_path, documents, language, analyzer)
    for k, k1, b in ((10, 0.9, 0.4), (1000, 1.2, 0.75)):
        ours = BM25Searcher(index, k1=k1, b=b).search(topics, k)
        theirs = pyserini_run(index, topics, k, k1, b, language, analyzer or language)
        assert len(ours) >= 3
        assert ours.topics == theirs.topics
        for qid in ours.topics:
            assert [hit.score for hit in ours[qid]] == pytest.approx([hit.score for hit in theirs[qid]], abs=1e-5)
            assert by_score(ours, qid) == by_score(theirs, qid)


def test_stemming_finds_other_forms(english: Path) -> None:
    run = BM25Searcher(english).search(ENGLISH_TOPICS, 100)
    texts = {document.docid: document.text for document in ENGLISH}
    assert {hit.docid for hit in run["1"]} == {docid for docid, text in texts.items() if "vaccinates" in text}
    assert len(run["1"]) == 15


@pytest.mark.slow
def test_index_equals_the_one_pyserini_builds(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    with open(tmp_path / "docs" / "d.jsonl", "w", encoding="utf-8") as handle:
        for document in HINDI:
            handle.write(json.dumps({"id": document.docid, "contents": document.contents}, ensure_ascii=False) + "\n")
    script = (
        "import os, runpy, sys; from clir.support import jvm; jvm.start(); os.environ['OPENAI_API_KEY'] = 'x'\n"
        "runpy.run_module('pyserini.index.lucene', run_name='__main__')"
    )
    arguments = ["--collection", "JsonCollection", "--generator", "DefaultLuceneDocumentGenerator", "--threads", "1"]
    paths = ["--input", str(tmp_path / "docs"), "--index", str(tmp_path / "theirs"), "--language", "hi"]
    subprocess.run(
        [sys.executable, "-c", script, *arguments, *paths], check=True, timeout=120, stdout=subprocess.DEVNULL
    )
    ours = BM25Searcher(build(tmp_path, HINDI, "hi")).search(HINDI_TOPICS, 10)
    theirs = BM25Searcher(tmp_path / "theirs", language="hi").search(HINDI_TOPICS, 10)
    assert ours.frame.equals(theirs.frame)
    assert len(ours) >= 3


def test_topics_without_known_terms_find_nothing(english: Path) -> None:
    run = BM25Searcher(english).search([*ENGLISH_TOPICS, Topic("blank", " "), Topic("signs", "?!")], 5)
    assert run.topics == ["001", "1", "NA", "😀"]
    assert BM25Searcher(english).search([Topic("stop", "the of and")], 5).topics == []
    assert len(BM25Searcher(english).search([], 5)) == 0


def test_k_bounds_the_hits(english: Path) -> None:
    searcher: Searcher = BM25Searcher(english)
    assert [len(searcher.search(ENGLISH_TOPICS, k)["1"]) for k in (1, 7, 1000)] == [1, 7, 15]
    assert searcher.search(ENGLISH_TOPICS, 1).tag == "bm25"


def test_scores_are_distinct_float32_in_anserinis_order(english: Path) -> None:
    hits = BM25Searcher(english).search(ENGLISH_TOPICS, 1000)["1"]
    # Equal documents differ by Anserini's 1e-6 steps, in docid order: six decimals would not lose this, four would.
    steps = [first.score - second.score for first, second in itertools.pairwise(hits)]
    assert all(step > 0 for step in steps)
    assert min(steps) == pytest.approx(1e-6, abs=3e-7)


@pytest.mark.parametrize("threads", [1, 2, 99, None])
def test_threads_and_batches_do_not_matter(threads: int | None, english: Path) -> None:
    topics = [Topic(f"{topic.qid}-{copy}", topic.text) for copy in range(20) for topic in ENGLISH_TOPICS]
    run = BM25Searcher(english, threads=threads).search(topics, 9)
    single = BM25Searcher(english).search(ENGLISH_TOPICS, 9)
    assert run.topics == [f"{qid}-{copy}" for copy in range(20) for qid in single.topics]
    assert all(run[f"{qid}-19"] == single[qid] for qid in single)


def test_a_topic_as_long_as_a_document(english: Path) -> None:
    words = " ".join(f"word{number}" for number in range(5000))
    run = BM25Searcher(english).search([Topic("long", f"{words} measles")], 100)
    assert len(run["long"]) == 15


def test_closed_searcher_opens_again(english: Path) -> None:
    searcher = BM25Searcher(english)
    before = searcher.search(ENGLISH_TOPICS, 5)
    searcher.close()
    searcher.close()
    assert searcher.search(ENGLISH_TOPICS, 5).frame.equals(before.frame)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": -1.0}, "k1 is a number from 0 up, not -1"),
        ({"k1": float("nan")}, "k1 is a number from 0 up, not nan"),
        ({"b": 1.5}, "b is between 0 and 1, not 1.5"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"analyzer": "hi"}, "built with the analyzer 'en'"),
    ],
)
def test_wrong_parameters(options: dict[str, object], message: str, english: Path) -> None:
    with pytest.raises(UsageError, match=message):
        BM25Searcher(english, **options)  # type: ignore[arg-type]


def test_wrong_searches(english: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1 hit"):
        BM25Searcher(english).search(ENGLISH_TOPICS, 0)
    with pytest.raises(ClirError, match="topic id occurs twice"):
        BM25Searcher(english).search([*ENGLISH_TOPICS, Topic("001", "again")], 5)
    with pytest.raises(UsageError, match="not found"):
        BM25Searcher(tmp_path / "nowhere")


def test_damaged_index_is_one_line(english: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in english.iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[: 10 if path.name.startswith("segments") else None])
    with pytest.raises(ClirError, match=f"^cannot open {broken}: ") as caught:
        BM25Searcher(broken).search(ENGLISH_TOPICS, 5)
    assert "\n" not in str(caught.value)


def test_searching_imports_no_pyserini_and_prints_nothing(english: Path) -> None:
    script = (
        "import sys; from clir.corpora.collection import Topic; from clir.retrieval.bm25 import BM25Searcher\n"
        "run = BM25Searcher(sys.argv[1]).search([Topic('1', 'measles')], 3)\n"
        "print(len(run), [name for name in ('pyserini', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(english)],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("3 []\n", "")
