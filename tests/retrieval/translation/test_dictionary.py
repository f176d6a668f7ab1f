"""Dictionaries: what is read from TEI and from tables, and which translations of a text they give."""

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from clir.corpora.collection import Topic
from clir.retrieval.translation.dictionary import Dictionary, DictionaryTranslator, read_dictionary
from clir.support.errors import ClirError, UsageError

TEI = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE TEI SYSTEM "freedict-P5.dtd">
<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><title>kamusi ndogo</title></teiHeader><text><body>
<entry xml:id="bomba"><form xml:lang="sw"><orth>Bomba</orth><orth type="variant">pampu</orth></form>
  <sense n="1"><def>pump (for water), tap</def><note type="editor">check this</note></sense>
  <sense n="2"><def>pipe</def></sense></entry>
<entry type="pl" xml:id="mabomba"><form xml:lang="sw"><orth>mabomba</orth></form>
  <sense><note type="def">Plural of <ref target="#bomba">bomba</ref>: pump</note></sense></entry>
<entry><form xml:lang="sw"><orth>piga simu</orth></form>
  <sense><cit type="trans"><quote>phone; call sb</quote></cit>
    <cit type="example"><quote>alipiga simu jana</quote><cit type="trans"><quote>he phoned yesterday</quote></cit></cit>
  </sense></entry>
<entry><form xml:lang="sw"><orth>piga</orth></form>
  <sense><sense><def>hit<note>with a hand</note></def></sense></sense></entry>
