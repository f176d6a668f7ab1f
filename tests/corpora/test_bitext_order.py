"""Which side of bitext is English: what names of files, columns and header lines say, and what is made of it."""

from pathlib import Path

import pytest

from clir.corpora.bitext import Pair, read_bitext, read_bitext_with_report
from clir.corpora.bitext_lines import HEADER
from clir.support.errors import ClirError, UsageError

ENGLISH = "The well is deep.\nBring the water.\nGoats eat leaves.\n"
SWAHILI = "Kisima ni kirefu.\nLete maji.\nMbuzi hula majani.\n"
PAIRS = [Pair(*both, "sw") for both in zip(ENGLISH.splitlines(), SWAHILI.splitlines(), strict=True)]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, "utf-8", newline="")
    return name


NAMES = [
    ("news.en", "news.sw"),
    ("news.en.gz", "news.sw.gz"),
    ("train.en-sw.en", "train.en-sw.sw"),
    ("train.sw-en.en", "train.sw-en.sw"),
    ("en.txt", "sw.txt"),
    ("news_en.txt", "news_sw.txt"),
    ("data/en/x.txt", "data/sw/x.txt"),
    ("a.eng", "a.swa"),
    ("dev.eng_Latn", "dev.swh_Latn"),
    ("eng_Latn.dev", "swh_Latn.dev"),
    ("English.txt", "Swahili.txt"),
    ("x.en-US", "x.sw_KE"),
    ("kit_eng-hau_ENG.txt", "kit_eng-swa_SWA.txt"),
    ("NEWS.EN", "NEWS.SW"),
]


@pytest.mark.parametrize(("english", "swahili"), NAMES)
def test_files_that_are_named_the_other_way_round_are_refused(english: str, swahili: str) -> None:
    write(english, ENGLISH)
    write(swahili, SWAHILI)
    assert read_bitext([f"sw={english},{swahili}"]) == PAIRS
    with pytest.raises(UsageError) as caught:
        read_bitext([f"{swahili},{english}"], ["swa"])
    assert f"English comes first: write sw={english},{swahili};" in str(caught.value)
    assert f"write sw={swahili},{english}:en,sw" in str(caught.value)


