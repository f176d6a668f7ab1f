"""Bitext in files as other programs write them: line ends, compression, quotes, Parquet, odd TMX; what is mended."""

import bz2
import gzip
import io
import json
import lzma
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from clir.corpora.bitext import Pair, read_bitext, read_bitext_with_report
from clir.corpora.bitext_lines import QUOTED, RETURNS
from clir.corpora.escapes import ESCAPES, TAGS
from clir.support.errors import ClirError, UsageError

PAIRS = [
    Pair("The well is deep.", "Kisima ni kirefu.", "sw"),
    Pair("Bring the water.", "Lete maji.", "sw"),
    Pair("Goats eat leaves.", "Mbuzi hula majani.", "sw"),
]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    Path(name).write_text(text, "utf-8", newline="")
    return name


def side(at: int, end: str = "\n", last: bool = True) -> str:
    return end.join(pair[at] for pair in PAIRS) + (end if last else "")


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("one", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("other", ["\n", "\r\n", "\r"])
def test_moses_sides_with_line_ends_of_their_own(one: str, other: str, last: bool) -> None:
    write("a.en", side(0, one, last))
    write("a.sw", side(1, other))
    pairs, report = read_bitext_with_report(["sw=a.en,a.sw"])
    assert pairs == PAIRS
    assert not report.mended


def test_a_table_with_carriage_returns() -> None:
    write("a.tsv", "".join(f"{pair.english}\t{pair.foreign}\r" for pair in PAIRS))
    assert read_bitext(["sw=a.tsv"]) == PAIRS
    write("a.csv", "".join(f"{pair.english},{pair.foreign}\r" for pair in PAIRS))
    assert read_bitext(["sw=a.csv"]) == PAIRS


def test_a_carriage_return_inside_a_line_moves_no_pair() -> None:
    write("a.en", side(0).replace("well is", "well\ris"))
    write("a.sw", side(1))
    pairs, report = read_bitext_with_report(["sw=a.en,a.sw"])
    assert pairs == PAIRS
    assert report.mended == {RETURNS: 1}
    write("a.tsv", "The well\ris deep.\tKisima ni kirefu.\n")
    pairs, report = read_bitext_with_report(["sw=a.tsv"])
    assert pairs == PAIRS[:1]
    assert report.mended == {RETURNS: 1}


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\u2029", "\x0b", "\x0c", "\x1c"])
def test_other_separators_end_no_line(mark: str) -> None:
    write("a.en", side(0).replace("well is", f"well{mark}is"))
    write("a.sw", side(1, "\r"))
    assert read_bitext(["sw=a.en,a.sw"]) == PAIRS
    write("a.tsv", f"The well{mark}is deep.\tKisima ni kirefu.\r")
    assert read_bitext(["sw=a.tsv"]) == PAIRS[:1]
    write("a.csv", f"The well{mark}is deep.,Kisima ni kirefu.\n")
    assert read_bitext(["sw=a.csv"]) == PAIRS[:1]
    write("a.jsonl", json.dumps({"en": f"The well{mark}is deep.", "sw": "Kisima ni kirefu."}, ensure_ascii=False))
    assert read_bitext(["sw=a.jsonl"]) == PAIRS[:1]


def test_line_ends_of_two_kinds_are_refused_where_pairs_would_run_together() -> None:
    write("a.en", "The well is deep.\nBring the water.\rGoats eat leaves.\n")
    write("a.sw", "Kisima ni kirefu.\nLete maji.\rMbuzi hula majani.\n")
    with pytest.raises(ClirError, match=r"a\.en:2: carriage returns inside the line, on both sides: make all line"):
        read_bitext(["sw=a.en,a.sw"])
    write("a.sw", side(1))
    with pytest.raises(ClirError, match=r"a\.en has 2 lines, a\.sw has 3 \(a\.en:2 has a carriage return inside: "):
        read_bitext(["sw=a.en,a.sw"])
    write("a.tsv", "The well is deep.\tKisima ni kirefu.\nBring the water.\tLete maji.\rGoats eat\tMbuzi hula\n")
    with pytest.raises(ClirError, match=r"a\.tsv:2: carriage returns inside the line, between rows"):
        read_bitext(["sw=a.tsv"])


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inside", data)
    return buffer.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".zip": zipped,
}
TMX = (
    "<tmx version='1.4'><body><tu><tuv xml:lang='en'><seg>The well is deep.</seg></tuv>"
    "<tuv xml:lang='sw'><seg>Kisima ni kirefu.</seg></tuv></tu></body></tmx>"
)


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("b.tmx", TMX),
        ("c.tsv", "The well is deep.\tKisima ni kirefu.\n"),
        ("c.CSV", "The well is deep.,Kisima ni kirefu.\n"),
        ("d.json", '[{"en": "The well is deep.", "sw": "Kisima ni kirefu."}]'),
    ],
)
def test_compressed(name: str, text: str, ending: str) -> None:
    Path(name + ending).write_bytes(PACKERS[ending](text.encode()))
    assert read_bitext([f"sw={name}{ending}"]) == PAIRS[:1]
    if "c." in name:
        assert read_bitext([f"sw={name}{ending}:1,2"]) == PAIRS[:1]