<entry><form xml:lang="sw"><orth>-zuri</orth></form><trans><tr>good</tr></trans></entry>
<entry><form xml:lang="sw"><orth>lo!</orth></form><sense><note type="hint">an exclamation</note></sense></entry>
</body></text></TEI>
"""
EXPECTED = {
    "bomba": ("pump", "tap", "pipe"),
    "pampu": ("pump", "tap", "pipe"),
    "mabomba": ("pump", "tap", "pipe"),
    "piga simu": ("phone", "call"),
    "piga": ("hit",),
    "zuri": ("good",),
}


@pytest.mark.parametrize("name", ["d.tei", "d.xml", "d.tei.gz"])
def test_tei(name: str, tmp_path: Path) -> None:
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wt", encoding="utf-8") as handle:
        handle.write(TEI)
    assert read_dictionary(tmp_path / name) == Dictionary(EXPECTED, "sw")


def test_table(tmp_path: Path) -> None:
    text = "# kamusi\nBomba\tpump [of water], tap\npiga simu\tphone\tcall sb.\n\nbomba\tpipe / pump\n"
    (tmp_path / "d.tsv").write_text(text)
    found = read_dictionary(tmp_path / "d.tsv")
    assert found == Dictionary({"bomba": ("pump", "tap", "pipe"), "piga simu": ("phone", "call")})


def test_freedict_s_swahili(shared_data: Path) -> None:
    found = read_dictionary(shared_data / "freedict" / "swh-eng.tei")
    assert (len(found.entries), found.longest, found.language) == (2591, 3, "sw")
    # A plural, a variant spelling, and an adjective that is written with a hyphen.
    assert found.entries["makanisa"] == ("church",)
    assert found.entries["ofisi"] == ("office", "bureau")
    assert "bad" in found.entries["baya"]


@pytest.mark.parametrize(
    ("senses", "untranslated", "expected"),
    [
        ("all", "keep", "Amina phone call Bomba-X hit"),
        ("first", "keep", "Amina phone Bomba-X hit"),
        ("first", "drop", "phone hit"),
    ],
)
def test_the_longest_headword_is_taken(senses: str, untranslated: str, expected: str) -> None:
    text = ["Amina", "PIGA", "Simu", "Bomba-X", "piga"]
    dictionary = Dictionary(EXPECTED)
    assert " ".join(dictionary.translate(text, senses, untranslated)) == expected  # type: ignore[arg-type]


def test_translating_topics(tmp_path: Path) -> None:
    (tmp_path / "d.tei").write_text(TEI)
    translate = DictionaryTranslator(tmp_path / "d.tei", "swa", senses="first")
    topics = [Topic("001", "Je, mabomba ya Nairobi?"), Topic("NA", "...")]
    assert translate(topics) == [Topic("001", "Je pump ya Nairobi"), Topic("NA", "")]


def test_a_dictionary_from_another_language(tmp_path: Path) -> None:
    (tmp_path / "d.tei").write_text(TEI)
    with pytest.raises(UsageError, match=r"d.tei translates from 'sw', not from 'ha'$"):
        DictionaryTranslator(tmp_path / "d.tei", "ha")([Topic("1", "gida")])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.tsv", "bomba\tpump\npampu pump\n", r"d.tsv:2: a line of a dictionary is: headword, tab, translations$"),
        ("d.tsv", "bomba\t(of water)\n", r"d.tsv has no translations$"),
        ("d.tei", "<TEI><body><entry></body></TEI>", r"d.tei:1: broken XML: mismatched tag"),
        ("d.tei", "<TEI><body/></TEI>", r"d.tei has no dictionary entry \(TEI: entry with form and orth\)$"),
        (
            "d.tei",
            '<!DOCTYPE a [<!ENTITY x "y">]><TEI>&x;</TEI>',
            r"d.tei: XML with entities or external references is",
        ),
        ("d.dict", "bomba pump", r"d.dict is not read as a dictionary: its name must end in one of .tei, .xml,"),
    ],
)
def test_bad_dictionaries_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ClirError, match=message):
        read_dictionary(tmp_path / name)


def test_missing_dictionary() -> None:
    with pytest.raises(UsageError, match=r"^dictionary not found: none.tei$"):
        DictionaryTranslator("none.tei", "sw")


@pytest.mark.parametrize("name", ["d.tsv.bz2", "d.txt.xz", "d.TSV.gz"])
def test_compressed_tables(name: str, tmp_path: Path) -> None:
    packer = {"2": bz2.compress, "x": lzma.compress, "g": gzip.compress}[name[-1] if name[-1] == "2" else name[-2]]
    (tmp_path / name).write_bytes(packer(b"paka\tcat\n"))
    assert read_dictionary(tmp_path / name).entries == {"paka": ("cat",)}


def test_carriage_returns_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_bytes(b"paka\tcat\rmbwa\tdog\r")
    assert read_dictionary(tmp_path / "d.tsv").entries == {"paka": ("cat",), "mbwa": ("dog",)}
    (tmp_path / "d.tsv").write_text('paka\t"the ""cat"""\nmbwa\tdog\n')
    assert read_dictionary(tmp_path / "d.tsv").entries == {"paka": ("the cat",), "mbwa": ("dog",)}


@pytest.mark.parametrize(
    ("header", "language"),
    [("sw\ten", "sw"), ("Swahili\tEnglish", "sw"), ("word\ttranslation", None), ("english\tswahili", "en")],
)
def test_a_header_is_no_entry(
    header: str, language: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.tsv").write_text(f"# kamusi\n{header}\npaka\tcat\n")
    assert read_dictionary(tmp_path / "d.tsv") == Dictionary({"paka": ("cat",)}, language)
    assert "d.tsv:2: a header line (" in capsys.readouterr().err
    if language == "en":
        with pytest.raises(UsageError, match=r"translates from 'en', not from 'sw'"):
            DictionaryTranslator(tmp_path / "d.tsv", "sw")([Topic("1", "paka")])


@pytest.mark.parametrize("entry", ["kiingereza\tEnglish", "English\tKiingereza", "neno\tword", "word\tneno"])
def test_a_first_entry_is_not_lost(entry: str, tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text(f"{entry}\npaka\tcat\n")
    assert len(read_dictionary(tmp_path / "d.tsv").entries) == 2