def test_it_can_be_said_which_file_is_which() -> None:
    write("news.en", ENGLISH)
    write("news.sw", SWAHILI)
    assert read_bitext(["sw=news.sw,news.en:sw,en"]) == PAIRS
    assert read_bitext(["sw=news.sw,news.en:swahili,eng"]) == PAIRS
    turned = [Pair(pair.foreign, pair.english, "sw") for pair in PAIRS]
    assert read_bitext(["sw=news.sw,news.en:en,sw"]) == turned
    with pytest.raises(UsageError, match=r"behind two files stand their languages, en,sw or sw,en$"):
        read_bitext(["sw=news.sw,news.en:1,2"])
    with pytest.raises(UsageError, match=r"behind two files stand their languages"):
        read_bitext(["sw=news.sw,news.en:en,ha"])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a.en", "b.en", "the file in sw comes second, and b.en is English by its name"),
        ("a.sw", "b.sw", "English comes first, and a.sw is Swahili by its name"),
        ("one.txt", "two.english.txt", "the file in sw comes second, and two.english.txt is English by its name"),
        ("kiswahili.sw", "kiingereza.txt", "English comes first, and kiswahili.sw is Swahili by its name"),
        ("a.en", "a.en", "both sides are the same file"),
        ("a.jsonl", "b.jsonl", "two files are line-aligned text; a.jsonl holds pairs: give it by itself"),
        ("a.en", "b.tmx.gz", "two files are line-aligned text; b.tmx.gz holds pairs: give it by itself"),
    ],
)
def test_names_that_contradict(first: str, second: str, message: str) -> None:
    write(first, ENGLISH)
    write(second, SWAHILI)
    with pytest.raises(UsageError) as caught:
        read_bitext([f"sw={first},{second}"])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.src", "a.tgt"),
        ("part-1.txt", "part-2.txt"),
        ("source", "target"),
        ("en-sw/a.1", "en-sw/a.2"),
        ("x.a", "sw.b"),
    ],
)
def test_names_that_say_nothing_are_believed(first: str, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(first, ENGLISH)
    write(second, SWAHILI)
    assert read_bitext([f"sw={first},{second}"]) == PAIRS
    assert capsys.readouterr().err == ""


def test_another_language_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.en", ENGLISH)
    write("a.ha", "Rijiyar tana da zurfi.\nKawo ruwa.\nAwaki suna cin ganye.\n")
    read_bitext(["sw=a.en,a.ha"])
    assert capsys.readouterr().err == "bitext sw=a.en,a.ha: a.ha is Hausa by its name, and read as Swahili\n"


def test_columns_named_the_other_way_round_are_refused() -> None:
    write("c.tsv", "en\tsw\nOne\tmoja\n")
    write("d.jsonl", '{"translation": {"en": "One", "sw": "moja"}}\n')
    with pytest.raises(UsageError, match=r"English comes first: write :en,sw at the end"):
        read_bitext(["sw=c.tsv:sw,en"])
    with pytest.raises(UsageError, match=r"English comes first: write :translation.en,translation.sw at the end"):
        read_bitext(["sw=d.jsonl:translation.sw,translation.en"])


# header, a row under it, what is read
HEADERS = [
    ("en\tsw", "One\tmoja"),
    ("sw\ten", "moja\tOne"),
    ("english\tswahili", "One\tmoja"),
    ("Swahili\tEnglish", "moja\tOne"),
    ("id\teng_Latn\tswh_Latn", "7\tOne\tmoja"),
    ("source\ttarget", "One\tmoja"),
    ("src\ttgt", "One\tmoja"),
    ("id\tSource Text\tTarget-Text", "7\tOne\tmoja"),
    ("reason\tlanguage\tenglish\tforeign", "x\tsw\tOne\tmoja"),
    ("translation\ten", "moja\tOne"),
    ("en-GB\tsw-KE\tnote", "One\tmoja\tx"),
]


@pytest.mark.parametrize("commas", [False, True])
@pytest.mark.parametrize(("header", "row"), HEADERS)
def test_a_header_line_is_no_pair(header: str, row: str, commas: bool, capsys: pytest.CaptureFixture[str]) -> None:
    name = write("c.csv" if commas else "c.tsv", f"{header}\n{row}\n".replace("\t", "," if commas else "\t"))
    pairs, report = read_bitext_with_report([f"sw={name}"])
    assert pairs == [Pair("One", "moja", "sw")]
    assert (report, report.mended) == ({"kept": 1}, {HEADER: 1})
    assert capsys.readouterr().err == (
        f"{name}:1: a header line ({', '.join(header.split(chr(9)))}), not a pair: left out\n"
    )


@pytest.mark.parametrize(
    "row", ["English\tKiingereza", "The source\tChanzo", "en\tkatika", "No\tHapana", "Source\tChanzo", "So\tno"]
)
def test_a_first_pair_is_not_lost(row: str) -> None:
    write("c.tsv", f"{row}\nOne\tmoja\n")
    pairs, report = read_bitext_with_report(["sw=c.tsv"])
    assert pairs == [Pair(*row.split("\t"), "sw"), Pair("One", "moja", "sw")]
    assert not report.mended


def test_what_may_be_a_header_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write("c.tsv", "English\tKiswahili\nOne\tmoja\n")
    assert len(read_bitext(["sw=c.tsv"])) == 2
    assert capsys.readouterr().err == (
        "c.tsv:1: read as a pair: 'English', 'Kiswahili'; if it is a header line, take it out\n"
    )


def test_a_header_of_another_language_is_refused() -> None:
    write("c.tsv", "en\tha\nOne\tdaya\n")
    with pytest.raises(ClirError, match=r"c\.tsv:1: a header line \(en, ha\) without sw: is the bitext in ha\?"):
        read_bitext(["sw=c.tsv"])


def test_columns_by_number_leave_a_header_out(capsys: pytest.CaptureFixture[str]) -> None:
    write("c.tsv", "sw\ten\nmoja\tOne\n")
    assert read_bitext(["sw=c.tsv:2,1"]) == [Pair("One", "moja", "sw")]
    assert "read as said" not in capsys.readouterr().err
    assert read_bitext(["sw=c.tsv:1,2"]) == [Pair("moja", "One", "sw")]
    assert "columns 1,2 are read as said, though the header calls them otherwise" in capsys.readouterr().err


@pytest.mark.parametrize(("one", "other"), [("en", "sw"), ("English", "Swahili"), ("source", "target")])
def test_first_lines_of_a_moses_pair_that_are_names(one: str, other: str) -> None:
    write("a.1", f"{one}\r\n{ENGLISH}")
    write("a.2", f"{other}\n{SWAHILI}")
    pairs, report = read_bitext_with_report(["sw=a.1,a.2"])
    assert pairs == PAIRS
    assert report.mended == {HEADER: 1}


def test_first_lines_that_say_the_other_order_are_refused() -> None:
    write("a.1", f"sw\n{ENGLISH}")
    write("a.2", f"en\n{SWAHILI}")
    with pytest.raises(ClirError, match=r"a\.1:1: the first lines \(sw, en\) say that the second file is the English"):
        read_bitext(["sw=a.1,a.2"])
    assert read_bitext(["sw=a.1,a.2:en,sw"]) == PAIRS


def test_sides_that_look_exchanged_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    write("c.tsv", "".join(f"{pair.foreign}\t{pair.english}\n" for pair in PAIRS))
    read_bitext(["sw=c.tsv"])
    assert capsys.readouterr().err.startswith("c.tsv: the side that is read as English does not look like it")
    write("d.tsv", "".join(f"{pair.english}\t{pair.english} And the rest of it.\n" for pair in PAIRS))
    read_bitext(["sw=d.tsv"])
    assert capsys.readouterr().err == "d.tsv: both sides look like English\n"
    write("e.tsv", "".join(f"{pair.english}\t{pair.foreign}\n" for pair in PAIRS))
    read_bitext(["sw=e.tsv"])
    assert capsys.readouterr().err == ""
