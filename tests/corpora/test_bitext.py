"""Bitext readers: Moses pairs, tab-separated files, TMX; what is dropped, what is refused."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from clir.corpora.bitext import Pair, read_bitext, read_bitext_with_report
from clir.support.errors import ClirError, UsageError


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    Path(name).write_text(text, "utf-8", newline="")
    return name


def test_a_moses_pair() -> None:
    write("a.en", "The  well is dry.\r\nGood\tnight\n\nLast line")
    write("a.sw", "Kisima kimekauka. \nUsiku mwema\nTupu\nMstari wa mwisho\n")
    pairs, report = read_bitext_with_report(["a.en,a.sw"], ["swa"])
    assert pairs == [
        Pair("The well is dry.", "Kisima kimekauka.", "sw"),
        Pair("Good night", "Usiku mwema", "sw"),
        Pair("Last line", "Mstari wa mwisho", "sw"),
    ]
    assert report == Counter({"kept": 3, "a side is empty": 1})


def test_lines_end_at_line_feeds_only() -> None:
    write("a.en", "one\u2028one\u0085\x0b\n")
    write("a.sw", "moja\n")
    assert read_bitext(["a.en,a.sw"], ["sw"]) == [Pair("one one", "moja", "sw")]


def test_a_tsv_with_attribution_is_put_in_nfc() -> None:
    write("c.tsv", "Where is the cafe\u0301?\tBawo ni o\u0323?\tCC-BY someone\n\n")
    pairs, report = read_bitext_with_report(["c.tsv"], ["yo"])
    assert pairs == [Pair("Where is the caf\u00e9?", "Bawo ni \u1ecd?", "yo")]
    assert report["a side is empty"] == 1


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"/><body>
<tu><prop>note</prop><tuv xml:lang="en-US"><seg>Wash <bpt i="1">&lt;b></bpt>your<ept i="1">&lt;/b></ept> hands
 &amp; feet</seg></tuv><tuv xml:lang="sw-KE"><seg>Osha <hi>mikono</hi> na miguu</seg></tuv></tu>
<tu><tuv lang="sw"><seg>Habari</seg></tuv><tuv lang="EN"><seg>Hello</seg></tuv><tuv lang="xx"><seg>?</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Only English</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Empty</seg></tuv><tuv xml:lang="sw"><seg> </seg></tuv></tu>
</body></tmx>
"""


@pytest.mark.parametrize("name", ["b.tmx", "b.tmx.gz"])
def test_tmx(name: str) -> None:
    data = TMX.encode()
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    pairs, report = read_bitext_with_report([name], ["sw"])
    assert pairs == [Pair("Wash your hands & feet", "Osha mikono na miguu", "sw"), Pair("Hello", "Habari", "sw")]
    assert report == Counter({"kept": 2, "a language is missing": 1, "a side is empty": 1})


def test_tagalog_is_found_in_a_filipino_tmx() -> None:
    write("b.tmx", TMX.replace('"sw-KE"', '"fil"'))
    assert read_bitext(["b.tmx"], ["tl"])[0].language == "tl"


def test_formatting_in_a_word_leaves_it_whole_and_an_empty_variant_is_passed_over() -> None:
    unit = """<tu><tuv xml:lang="en-GB"><seg> </seg></tuv>
<tuv xml:lang="en-US"><seg>Click <bpt i="1">&lt;b&gt;</bpt>Save<ept i="1">&lt;/b&gt;</ept>.<ph>br</ph>Then</seg></tuv>
<tuv xml:lang="sw"><seg>Bo<bpt i="1">x</bpt>fya</seg></tuv></tu>"""
    write("b.tmx", f'<tmx version="1.4"><body>{unit}</body></tmx>')
    assert read_bitext(["b.tmx"], ["sw"]) == [Pair("Click Save. Then", "Bofya", "sw")]


