"""The pairs of a training: read, cleaned, without what is held out, and every pair accounted for."""

import bz2
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from clir.corpora.bitext import Pair
from clir.corpora.cleaning import remove_leaks
from clir.corpora.collection import Document, Topic
from clir.corpora.demo_collection import demo_file
from clir.corpora.held_out import held_out_texts
from clir.corpora.registry import open_collection
from clir.experiments.training_data import training_pairs
from clir.support.errors import UsageError

PAIRS = (
    ("The well is deep and cold.", "Kisima ni kirefu na baridi."),
    ("The well is deep and cold.", "Kisima ni kirefu na baridi."),
    ("Our goats eat leaves.", "Mbuzi wetu hula majani."),
    ("Same.", "Same."),
)


def table(path: Path, pairs: tuple[tuple[str, str], ...]) -> str:
    path.write_text("".join(f"{english}\t{foreign}\n" for english, foreign in pairs), "utf-8")
    return str(path)


def test_pairs_are_cleaned_and_counted(tmp_path):
    pairs, reports = training_pairs([table(tmp_path / "a.tsv", PAIRS)], ["swa"])
    assert [(pair.english, pair.language) for pair in pairs] == [
        ("The well is deep and cold.", "sw"),
        ("Our goats eat leaves.", "sw"),
    ]
    assert reports["read"] == {"kept": 4}
    assert list(reports) == ["read", "cleaning"]
    assert reports["cleaning"]["kept"] == 2
    assert sum(reports["cleaning"].values()) == 4, "every pair is kept or has a reason"


def test_without_cleaning_all_stay(tmp_path):
    pairs, reports = training_pairs([table(tmp_path / "a.tsv", PAIRS)], ["sw"], cleaning=False)
    assert len(pairs) == 4
    assert list(reports) == ["read"]


def test_all_that_is_dropped_is_written(tmp_path):
    english = open_collection("demo/sw").topics("en")[3].text
    specification = table(tmp_path / "a.tsv", (*PAIRS, ("", "Tupu."), (english, "Swali, neno kwa neno.")))
    training_pairs([specification], ["sw"], held_out=["demo/sw"], dropped=tmp_path / "dropped.tsv")
    rows = [line.split("\t") for line in (tmp_path / "dropped.tsv").read_text("utf-8").splitlines()]
    assert rows == [
        ["reason", "language", "english", "foreign"],
        ["a side is empty", "sw", "", "Tupu."],
        ["duplicate", "sw", *PAIRS[1]],
        ["sides are the same", "sw", *PAIRS[3]],
        ["english is in the test", "sw", english, "Swali, neno kwa neno."],
    ]
    again, _ = training_pairs([f"sw={tmp_path}/dropped.tsv:english,foreign"], cleaning=False)
    assert [pair.foreign for pair in again] == [row[3] for row in rows[2:]]


def test_what_is_dropped_is_written_even_if_that_is_all(tmp_path):
    with pytest.raises(UsageError, match="no sentence pair is left"):
        training_pairs([table(tmp_path / "a.tsv", PAIRS[3:])], ["sw"], dropped=tmp_path / "dropped.tsv")
    assert "sides are the same\tsw\tSame." in (tmp_path / "dropped.tsv").read_text("utf-8")


def test_the_dropped_are_not_written_over_bitext(tmp_path):
    specification = table(tmp_path / "a.tsv", PAIRS)
    with pytest.raises(UsageError, match="is also one of the files to read"):
        training_pairs([specification], ["sw"], dropped=tmp_path / "." / "a.tsv")
    assert (tmp_path / "a.tsv").stat().st_size > 0
    with pytest.raises(UsageError, match="is a folder"):
        training_pairs([specification], ["sw"], dropped=tmp_path)


def test_the_language_guess_can_be_left_out(tmp_path):
    lines = demo_file("bitext.tsv").read_text("utf-8").splitlines()[:300]
    pairs = [tuple(line.split("\t")[:2]) for line in lines]
    pairs[7] = pairs[7][::-1]
    specification = table(tmp_path / "a.tsv", tuple(pairs))
    assert training_pairs([specification], ["sw"])[1]["cleaning"]["sides are swapped"] == 1
    assert training_pairs([specification], ["sw"], language_guess=False)[1]["cleaning"]["sides are swapped"] == 0


def test_what_is_tested_on_is_taken_out(tmp_path):
    demo = open_collection("demo/sw")
    english, swahili = demo.topics("en")[3].text, demo.topics("sw")[5].text
    passage = next(iter(demo.documents())).text
    sentence = passage.split(". ")[1] + "."
    leaking = (
        (english.upper(), "Swali kwa Kiingereza, herufi kubwa."),
        ("A Swahili question, word for word.", swahili),
        (sentence, "Sentensi moja ya aya, ambayo hapa imefasiriwa vibaya kwa makusudi kabisa."),
    )
    specification = table(tmp_path / "a.tsv", PAIRS + leaking)
    pairs, reports = training_pairs([specification], ["sw"], held_out=["demo/sw"])
    assert [pair.english for pair in pairs] == ["The well is deep and cold.", "Our goats eat leaves."]
    assert reports["leakage"]["kept"] == 2
    assert sum(reports["leakage"].values()) == 5
    kept, _ = training_pairs([specification], ["sw"])
    assert len(kept) == 5, "nothing is held out unless it is said"


