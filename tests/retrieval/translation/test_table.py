"""Translation tables: learned from pairs, written as text, read again, refused where a line is wrong."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from clir.corpora.bitext import Pair
from clir.retrieval.translation.table import (
    Alternative,
    TranslationTable,
    is_table,
    learn_table,
    read_table,
    write_table,
)
from clir.retrieval.translation.table_source import table_source
from clir.support.errors import ClirError, UsageError

PAIRS = [
    Pair("The cat sleeps.", "Paka analala.", "sw"),
    Pair("A cat eats fish.", "Paka anakula samaki.", "sw"),
    Pair("The dog sleeps.", "Mbwa analala.", "sw"),
    Pair("A dog eats meat.", "Mbwa anakula nyama.", "sw"),
    Pair("Fish", "Samaki", "sw"),
]


def best(table: TranslationTable, *words: str) -> list[str]:
    return [table[word][0].word for word in words]


def test_learned_translations() -> None:
    table = learn_table(PAIRS, iterations=10)
    assert best(table, "paka", "mbwa", "samaki", "analala") == ["cat", "dog", "fish", "sleeps"]
    assert (table.source, table.target, len(table)) == ("sw", "en", 6)
    assert table["tembo"] == []
    assert "paka" in table
    assert "Paka" not in table


def test_the_other_way() -> None:
    table = learn_table(PAIRS, from_english=True, iterations=10)
    assert best(table, "cat", "dog", "fish") == ["paka", "mbwa", "samaki"]
    assert (table.source, table.target) == ("en", "sw")


def test_symmetric_tables_are_the_mean_of_both_directions() -> None:
    forward = learn_table(PAIRS, symmetric=False, threshold=0.0)
    backward = learn_table(PAIRS, symmetric=False, from_english=True, threshold=0.0)
    both = learn_table(PAIRS, threshold=0.0)
    turned = {english: {word: p for word, p in backward[english]} for english in ("cat", "fish", "eats", "a")}
    means = {english: (p * turned[english]["samaki"]) ** 0.5 for english, p in forward["samaki"]}
    assert dict(both["samaki"]) == pytest.approx({word: mean / sum(means.values()) for word, mean in means.items()})


def test_unlikely_translations_are_left_out() -> None:
    whole = learn_table(PAIRS, threshold=0.0)
    likely = learn_table(PAIRS, threshold=0.1)
    assert likely["paka"] == [one for one in whole["paka"] if one.probability >= 0.1]
    assert 0 < len(likely["paka"]) < len(whole["paka"])
    assert learn_table(PAIRS, most=1, threshold=0.0)["paka"] == whole["paka"][:1]
    with pytest.raises(UsageError, match=r"^no translation has a probability of 2 or more"):
        learn_table(PAIRS, threshold=2)


@pytest.mark.parametrize("name", ["sw-en.tsv", "sw-en.tsv.gz", "sw-en.tsv.xz", "sw-en.tsv.zst"])
def test_written_tables_read_back(name: str, tmp_path: Path) -> None:
    table = learn_table(PAIRS)
    write_table(table, tmp_path / name)
    again = read_table(tmp_path / name, "swa")
    assert again.frame.equals(table.frame)
    assert is_table(tmp_path / name)
    assert again.about["method"]["model"] == "IBM Model 1"
    assert again.about["data"] == {"pairs": 5, "pairs sha256": table.about["data"]["pairs sha256"]}
    assert len(json.loads((tmp_path / f"{name}.meta.json").read_text())["log likelihoods"]["p(source | target)"]) == 6


def test_the_file_is_readable(tmp_path: Path) -> None:
    frame = pl.DataFrame({"source": ["paka", "paka"], "target": ["cat", '"cats"'], "probability": [0.75, 0.125]})
    write_table(TranslationTable(frame, "sw", "en", {}), tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text() == 'source\ttarget\tprobability\npaka\tcat\t0.75\npaka\t"cats"\t0.125\n'
    assert read_table(tmp_path / "t.tsv", "sw")["paka"] == [Alternative("cat", 0.75), Alternative('"cats"', 0.125)]


def test_words_of_any_spelling_are_found(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("source\ttarget\tprobability\nWasser\twater\t1.0\n")
    table = read_table(tmp_path / "t.tsv", "de")
    assert best(table, "wasser") == ["water"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("paka\tcat\t.5\n", r"t.tsv:1: the first line of a translation table is: source, tab, target, tab, prob"),
        ("source\ttarget\tprobability\npaka\tcat\n", r"t.tsv:2: a line of a translation table is: source, tab,"),
        ("source\ttarget\tprobability\npaka\tcat\thalf\n", r"t.tsv:2: the probability 'half' is not a number$"),
        (
            "source\ttarget\tprobability\npaka\tcat\tnan\n",
            r"t.tsv:2: the probability nan is not above 0 and at most 1$",
        ),
        ("source\ttarget\tprobability\npaka\tcat\t.5\npaka\tcat\t.1\n", r"t.tsv:3: paka with the translation cat is"),
        ("source\ttarget\tprobability\n", r"t.tsv has no translations$"),
    ],
)
def test_bad_files_are_refused_with_their_line(lines: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(lines)
    with pytest.raises(ClirError, match=message):
        read_table(tmp_path / "t.tsv", "sw")


def test_tables_of_other_languages_are_refused(tmp_path: Path) -> None:
    write_table(learn_table(PAIRS), tmp_path / "t.tsv")
    with pytest.raises(UsageError, match=r"t.tsv translates from sw to en, not from 'ha' to 'en'$"):
        read_table(tmp_path / "t.tsv", "ha")
    with pytest.raises(UsageError, match=r"learned from pairs of one language, not 2$"):
        learn_table([*PAIRS, Pair("House", "Gida", "ha")])
    with pytest.raises(UsageError, match=r"t.txt: a translation table is a .tsv or .tsv.gz file$"):
        write_table(learn_table(PAIRS), tmp_path / "t.txt")


def test_bitext_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_text("A cat\tPaka\n")
    with gzip.open(tmp_path / "t.tsv.gz", "wt") as handle:
        handle.write("source\ttarget\tprobability\n")
    assert not is_table(tmp_path / "b.tsv")
    assert not is_table(tmp_path / "none.tsv")
    assert is_table(tmp_path / "t.tsv.gz")


def test_a_table_without_its_header_is_not_taken_for_bitext(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("maji\twater\t0.9\nmaji\tjuice\t0.1\n")
    with pytest.raises(UsageError, match="without its first line: source, target, probability"):
        table_source(str(tmp_path / "t.tsv"), "sw", "en")
    (tmp_path / "b.tsv").write_text("water\tmaji\tCC-BY 2.0\n")
    assert table_source(str(tmp_path / "b.tsv"), "sw", "en").table().frame["source"].to_list() == ["maji"]


def test_tables_with_quotes_and_carriage_returns(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b'"source"\t"target"\t"probability"\r"paka"\t"cat"\t"0.5"\r')
    assert is_table(tmp_path / "t.tsv")
    assert read_table(tmp_path / "t.tsv", "sw")["paka"] == [Alternative("cat", 0.5)]
    (tmp_path / "t.tsv").write_text('source\ttarget\tprobability\npaka\t"the ""cat"""\t.5\n')
    assert read_table(tmp_path / "t.tsv", "sw")["paka"] == [Alternative('the "cat"', 0.5)]