def test_the_plain_code_is_the_language_of_a_record() -> None:
    record = {
        "id": "17",
        "en_url": "http://x/en",
        "en": "Hello",
        "sw_url": "http://x/sw",
        "sw": "Habari",
        "ind": "Halo",
    }
    write("a.jsonl", json.dumps(record) + "\n")
    assert read_bitext(["a.jsonl"], ["sw"]) == [Pair("Hello", "Habari", "sw")]
    assert read_bitext(["a.jsonl"], ["id"]) == [Pair("Hello", "Halo", "id")]
    write("b.jsonl", '{"en_GB": "Hello", "zh-Hant-TW": "x y"}\n')
    assert read_bitext(["b.jsonl"], ["zh"]) == [Pair("Hello", "x y", "zh")]
    write("c.jsonl", '{"en_url": "Hello", "sw": "Habari"}\n')
    with pytest.raises(ClirError, match="no text in en"):
        read_bitext(["c.jsonl"], ["sw"])


def test_a_spec_longer_than_a_file_name_is_looked_at() -> None:
    with pytest.raises(ClirError, match="neither a Moses pair"):
        read_bitext(["+".join(f"corpus-number-{number}.en,corpus-number-{number}.sw" for number in range(12))], ["sw"])


def test_tmx_entities_are_refused() -> None:
    bomb = '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    write("bomb.tmx", TMX.replace('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', bomb).replace("Hello", "&b;"))
    with pytest.raises(ClirError, match=r"bomb\.tmx: XML with entities or external references is refused"):
        read_bitext(["bomb.tmx"], ["sw"])


def test_broken_tmx_and_tmx_without_the_language() -> None:
    write("broken.tmx", TMX[:-30])
    with pytest.raises(ClirError, match=r"broken\.tmx:\d+: broken XML"):
        read_bitext(["broken.tmx"], ["sw"])
    write("b.tmx", TMX)
    with pytest.raises(ClirError, match=r"no translation unit with both en and so \(its languages: EN, en, en-US, sw"):
        read_bitext(["b.tmx"], ["so"])


def test_control_and_invisible_characters_are_taken_out() -> None:
    write("c.tsv", "soft\u00adly\x07there\u200b\tक्\u200dष \u200eab\x00\ufeffc\n\x01\u200b\tx\n")
    pairs, report = read_bitext_with_report(["c.tsv"], ["mr"])
    assert pairs == [Pair("softly there", "क्\u200dष ab c", "mr")], "joiners belong to words"
    assert report == Counter({"kept": 1, "a side is empty": 1})
    assert report.examples() == {"a side is empty": [Pair("", "x", "mr")]}


TABLE = "id\tsource\ttarget\n7\tone\tmoja\textra\n\n8\ttwo\tmbili\n"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("columns", ["source,target", "2,3"])
def test_columns_by_name_and_by_position(zipped: bool, columns: str) -> None:
    text = TABLE if columns == "source,target" else TABLE.partition("\n")[2]
    name = "c.tsv.gz" if zipped else "c.tsv"
    Path(name).write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    pairs, report = read_bitext_with_report([f"sw={name}:{columns}"])
    assert pairs == [Pair("one", "moja", "sw"), Pair("two", "mbili", "sw")]
    assert report == Counter({"kept": 2, "a side is empty": 1})
    first, second = columns.split(",")
    assert read_bitext([f"{name}:{second},{first}"], ["sw"])[0] == Pair("moja", "one", "sw")


def test_a_file_comes_before_columns() -> None:
    write("c.tsv", TABLE)
    write("c.tsv:source,target", "whole\tnzima\n")
    with pytest.raises(UsageError, match=r"neither a Moses pair .* nor a \.tmx, \.tsv or \.jsonl file"):
        read_bitext(["sw=c.tsv:source,target"])
    write("c.tsv:2,a.txt", "whole\tnzima\n")
    assert read_bitext(["sw=c.tsv:2,a.txt"]) == [Pair("whole", "nzima", "sw")]
    write("d.tsv:2", "left\n")
    write("b.txt", "kushoto\n")
    assert read_bitext(["sw=d.tsv:2,b.txt"]) == [Pair("left", "kushoto", "sw")]
    Path("odd.tsv:dir").mkdir()
    write("odd.tsv:dir/c.tsv", TABLE)
    assert read_bitext(["sw=odd.tsv:dir/c.tsv:source,target"])[0] == Pair("one", "moja", "sw")


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ('{"translation": {"en": "one", "sw": "moja", "fr": "un"}, "id": 4}', ""),
        ('{"id": "4", "sw_KE": "moja", "eng_Latn": "one"}', ""),
        ('{"fr": "un", "swh": "moja", "en": "one"}', ""),
        ('{"source": "one", "target": "moja"}', ":source,target"),
        ('{"text": {"a": "one"}, "b.c": "moja"}', ":text.a,b.c"),
        ('{"1": "one", "2": "moja"}', ":1,2"),
    ],
)
@pytest.mark.parametrize("name", ["d.jsonl", "d.JSON.gz"])
def test_json_lines(line: str, columns: str, name: str) -> None:
    data = f"{line}\n\n{line.replace('moja', 'kimoja')}".encode()
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert read_bitext([f"swa={name}{columns}"]) == [Pair("one", "moja", "sw"), Pair("one", "kimoja", "sw")]