@pytest.mark.parametrize("ending", PACKERS)
def test_a_compressed_moses_pair(ending: str) -> None:
    for at, code in enumerate(("en", "sw")):
        Path(f"a.{code}{ending}").write_bytes(PACKERS[ending](side(at).encode()))
    assert read_bitext([f"sw=a.en{ending},a.sw{ending}"]) == PAIRS


OBJECT = '{"en": "The well is deep.",\n "sw": "Kisima ni kirefu."}'


@pytest.mark.parametrize("text", [f"[{OBJECT}]", f"{OBJECT}\n", f"\n[\n{OBJECT}\n]\n", OBJECT.replace("\n", "\r")])
def test_json_in_lists_and_over_lines(text: str) -> None:
    write("d.json", text)
    assert read_bitext(["sw=d.json"]) == PAIRS[:1]
    write("d.json", text.replace('"en"', '"English"').replace('"sw"', '"SWAHILI"'))
    assert read_bitext(["sw=d.json"]) == PAIRS[:1]


def test_a_repeated_key_is_refused() -> None:
    write("d.jsonl", '{"en": "one", "sw": "moja", "en": "two"}\n')
    with pytest.raises(ClirError, match=r"d\.jsonl:1: the key 'en' stands twice"):
        read_bitext(["sw=d.jsonl"])


def parquet(name: str, columns: dict[str, list[object]]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), name)


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"en": 0, "sw": 1}, ""),
        ({"Swahili": 1, "id": 2, "English": 0}, ""),
        ({"a": 0, "b": 1, "en_url": 2}, ":a,b"),
    ],
)
def test_parquet(columns: dict[str, int], chosen: str) -> None:
    values = [[pair.english for pair in PAIRS], [pair.foreign for pair in PAIRS], [1, 2, 3]]
    parquet("d.parquet", {name: list(values[at]) for name, at in columns.items()})
    assert read_bitext([f"sw=d.parquet{chosen}"]) == PAIRS
    if chosen:
        with pytest.raises(ClirError, match=r"d\.parquet: row 1: no text in en \(keys: a, b, en_url\); name the keys"):
            read_bitext(["sw=d.parquet"])


def test_parquet_of_hugging_face_datasets() -> None:
    parquet("d.parquet", {"translation": [{"en": pair.english, "sw": pair.foreign} for pair in PAIRS], "n": [1, 2, 3]})
    assert read_bitext(["sw=d.parquet"]) == PAIRS
    assert read_bitext(["sw=d.parquet:translation.en,translation.sw"]) == PAIRS


def test_null_in_parquet_is_an_empty_side() -> None:
    parquet("d.parquet", {"en": [PAIRS[0].english, None], "sw": [PAIRS[0].foreign, "Lete maji."]})
    pairs, report = read_bitext_with_report(["sw=d.parquet"])
    assert pairs == PAIRS[:1]
    assert report == {"kept": 1, "a side is empty": 1}


def test_what_is_no_parquet() -> None:
    write("d.parquet", "en,sw\n")
    with pytest.raises(ClirError, match=r"d\.parquet is not a Parquet file"):
        read_bitext(["sw=d.parquet"])


def test_csv() -> None:
    write("c.csv", 'The well is deep.,Kisima ni kirefu.\n"He said, ""come"".",Alisema njoo.\n"Over\nlines",Mistari\n')
    assert read_bitext(["sw=c.csv"])[1:] == [
        Pair('He said, "come".', "Alisema njoo.", "sw"),
        Pair("Over lines", "Mistari", "sw"),
    ]
    write("c.csv", "id,sourceLang,sourceString,targetString\n1,en,One,moja\n")
    assert read_bitext(["sw=c.csv:sourceString,targetString"]) == [Pair("One", "moja", "sw")]
    assert read_bitext(["sw=c.csv:3,4"]) == [Pair("One", "moja", "sw")]
    write("c.csv", "1,one,moja\n")
    with pytest.raises(ClirError, match=r"c\.csv:1: 3 columns: name those of the texts, as c\.csv:ENGLISH,FOREIGN"):
        read_bitext(["sw=c.csv"])
    write("c.csv", "One,moja\nOne, two,moja mbili\n")
    with pytest.raises(ClirError, match=r"c\.csv:2: 3 columns, not the 2 of the first row"):
        read_bitext(["sw=c.csv"])