def test_the_demos_bitext_holds_nothing_that_its_topics_ask():
    _, reports = training_pairs([str(demo_file("bitext.tsv"))], ["sw"], held_out=["demo/sw"])
    assert reports["leakage"] == {"kept": reports["cleaning"]["kept"]}
    assert reports["leakage"]["kept"] >= 600


def test_nothing_left_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no sentence pair is left after reading and cleaning the bitext"):
        training_pairs([table(tmp_path / "a.tsv", PAIRS[3:])], ["sw"])


def test_an_unknown_collection_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"unknown collection 'demos/sw'"):
        training_pairs([table(tmp_path / "a.tsv", PAIRS)], ["sw"], held_out=["demos/sw"])


class Shelf:
    """A collection with topics in two languages."""

    def __init__(self, *documents: Document) -> None:
        self._documents = documents
        self.topic_languages = ("sw", "en")

    def topics(self, language: str | None = None) -> list[Topic]:
        return [Topic("1", f"question in {language}")]

    def documents(self):
        return iter(self._documents)


def test_held_out_texts_are_all_topics_and_each_document_once():
    shared = Document("a", "a text", "a title")
    texts = held_out_texts([Shelf(shared, Document("b", "another")), Shelf(shared)])
    topics = ["question in sw", "question in en"]
    assert list(texts) == [*topics, "a title a text", "a text", "another", *topics]


def test_a_documents_first_sentence_is_found_without_its_title():
    document = Document(
        "a", "A hand-dug well should be lined. Others are not.", "Wells and boreholes of the northern plains"
    )
    leak = Pair("A hand-dug well should be lined.", "Kisima kilichochimbwa kwa mkono kijengewe.", "sw")
    assert remove_leaks([leak], held_out_texts([Shelf(document)]))[1]["english is in the test"] == 1


def test_files_of_ones_own_are_held_out(tmp_path):
    (tmp_path / "topics.tsv").write_text("q1\tHow deep is the old well?\nq2\tWhere do goats sleep at night?\n")
    (tmp_path / "topics.xml").write_text("<top>\n<title> Dry rivers of the north </title>\n</top>\n")
    (tmp_path / "docs").mkdir()
    record = (
        '{"id": "d1", "contents": "Maize is stored in raised cribs.", "more": {"notes": ["Cribs keep rats away."]}}'
    )
    (tmp_path / "docs" / "a.jsonl").write_text(record + "\n")
    names = [str(tmp_path / name) for name in ("topics.tsv", "topics.xml", "docs")]
    leaks = [
        "How deep is the old well?",
        "Dry rivers of the north",
        "Maize is stored in raised cribs.",
        "Cribs keep rats away.",
    ]
    own = table(
        tmp_path / "a.tsv", ((leaks[0], "a b"), (leaks[1], "c d"), (leaks[2], "e f"), ("g h", leaks[3]), PAIRS[2])
    )
    pairs, reports = training_pairs([own], ["sw"], held_out=names, cleaning=False)
    assert [pair.english for pair in pairs] == [PAIRS[2][0]]
    assert reports["leakage"] == {"kept": 1, "english is in the test": 3, "foreign is in the test": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.csv", 'qid,text\nq1,"How deep, if at all, is the old well?"\n'),
        ("q.tsv", 'q1\t"How deep, if at all, is the ""old"" well?"\r'),
        ("q.json", '[{"qid": "q1",\n "text": "How deep, if at all, is the old well?"}]'),
        ("q.xml", "<top>\n<title> How deep, &quot;if at all&quot;, is the old well? </title>\n</top>\n"),
    ],
)
def test_held_out_files_as_people_have_them(name, text, tmp_path):
    (tmp_path / name).write_text(text, newline="")
    (tmp_path / f"{name}.bz2").write_bytes(bz2.compress(text.encode()))
    own = table(tmp_path / "a.tsv", (("How deep, if at all, is the old well?", "a b"), PAIRS[2]))
    for held_out in (name, f"{name}.bz2"):
        _, reports = training_pairs([own], ["sw"], held_out=[str(tmp_path / held_out)], cleaning=False)
        assert reports["leakage"] == {"kept": 1, "english is in the test": 1}


def test_a_parquet_file_is_held_out(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"qid": ["q1"], "text": [PAIRS[0][0]]}), tmp_path / "q.parquet")
    own = table(tmp_path / "a.tsv", PAIRS[1:3])
    pairs, _ = training_pairs([own], ["sw"], held_out=[str(tmp_path / "q.parquet")], cleaning=False)
    assert [pair.english for pair in pairs] == [PAIRS[2][0]]


def test_what_was_mended_in_the_text_is_a_step_of_its_own(tmp_path):
    own = table(tmp_path / "a.tsv", (("source", "target"), ("Tom &amp; Amina went.", "<b>Tom</b> alienda."), PAIRS[2]))
    pairs, reports = training_pairs([own], ["sw"])
    assert pairs[0].english == "Tom & Amina went."
    assert reports["read"] == {"kept": 2}
    assert reports["text"] == {
        "header lines, left out": 1,
        "pairs with escapes (as &quot;), undone": 1,
        "pairs with tags (as <b>), kept": 1,
    }
    assert json.loads(json.dumps(reports))["text"] == dict(reports["text"]), "as the manifest has it"