def test_null_in_json_is_an_empty_side() -> None:
    write("d.jsonl", '{"en": "one", "sw": "moja"}\n{"en": "two", "sw": null}\n')
    assert read_bitext_with_report(["d.jsonl"], ["sw"])[1] == Counter({"kept": 1, "a side is empty": 1})


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("c.tsv", TABLE, ":source,swahili", "c.tsv:1: no column 'swahili' in the header (columns: id, source, target)"),
        ("c.tsv", "a\ta\n1\t2\n", ":a,a", "c.tsv:1: more than one column 'a' in the header"),
        ("c.tsv", TABLE + "9\tthree\n", ":source,target", "c.tsv:5: 2 columns; column 3 is missing"),
        ("c.tsv", "one\tmoja\n", ":1,4", "c.tsv:1: 2 columns; column 4 is missing"),
        ("c.tsv", "", ":a,b", "no pairs in c.tsv"),
        ("d.jsonl", '{"en": "a", "sw": "b"}\n{"en": \n', "", "d.jsonl:2: not JSON: "),
        ("d.jsonl", "[1]\n", "", "d.jsonl:1: not a JSON object"),
        ("d.jsonl", '{"en": "a", "fr": "b"}\n', "", "d.jsonl:1: no text in sw (keys: en, fr)"),
        ("d.jsonl", '{"a": {"b": "x"}}\n', ":a.c,a.b", "d.jsonl:1: no key 'a.c' (keys: a)"),
        ("d.jsonl", '{"en": "a", "sw": ["b"]}\n', "", "d.jsonl:1: not a text: ['b']"),
        ("d.jsonl", "\n", "", "no pairs in d.jsonl"),
    ],
)
def test_bad_columns_and_bad_json(name: str, text: str, columns: str, message: str) -> None:
    write(name, text)
    with pytest.raises(ClirError) as caught:
        read_bitext([f"sw={name}{columns}"])
    assert type(caught.value) is ClirError
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sw=b.tmx:en,sw", "a .tmx file has languages and no columns: write b.tmx"),
        ("sw=c.tsv:0,1", "columns are counted from 1"),
        ("sw=no.tsv:a,b", "bitext not found: no.tsv"),
    ],
)
def test_columns_in_wrong_places(spec: str, message: str) -> None:
    write("b.tmx", TMX)
    write("c.tsv", TABLE)
    with pytest.raises(UsageError, match=message):
        read_bitext([spec])


def test_what_was_dropped_is_kept_aside() -> None:
    write("b.tmx", TMX)
    report = read_bitext_with_report(["b.tmx"], ["sw"])[1]
    assert [(reason, *pair) for reason, pair in report.dropped] == [
        ("a language is missing", "Only English", "", "sw"),
        ("a side is empty", "Empty", "", "sw"),
    ]
    for number in range(5):
        report.drop("odd", Pair(str(number), "x", "sw"))
    assert [pair.english for pair in report.examples(2)["odd"]] == ["0", "1"]
    assert report["odd"] == 5


def test_several_pieces_and_languages() -> None:
    for name in ("a.en", "a.sw", "b.en", "b.ha"):
        write(name, f"text of {name}\n")
    write("c.tsv", "one\tdaya\n")
    assert [pair.language for pair in read_bitext(["a.en,a.sw", "b.en,b.ha"], ["sw", "hau"])] == ["sw", "ha"]
    prefixed = read_bitext(["a.en,a.sw", "ha=b.en,b.ha", "hau=c.tsv"], ["sw"])
    assert [pair.language for pair in prefixed] == ["sw", "ha", "ha"]
    assert read_bitext(["ha=c.tsv"])[0] == Pair("one", "daya", "ha")