QUOTES = 'He said ""come"".'


def test_quotes_of_csv_in_a_table_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    write("c.tsv", f'"{QUOTES}"\tAlisema njoo.\nOne\tmoja\n')
    pairs, report = read_bitext_with_report(["sw=c.tsv"])
    assert pairs[0] == Pair('He said "come".', "Alisema njoo.", "sw")
    assert report.mended == {QUOTED: 1}
    assert capsys.readouterr().err == "c.tsv: cells are in quotes, as CSV has them: taken off\n"
    # One cell that only begins with a quote shows that quotes are text.
    write("c.tsv", f'"{QUOTES}"\tAlisema njoo.\n"Come" he said.\tNjoo.\n')
    pairs, report = read_bitext_with_report(["sw=c.tsv"])
    assert pairs[0].english == f'"{QUOTES}"'
    assert not report.mended


def test_all_cells_in_quotes() -> None:
    write("c.tsv", '"en"\t"sw"\n"The well is deep."\t"Kisima ni kirefu."\n"Bring the water."\t"Lete maji."\n')
    assert read_bitext(["sw=c.tsv"]) == PAIRS[:2]
    write("c.tsv", '"The well is deep."\t"Kisima ni kirefu."\n"Bring the water."\tLete maji.\n')
    assert read_bitext(["sw=c.tsv"])[1] == Pair('"Bring the water."', "Lete maji.", "sw")


def test_of_a_pipe_quotes_are_text() -> None:
    os.mkfifo("c.tsv")
    writer = threading.Thread(target=write, args=("c.tsv", f'"{QUOTES}"\tAlisema njoo.\n'))
    writer.start()
    assert read_bitext(["sw=c.tsv"])[0].english == f'"{QUOTES}"'
    writer.join()


def test_escapes_and_tags_are_counted() -> None:
    write("a.en", "Tom &amp; Amina &quot;went&quot; .\nAT&T and R&B\n<b>x</b> &nbsp; y\n&nbsp;\n")
    write("a.sw", "Tom &amp; Amina\nAT&T na R&B\nx &#39;y&#39;\ntupu\n")
    pairs, report = read_bitext_with_report(["sw=a.en,a.sw"])
    assert [pair[:2] for pair in pairs] == [
        ('Tom & Amina "went" .', "Tom & Amina"),
        ("AT&T and R&B", "AT&T na R&B"),
        ("<b>x</b> y", "x 'y'"),
    ]
    assert report == {"kept": 3, "a side is empty": 1}
    assert report.mended == {ESCAPES: 3, TAGS: 1}


def test_what_a_tmx_escapes_twice_is_undone() -> None:
    write("b.tmx", TMX.replace("is deep", "is &amp;lt; 9 m &amp; deep"))
    assert read_bitext(["sw=b.tmx"])[0].english == "The well is < 9 m & deep."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TMX.replace("seg>", "text>"), "units: 1; 2 <tuv> without a <seg>, in which TMX keeps the text)"),
        (TMX.replace("xml:lang", "language"), "units: 1; 2 <tuv> without xml:lang; attributes: language)"),
        (TMX.replace("'sw'", "'ha'"), "with both en and sw (its languages: en, ha; units: 1)"),
        ("<tmx version='1.4'><body/></tmx>", "b.tmx has no translation unit (<tu>): it is no TMX, or an empty one"),
        ("<xliff><file/></xliff>", "b.tmx has no translation unit (<tu>)"),
        ("", "b.tmx:1: broken XML: no element found"),
    ],
)
def test_a_tmx_without_pairs_says_what_it_has(text: str, message: str) -> None:
    write("b.tmx", text)
    with pytest.raises(ClirError) as caught:
        read_bitext(["sw=b.tmx"])
    assert type(caught.value) is ClirError
    assert message in str(caught.value)


def test_a_unit_without_a_segment_is_counted() -> None:
    broken = TMX.replace("</body>", "<tu><tuv xml:lang='en'>One</tuv><tuv xml:lang='sw'><seg>x</seg></tuv></tu></body>")
    write("b.tmx", broken)
    assert read_bitext_with_report(["sw=b.tmx"])[1] == {"kept": 1, "a <seg> is missing": 1}


def test_other_endings_are_refused_with_those_that_are_read() -> None:
    write("b.sgm", TMX)
    with pytest.raises(UsageError, match=r"nor a \.tmx, \.tsv or \.jsonl file \(nor \.csv or \.parquet\)$"):
        read_bitext(["sw=b.sgm"])
