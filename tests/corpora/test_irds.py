"""ir_datasets as collections, shown with HC4's files where ir_datasets would put them; ours as its data sets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in its own process: ir_datasets fixes its home at import. Nothing may be downloaded."""
    program = f"import json\nfrom clir.corpora.registry import open_collection\n{code}"
    variables = {**os.environ, "IR_DATASETS_HOME": str(home), "IR_DATASETS_DL_TRIES": "1", **environment}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=variables, check=False
    )


def answer(code: str, home: Path, **environment: str) -> Any:
    done = run(code, home, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def hc4(tmp_path: Path, shared_data: Path) -> Path:
    home = tmp_path / "home"
    (home / "hc4").mkdir(parents=True)
    for name in ("dev.topics.v1-0.jsonl", "test.topics.v1-0.jsonl"):
        shutil.copyfile(shared_data / "hc4" / name, home / "hc4" / name)
    for language in ("fas", "zho", "rus"):
        shutil.copytree(shared_data / "hc4" / language, home / "hc4" / language, copy_function=shutil.copyfile)
        (home / "hc4" / language).chmod(0o755)
    return home


def test_hc4_topics_and_qrels(hc4: Path, shared_data: Path) -> None:
    code = (
        "c = open_collection('hc4/fa/dev'); q = c.qrels()\n"
        "print(json.dumps([c.id, c.language, c.topic_languages, c.document_count(), c.topics(), c.topics('fas'),"
        " len(q.frame), q.topics]))"
    )
    id, language, topic_languages, count, english, persian, judgements, judged = answer(code, hc4)
    assert (id, language, topic_languages, count) == ("hc4/fa/dev", "fa", ["en", "fa"], 486_486)
    assert len(english) == 10
    # The same topics as Anserini exports them; it strips and folds white space.
    for topics, name in ((english, "fa.en.dev"), (persian, "fa.dev")):
        lines = (shared_data / f"topics/topics.hc4-v1.0-{name}.title.tsv").read_text("utf-8").splitlines()
        expected = {qid: text.split() for qid, text in (line.split("\t") for line in lines)}
        assert {qid: text.split() for qid, text in topics} == expected
    assert judgements == len((shared_data / "hc4/fas/dev.qrels.v1-0.txt").read_text().splitlines())
    assert set(judged) <= {qid for qid, _ in english}


def test_hc4_documents_that_are_not_there(hc4: Path) -> None:
    code = (
        "from clir.support.errors import ClirError\n"
        "try: next(open_collection('hc4/fa/dev').documents())\n"
        "except ClirError as error: print(json.dumps(str(error)))"
    )
    message = answer(code, hc4)
    assert message.startswith("the documents of hc4/fa/dev are not on this machine")
    assert "hc4/fas/hc4_docs.jsonl" in message
    assert message.endswith("how to get them: https://ir-datasets.com/hc4.html")


def test_hc4_documents_that_are_there(hc4: Path) -> None:
    record = {"id": "d1", "title": "Rain", "text": "It rained.", "url": "u", "time": "t", "cc_file": "f"}
    (hc4 / "hc4/fas/hc4_docs.jsonl").write_text(json.dumps(record) + "\n")
    documents = answer("print(json.dumps(list(open_collection('hc4/fa').documents())))", hc4)
    assert [record[:3] for record in documents] == [["d1", "It rained.", "Rain"]]


def test_hc4_topics_of_chosen_fields(hc4: Path, shared_data: Path) -> None:
    code = (
        "from clir.corpora.collection import collection_topics\n"
        "from clir.support.errors import UsageError\n"
        "c = open_collection('hc4/fa/dev')\n"
        "try: collection_topics(c, 'fa', ['narrative'])\n"
        "except UsageError as error: refused = str(error)\n"
        "print(json.dumps([c.topic_fields('fa'), collection_topics(c, 'fas', ['title', 'desc']), c.topics('fa'),"
        " collection_topics(c, None, ['description']), refused]))"
    )
    fields, both, titles, english, refused = answer(code, hc4)
    assert fields == ["title", "description"]
    records = map(json.loads, (shared_data / "hc4/dev.topics.v1-0.jsonl").read_text("utf-8").splitlines())
    expected = {
        (record["topic_id"], one["lang"], one["source"]): one["topic_description"].strip()
        for record in records
        for one in record["topics"]
    }
    assert [text for _, text in english] == [
        expected[qid, "eng", next(source for _, lang, source in expected if lang == "eng")] for qid, _ in english
    ]
    for (qid, text), (_, title) in zip(both, titles, strict=True):
        assert text.startswith(f"{title} ")
        assert text.removeprefix(f"{title} ") in {said for (topic, lang, _), said in expected.items()
                                                  if topic == qid and lang == "fas"}  # fmt: skip
    assert refused == "hc4/fa/dev: unknown field of topics in fa 'narrative' (known: title, description)"


def test_every_field_of_a_topic_is_what_may_not_be_taught(hc4: Path, shared_data: Path) -> None:
    code = (
        "from clir.corpora.held_out import _topic_texts\n"
        "c = open_collection('hc4/fa/dev')\n"
        "print(json.dumps([list(_topic_texts(c)), [c.topics_of([name], 'fa') for name in c.topic_fields('fa')]]))"
    )
    texts, fields = answer(code, hc4)
    assert {text for topics in fields for _, text in topics} <= {text.strip() for text in texts}
    assert len(texts) > 4 * len(fields[0])  # English and Persian titles and descriptions, and more


def test_a_part_that_a_data_set_does_not_have(tmp_path: Path) -> None:
    done = run("open_collection('hc4/fa').topics()", tmp_path)
    assert "UsageError: hc4/fa has no topics in ir_datasets; a longer id may have them" in done.stderr


@pytest.mark.parametrize(
    ("name", "language", "topics"),
    [
        ("mmarco/de/dev", "de", ["de"]),
        ("neumarco/fa/dev", "fa", ["en"]),
        ("csl/trec-2023", "zh", ["en", "zh"]),
        ("mr-tydi/sw/test", "sw", ["sw"]),
        ("msmarco-passage/dev", "en", ["en"]),
    ],
)
def test_languages_of_other_data_sets(name: str, language: str, topics: list[str], tmp_path: Path) -> None:
    code = f"c = open_collection({name!r}); print(json.dumps([c.language, c.topic_languages]))"
    assert answer(code, tmp_path) == [language, topics]


REGISTERED = """
import ir_datasets
from clir.corpora.irds import register_with_ir_datasets
added = register_with_ir_datasets()
data = ir_datasets.load({name!r})
docs, queries, qrels = list(data.docs_iter()), list(data.queries_iter()), list(data.qrels_iter())
stored = data.docs_store().get(qrels[0].doc_id)
print(json.dumps([len(added), len(register_with_ir_datasets()), len(docs), data.docs_count(), queries[0], qrels[0],
    data.docs_lang(), data.queries_lang(), stored in docs, stored.default_text() == stored.title + ' ' + stored.text]))
"""


def test_ours_are_there_for_ir_datasets(tmp_path: Path) -> None:
    added, again, docs, count, query, qrel, *rest = answer(REGISTERED.format(name="demo/sw"), tmp_path)
    assert added > 100
    assert again == 0, "registering twice is harmless"
    assert docs == count >= 150
    assert len(query) == 3, "qid, Swahili, English"
    assert qrel[0] == query[0]
    assert rest == ["en", "sw", True, True]


def test_afriqa_through_ir_datasets(tmp_path: Path, shared_data: Path) -> None:
    for name in ("afriqa/swa/test", "afriqa/sw/test"):
        docs = answer(REGISTERED.format(name=name), tmp_path, CLIR_DATA=str(shared_data))[2]
        assert docs == 5_413


@pytest.mark.parametrize(
    ("names", "docs", "languages"),
    [
        (("tatoeba/sw", "tatoeba/swh"), 390, ["en", "sw"]),
        (("tatoeba/en-sw", "tatoeba/en-swh"), 390, ["sw", "en"]),
        (("lareqa/x-x/th",), 852, ["th", "th"]),
    ],
)
def test_views_of_one_family_have_their_own_documents(
    names: tuple[str, ...], docs: int, languages: list[str], tmp_path: Path, shared_data: Path
) -> None:
    # All in one home, where a store of another view would be found.
    for name in ("tatoeba/tl", *names):
        *_, found, count, _, _, documents, queries, stored, _ = answer(
            REGISTERED.format(name=name), tmp_path, CLIR_DATA=str(shared_data)
        )
        assert stored, f"the store of {name} has the documents of {name}"
    assert found == count == docs
    assert [documents, queries] == languages
