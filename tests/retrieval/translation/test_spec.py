"""Translation as a command names it: every kind by its spec, kept results, and one clear line for every mistake."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clir.corpora.bitext import Pair
from clir.corpora.collection import Topic
from clir.corpora.demo_collection import open_demo
from clir.retrieval.psq import StructuredQueries
from clir.retrieval.translation.cache import CachedTranslator
from clir.retrieval.translation.seq2seq import Seq2SeqTranslator
from clir.retrieval.translation.spec import TranslationOptions, make_translator
from clir.retrieval.translation.table import learn_table, write_table
from clir.retrieval.translation.translator import Translator
from clir.support.errors import ClirError, UsageError

TOPICS = [Topic("001", "paka mdogo"), Topic("NA", "Samaki wa Nairobi")]


def texts(translator: Translator | StructuredQueries, topics: Sequence[Topic] = TOPICS) -> list[str]:
    assert not isinstance(translator, StructuredQueries)
    found = translator(topics)
    assert [topic.qid for topic in found] == [topic.qid for topic in topics]
    return [topic.text for topic in found]


def test_human() -> None:
    demo = open_demo("sw")
    translator = make_translator("human", "sw", "en", collection=demo)
    assert translator(demo.topics("sw")[::-1]) == demo.topics("en")[::-1]  # type: ignore[operator]
    assert translator.provenance() == {"kind": "human", "collection": "demo/sw", "target": "en"}
    with pytest.raises(UsageError, match=r"^demo/sw has no topic 001 in 'en' \(one of 2 such topics\)$"):
        texts(translator)


def test_dictionary(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("paka\tcat, pussy\nmdogo\tsmall, little\n")
    spec = f"dictionary:{tmp_path / 'd.tsv'}"
    assert texts(make_translator(spec, "sw", "en")) == ["cat small", "Samaki wa Nairobi"]
    options = TranslationOptions(senses="all", untranslated="drop")
    assert texts(make_translator(spec, "sw", "en", options=options)) == ["cat pussy small little", ""]


def test_table(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(
        "source\ttarget\tprobability\npaka\tcat\t.7\npaka\tcats\t.3\nsamaki\tfish\t.9\nwa\tof\t.5\n"
    )
    translator = make_translator(f"table:{tmp_path / 't.tsv'}", "swa", "eng")
    assert texts(translator) == ["cat mdogo", "fish of Nairobi"]
    assert translator.provenance()["source"] == "sw"


def test_table_of_bitext_is_learned_once(tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("A cat sleeps\tPaka analala\nA fish sleeps\tSamaki analala\n")
    (tmp_path / "two.tsv").write_text("A cat eats\tPaka anakula\n")
    asked: list[tuple[tuple[str, ...], str]] = []

    def read(specs: Sequence[str], language: str) -> list[Pair]:
        asked.append((tuple(specs), language))
        return [Pair("A cat", "Paka", "sw"), Pair("A fish", "Samaki", "sw"), Pair("A", "Ndiyo", "sw")]

    spec = f"table:{tmp_path / 'one.tsv'}+{tmp_path / 'two.tsv'}"
    translator = make_translator(spec, "sw", "en", read_pairs=read, cache=tmp_path / "cache")
    assert texts(translator) == ["cat mdogo", "fish wa Nairobi"]
    assert asked == [((str(tmp_path / "one.tsv"), str(tmp_path / "two.tsv")), "sw")]
    [table] = (tmp_path / "cache" / "tables").glob("*.tsv")
    written = table.stat().st_mtime_ns
    other = make_translator(spec, "sw", "en", read_pairs=read, cache=tmp_path / "cache")
    assert texts(other, [Topic("1", "samaki")]) == ["fish"]
    assert table.stat().st_mtime_ns == written
    # Without a reader the pairs are read and cleaned here; the other way it is the same bitext.
    assert texts(make_translator(spec, "en", "sw", cache=tmp_path / "cache"), [Topic("1", "cat")]) == ["paka"]


def test_a_model_is_loaded_for_new_texts_only(tiny_m2m: Path, tmp_path: Path) -> None:
    assert texts(make_translator(str(tiny_m2m), "sw", "en", cache=tmp_path), TOPICS[:1]) == ["small cat"]
    [kept] = tmp_path.glob("*.json")
    assert json.loads(kept.read_text())["topics"] == [{"text": "paka mdogo", "translation": "small cat"}]
    again = make_translator(str(tiny_m2m), "sw", "en", cache=tmp_path)
    assert isinstance(again, CachedTranslator)
    assert texts(again, [Topic("7", "paka mdogo")]) == ["small cat"]
    assert "_loaded" not in vars(again.translator)
    assert isinstance(again.translator, Seq2SeqTranslator)
    # A changed parameter, language or text asks the model.
    for other in (TranslationOptions(beams=2), TranslationOptions(max_tokens=9)):
        texts(make_translator(str(tiny_m2m), "sw", "en", options=other, cache=tmp_path), TOPICS[:1])
    assert texts(make_translator(str(tiny_m2m), "sw", "fr", cache=tmp_path), TOPICS[:1]) == ["petit chat"]
    assert len(list(tmp_path.glob("*.json"))) == 4


class Counted:
    """A translator that counts how often it is asked."""

    asked = 0

    def __call__(self, topics: Sequence[Topic]) -> list[Topic]:
        self.asked += 1
        return [Topic(topic.qid, topic.text.upper()) for topic in topics]

    def provenance(self) -> dict[str, Any]:
        return {"kind": "capitals", "path": f"asked {self.asked} times"}


def test_what_is_kept(tmp_path: Path) -> None:
    counted = Counted()
    cached = CachedTranslator(counted, tmp_path / "kept")
    assert texts(cached) == texts(cached) == ["PAKA MDOGO", "SAMAKI WA NAIROBI"]
    assert counted.asked == 1
    [file] = (tmp_path / "kept").iterdir()
    for broken in ("", "{}", file.read_text().replace("paka", "kuku"), file.read_text().replace('"PAKA', '3, "x": "')):
        file.write_text(broken)
        assert texts(cached) == ["PAKA MDOGO", "SAMAKI WA NAIROBI"]
    assert counted.asked == 5
    # What cannot be kept is translated all the same.
    (tmp_path / "file").write_text("")
    assert texts(CachedTranslator(counted, tmp_path / "file")) == ["PAKA MDOGO", "SAMAKI WA NAIROBI"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("humn", r"^unknown translation 'humn'; did you mean 'human'\? \(known: human, dictionary:FILE, table:FILE,"),
        (
            "dictionry:x.tei",
            r"^unknown kind of translation 'dictionry'; did you mean 'dictionary'\? \(known: human, dictionary,",
        ),
        ("dictionary", r"^dictionary needs a file: dictionary:FILE \(.tei, .xml as FreeDict has it, or .tsv\)$"),
        ("psq:", r"^psq needs a file: psq:FILE \(a translation table .tsv, or bitext to learn one from\)$"),
        ("table:none.tsv", r"^bitext not found: none.tsv$"),
        ("psq:x.docx", r"^bitext x.docx is neither a Moses pair"),
        ("psq:ha=none.en,none.ha", r"^bitext not found: none.en$"),
        ("dictionary:none.tei", r"^dictionary not found: none.tei$"),
        ("human", r"^human translations come with a collection's topics; these topics are from a file$"),
        ("human:en.tsv", r"^human translations come with a collection, not from a file: write human$"),
        (
            "pyproject.toml",
            r"^pyproject.toml is a file: say what it is, dictionary:pyproject.toml or table:pyproject.toml",
        ),
        ("tests", r"^tests holds no model \(no config.json\)$"),
    ],
)
def test_mistakes(spec: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[3])
    with pytest.raises(UsageError, match=message):
        make_translator(spec, "sw", "en")


def test_languages_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^topics and documents are both in 'en': there is nothing to translate$"):
        make_translator("human", "eng", "en", collection=open_demo("sw"))
    with pytest.raises(UsageError, match=r"^demo/sw has no topics in 'ha' \(it has: sw, en\)$"):
        make_translator("human", "sw", "ha", collection=open_demo("sw"))
    (tmp_path / "b.tsv").write_text("A cat\tPaka\n")
    with pytest.raises(UsageError, match=r"no table from 'sw' into 'fr' can be learned from"):
        make_translator(f"psq:{tmp_path / 'b.tsv'}", "sw", "fr")
    with pytest.raises(UsageError, match=r"is bitext of 'ha', but topics are translated from 'sw' into 'en'$"):
        make_translator(f"psq:ha={tmp_path / 'b.tsv'}", "sw", "en")
    write_table(learn_table([Pair("A cat", "Paka", "sw")]), tmp_path / "t.tsv")
    with pytest.raises(UsageError, match=r"t.tsv translates from sw to en, not from 'ha' to 'en'$"):
        texts(make_translator(f"table:{tmp_path / 't.tsv'}", "ha", "en"))


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match=r"^unknown choice of senses 'some' \(known: first, all\)$"):
        TranslationOptions(senses="some")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^unknown way with untranslated words 'dorp'; did you mean 'drop'\?"):
        TranslationOptions(untranslated="dorp")  # type: ignore[arg-type]


def test_no_pairs_left(tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_text("Same\tSame\n")
    with pytest.raises(ClirError, match=r"^no sentence pair is left after reading and cleaning the bitext$"):
        texts(make_translator(f"table:{tmp_path / 'b.tsv'}", "sw", "en"))