def test_sides_of_different_length() -> None:
    write("a.en", "one\ntwo\nthree\nfour\n")
    write("a.sw", "moja\nmbili")
    with pytest.raises(ClirError, match=r"^a\.sw:3: no such line; .* length: a\.en has 4 lines, a\.sw has 2$"):
        read_bitext(["a.en,a.sw"], ["sw"])
    with pytest.raises(ClirError, match=r"differ in length: a\.sw has 2 lines, a\.en has 4$"):
        read_bitext(["a.sw,a.en:en,sw"], ["sw"])


@pytest.mark.parametrize(
    ("specs", "codes", "error", "message"),
    [
        ([], ["sw"], UsageError, "no bitext given"),
        (["good.tsv"], [], UsageError, "no language given for the bitext good.tsv"),
        (["good.tsv"], ["xx"], UsageError, "unknown language 'xx'"),
        (["good.tsv"], ["eng"], UsageError, "cannot be English"),
        (["good.tsv"], ["sw", "ha"], UsageError, "1 pieces of bitext but 2 languages"),
        (["missing.tsv"], ["sw"], UsageError, "bitext not found: missing.tsv"),
        (["missing.en,good.tsv"], ["sw"], UsageError, "bitext not found: missing.en"),
        (["a.en"], ["sw"], UsageError, "neither a Moses pair"),
        (["a,b,c"], ["sw"], UsageError, "neither a Moses pair"),
        (["empty.tsv"], ["sw"], ClirError, "no pairs in empty.tsv"),
        (["bad.tsv"], ["sw"], ClirError, "bad.tsv:2: no tab"),
    ],
)
def test_bad_bitext(specs: list[str], codes: list[str], error: type[ClirError], message: str) -> None:
    write("good.tsv", "one\tmoja\n")
    write("empty.tsv", "")
    write("bad.tsv", "one\tmoja\ntwo mbili\n")
    with pytest.raises(error) as caught:
        read_bitext(specs, codes)
    assert type(caught.value) is error
    assert message in str(caught.value)


# Lines in the files, as the data's README and `wc -l` count them.
PUBLIC = {
    "sw=mafand/en-swa/train.en,mafand/en-swa/train.swa": 30_782,
    "ha=mafand/en-hau/train.en,mafand/en-hau/train.hau": 3_098,
    "yo=mafand/en-yor/train.en,mafand/en-yor/train.yor": 6_644,
    "ig=mafand/en-ibo/train.en,mafand/en-ibo/train.ibo": 6_998,
    "sw=gamayun/swa-eng/en-kit5k-v1/gamayun_kit5k-v1_eng-hau_ENG.txt,"
    "gamayun/swa-eng/en-kit5k-v1/gamayun_kit5k-v1_eng-swa_SWA.txt": 5_000,
    "ha=gamayun/hau-eng/en-kit15k-v1/gamayun_kit15k-v1_eng-hau_ENG.txt,"
    "gamayun/hau-eng/en-kit15k-v1/gamayun_kit15k-v1_eng-hau_HAU.txt": 15_000,
    "sw=tico19/all.en-sw.tmx": 3_071,
    "so=tico19/all.en-so.tmx": 3_071,
    "tl=tico19/all.en-tl.tmx": 3_071,
    "mr=tico19/all.en-mr.tmx": 3_071,
    "ha=tico19/all.en-ha.tmx": 3_071,
    "so=hornmt/eng.txt,hornmt/som.txt": 2_030,
    "am=hornmt/eng.txt,hornmt/amh.txt": 2_030,
    "fil=alt/English.txt,alt/Tagalog.txt": 20_106,  # the last line has no line feed
    "mr=tatoeba/mar.txt": 35_788,
    "tl=tatoeba/tgl.txt": 3_821,
}


@pytest.mark.parametrize("spec", PUBLIC)
def test_public_bitext_reads_whole(spec: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared_data / "bitext")
    pairs, report = read_bitext_with_report([spec])
    assert report.total() == PUBLIC[spec]
    assert len(pairs) == report["kept"]
    assert len(pairs) >= PUBLIC[spec] - 10
