"""A valid run changed in one place: the change is found, named, and on its line. Every kind of finding has such one."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from valid_runs import TOPICS, VALID, docid, valid, valid_lines

from clir.submission.archive import unpacked, write_archive
from clir.submission.check import Expected, RunReport, RunToCheck, check_run, check_submission
from clir.submission.findings import KINDS, Findings
from clir.submission.leaderboard import read_leaderboard
from clir.submission.metadata import Description, check_run_entries, description_of, fields_of

Checked = Callable[..., RunReport]
Lines = list[str]


def change(line: int, old: str, new: str) -> Callable[[Lines], Lines]:
    """Replace on a line (from 1) what is there once."""

    def mutate(lines: Lines) -> Lines:
        assert lines[line - 1].count(old) == 1, lines[line - 1]
        return [*lines[: line - 1], lines[line - 1].replace(old, new), *lines[line:]]

    return mutate


def swap(one: int, other: int) -> Callable[[Lines], Lines]:
    def mutate(lines: Lines) -> Lines:
        lines = list(lines)
        lines[one - 1], lines[other - 1] = lines[other - 1], lines[one - 1]
        return lines

    return mutate


def without(first: int, last: int) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[: first - 1], *lines[last:]]


def insert(line: int, text: str) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines[: line - 1], text, *lines[line - 1 :]]


def longer(lines: Lines) -> Lines:
    """Topic 102 with 1,001 hits."""
    more = [f"102 Q0 x{hit} {hit} {10 - hit / 1000} ours.1" for hit in range(5, 1002)]
    return [*lines[:8], *more, *lines[8:]]


# The board, what is changed, the kind of finding, its line, and words of its message.
MUTATIONS = [
    ("trec", change(6, " Q0 ", " "), "columns", 6, "5 columns, not the 6 of qid iteration docid rank score tag"),
    ("trec", change(6, " Q0 ", " Q0 Q0 "), "columns", 6, "7 columns"),
    ("trec", change(6, " Q0 ", "  Q0 "), "separator", 6, "one blank (or one tab)"),
    ("trec", change(6, " Q0 ", "\tQ0 "), "separator", 6, "one blank (or one tab)"),
    ("trec", lambda lines: [f"{line} " if at == 2 else line for at, line in enumerate(lines)], "separator", 3, "ends"),
    ("trec", insert(4, ""), "blank-line", 4, "nothing on this line"),
    ("trec", insert(4, " \t"), "blank-line", 4, "nothing on this line"),
    ("trec", lambda lines: [lines[0] + "\r", *lines[1:]], "line-end", 1, "carriage return"),
    ("trec", change(7, "d23", "d\u00a023"), "odd-character", 7, "U+00A0"),
    ("trec", change(7, "d23", "d\u200b23"), "odd-character", 7, "U+200B"),
    ("trec", change(7, "d23", "d\x0023"), "odd-character", 7, "U+0000"),
    ("trec", change(5, " Q0 ", " 0 "), "iteration", 5, "the second column is 0, not Q0"),
    ("trec", change(5, "102", "120"), "topic-unknown", 5, "topic 120 is not one of the 3 topics (1 line of it)"),
    ("trec", without(5, 8), "topic-missing", 4, "topic 102 has no line"),
    ("trec", without(9, 12), "topic-missing", 8, "topic 103 has no line"),
    ("trec", without(1, 4), "topic-missing", 1, "topic 101 has no line"),
    ("trec", swap(4, 5), "topic-split", 5, "topic 101 goes on here, after other topics; it began on line 1"),
    ("trec", change(8, "d24", "d22"), "duplicate", 8, "document d22 a second time for topic 102 (first on line 6)"),
    ("trec", change(11, "d33", "d99"), "docid-unknown", 11, "document d99 is not in the collection"),
    ("trec", longer, "hits-most", 1005, "topic 102 has 1,001 documents, and at most 1,000 are accepted"),
    ("trec", change(6, " 2 ", " two "), "rank-form", 6, "the rank two is not an integer"),
    ("trec", change(6, " 2 ", " 2.0 "), "rank-form", 6, "the rank 2.0 is not an integer"),
    ("trec", change(5, " 1 ", " 0 "), "rank-start", 5, "the lowest rank of topic 102 is 0, not 1"),
    ("trec", change(8, " 4 ", " 5 "), "rank-gap", 8, "topic 102 goes from rank 3 (line 7) to rank 5"),
    ("trec", change(8, " 4 ", " 3 "), "rank-repeated", 8, "rank 3 a second time for topic 102 (first on line 7)"),
    ("trec", swap(6, 7), "rank-order", 7, "topic 102: the rank is 2 here, and 3 on line 6"),
    ("trec", lambda lines: change(6, " 2 ", " 3 ")(change(7, " 3 ", " 2 ")(lines)), "rank-score", 6,
     "topic 102: rank 3 has a higher score than rank 2 (line 7)"),
    ("trec", change(6, "8.5", "nan"), "score-form", 6, "the score nan is not a finite decimal number"),
    ("trec", change(6, "8.5", "8,5"), "score-form", 6, "the score 8,5"),
    ("trec", change(6, "8.5", "0x1p3"), "score-form", 6, "the score 0x1p3"),
    ("trec", change(5, "9.5", "1e39"), "score-range", 5, "the score 1e39 is beyond float32"),
    ("trec", change(7, "7.5", "8.75"), "score-order", 7, "topic 102: the score is 8.75 here, and 8.5 on line 6"),
    ("trec", change(7, "7.5", "8.5"), "score-tie", 7, "both score 8.5: trec_eval puts d23 before d22 (line 6)"),
    ("trec", change(7, "7.5", "8.4999999"), "score-tie", 7, "8.5 and 8.4999999 are one float32"),
    ("trec", change(9, "ours.1", "theirs"), "tag-changes", 9, "the run tag is theirs here, and ours.1 on the first"),
    ("trec", lambda lines: [line.replace("ours.1", "ou/rs") for line in lines], "tag-form", 1, "letters, digits"),
    ("trec", lambda lines: [line.replace("ours.1", "o" * 21) for line in lines], "tag-length", 1, "at most 20"),
    ("trec", lambda _: valid_lines("mmarco", "msmarco"), "form", 1, "nothing can make one of it"),
    ("neuclir", swap(4, 5), "topic-split", 5, "topic 101"),
    ("neuclir", change(3, "-aaaa-", "-aaa-"), "docid-form", 3, "is not a UUID"),
    ("neuclir", lambda lines: [line.replace("fas-", "per-") for line in lines], "tag-form", 1, "zho-, fas-, rus-"),
    ("neuclir", lambda lines: [line.replace("AND_one", "one") for line in lines], "tag-style", 1, "third field"),
    ("neuclir", lambda lines: [line.replace("-us-", "-we-") for line in lines], "tag-team", 1, "begin with fas-us-"),
    ("ciral", change(3, "TUKO_NEWS#1#3", "TUKO_NEWS#1"), "docid-form", 3, "is not SOURCE#article#passage"),
    ("msmarco", change(3, "101\t", "0101\t"), "topic-form", 3, "topic 0101 is not a number"),
    ("msmarco", change(3, "1003", "8841823"), "docid-unknown", 3, "its last is 8841822"),
    ("msmarco", change(3, "\t1003\t", " 1003 "), "separator", 3, "one tab"),
    ("msmarco", change(4, "\t4", "\t1001"), "rank-limit", 4, "rank 1001 is beyond 1000"),
    ("msmarco", lambda lines: lines, "hits-least", 4, "topic 101 has 4 documents, and 1,000 are asked for"),
    ("msmarco", lambda _: valid_lines("trec", "trec"), "form", 1, "pack writes it so"),
]  # fmt: skip


def known_documents(name: str) -> list[str]:
    more = [f"x{hit}" for hit in range(5, 1002)]
    return [docid(name, topic, hit) for topic in (1, 2, 3) for hit in (1, 2, 3, 4)] + more


@pytest.mark.parametrize(("name", "mutate", "kind", "line", "message"), MUTATIONS)
def test_a_change_is_named_with_its_line(
    name: str, mutate: Callable[[Lines], Lines], kind: str, line: int, message: str, checked: Checked
) -> None:
    case = valid(name)
    text = "".join(one + "\n" for one in mutate(case.lines))
    documents = known_documents(name) if kind == "docid-unknown" and name == "trec" else None
    report = checked(case.board, text, case.name, documents=documents, team="us")
    found = [(one.line, one.message) for one in report.findings.in_order() if one.kind == kind]
    assert [at for at, _ in found][:1] == [line], report.findings.in_order()
    assert message in found[0][1]


@pytest.mark.parametrize("name", VALID)
def test_the_valid_run_passes(name: str, checked: Checked) -> None:
    case = valid(name)
    report = checked(case.board, case.text(), case.name, documents=known_documents(name), team="us")
    assert report.findings.counts == ({"hits-least": 3} if name.startswith("msmarco") else {})
    assert (report.lines, report.topics, report.unchecked) == (12, 3, [])
    assert report.tag == (VALID[name][1] or None)


# Changes of a file's bytes, or of the file itself.
FILES: list[tuple[str, Callable[[bytes], bytes], str, int | None]] = [
    ("one.run", lambda data: b"", "file-empty", None),
    ("one.run", lambda data: b"\n \n\n", "file-empty", None),
    ("one.run", lambda data: b"\xef\xbb\xbf" + data, "byte-order-mark", 1),
    ("one.run", lambda data: data.replace(b"d23", b"d\xff3"), "encoding", 7),
    ("one.run", lambda data: data + b"1" * (1 << 20) + b"1\n", "line-length", 13),
    ("one.run", lambda data: data.replace(b"d23", b"d" * (2 << 20)), "line-length", 7),
    ("one.run", lambda data: data[:-1], "last-line", 12),
    ("one run", lambda data: data, "file-name", None),
    ("one.run.gz", lambda data: gzip.compress(data)[:-8], "compression", 1),
    ("one.run.bz2", bz2.compress, "compression", None),
]


@pytest.mark.parametrize(("name", "mutate", "kind", "line"), FILES)
def test_a_file_that_is_wrong(
    name: str, mutate: Callable[[bytes], bytes], kind: str, line: int | None, checked: Checked
) -> None:
    case = valid("trec")
    report = checked(case.board, mutate(case.text().encode()), name)
    assert (kind, line) in [(one.kind, one.line) for one in report.findings.in_order()]


def test_compressions_that_are_taken(checked: Checked) -> None:
    case = valid("trec")
    assert checked(case.board, gzip.compress(case.text().encode()), "one.run.gz").findings.counts == {}
    passages = valid("mmarco")
    assert checked(passages.board, bz2.compress(passages.text().encode()), "german.tsv.bz2").findings.counts == {}


def together(tmp_path: Path, board_name: str, runs: dict[str, list[str]]) -> tuple[list[RunReport], Findings]:
    board = read_leaderboard(board_name)
    for name, lines in runs.items():
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    return check_submission([RunToCheck(tmp_path / name) for name in runs], board, lambda _: Expected(TOPICS))


def test_several_runs(tmp_path: Path) -> None:
    lines = valid("trec").lines
    reports, _ = together(tmp_path, "trec", {"a.run": lines, "b.run": lines})
    assert [str(one) for one in reports[1].findings.in_order()] == [
        f"{tmp_path}/b.run:1: error: the run tag ours.1 is also that of {tmp_path}/a.run [tag-repeated]"
    ]
    reports, found = together(tmp_path, "msmarco", {"dev.tsv": valid("msmarco").lines, "x.tsv": valid("msmarco").lines})
    assert [(one.kind, one.line) for one in reports[1].findings.in_order()][:1] == [("part", 1)]
    assert [one.message for one in found.kept] == ["no run for eval (the evaluation queries), which is needed"]
    assert found.kept[0].kind == "part-missing"
    runs = {f"{name}.sw.run": valid("ciral").lines for name in "abcd"}
    assert together(tmp_path, "ciral", runs)[1].kept[0].kind == "number-of-runs"


def test_a_part_that_the_tag_contradicts(tmp_path: Path) -> None:
    case = valid("neuclir")
    (tmp_path / "one").write_text(case.text())
    report = check_run(RunToCheck(tmp_path / "one", part="rus"), case.board, lambda _: Expected())
    message = "given as a run for rus, but its tag fas-us-AND_one says fas"
    assert [one.message for one in report.findings.kept] == [message]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("team: Us\ndescription: d\n", None, "contact is missing (an e-mail address): give it --contact"),
        ("team: Us\ncontact: a@b\ndescription: d\ncolour: red\n", 4, "neuclir has no field 'colour'"),
        (
            "team: 12\ncontact: a@b\ndescription: d\n",
            1,
            "team: without quotes YAML reads '12' as a number, not as text: put it in",
        ),
    ],
)
def test_metadata(text: str, line: int | None, message: str) -> None:
    board = read_leaderboard("neuclir")
    about = Findings("about.yaml", board.levels)
    fields_of(board, description_of(text, "about.yaml"), {"contact": None}, about)
    found = [(one.kind, one.line) for one in about.kept if message in one.message]
    assert found == [("metadata", line)]


@pytest.mark.parametrize(
    ("name", "runs", "messages"),
    [
        ("neuclir", "{fas-us-AND_one: {kind: neural}}", []),
        ("neuclir", "{one.run: {kind: neural}}", []),
        ("neuclir", "{fas: {kind: neural}}", []),
        ("neuclir", "", []),
        ("neuclir", "{fas-us-AND_two: {kind: neural}}", ["runs has 'fas-us-AND_two', which is no run's tag, file or"]),
        ("neuclir", "{fas: {knd: neural}}", ["runs, 'fas': neuclir has no field 'knd' of a run (it has: query_lang"]),
        ("neuclir", "{fas: neural}", ["runs, 'fas': must hold keys and values, the fields of that run"]),
        ("neuclir", "[fas]", ["runs must hold keys and values: a run's tag, file or part, and"]),
        ("trec", "{ours.1: {kind: x}, other: {}}", ["runs, 'ours.1': trec has no field 'kind' of a run (it has: none)",
                                                    "runs has 'other', which"]),
    ],
)  # fmt: skip
def test_what_stands_under_runs_to_no_effect(name: str, runs: str, messages: list[str], checked: Checked) -> None:
    case = valid(name)
    report = checked(case.board, case.text())
    about = Findings("about.yaml", case.board.levels)
    description = description_of(f"team: us\nruns: {runs}\n", "about.yaml")
    check_run_entries(case.board, description, [report], about)
    assert len(about.kept) == len(messages), about.kept
    for one, message in zip(about.kept, messages, strict=True):
        assert message in one.message
        assert (one.kind, one.level, one.line) == ("metadata", "error", 2)


def test_archive(tmp_path: Path, checked: Checked) -> None:
    case = valid("trec")
    report = checked(case.board, case.text())
    write_archive(case.board, [report], {}, [{}], tmp_path / "ours.tar.gz")
    layout = Findings("ours.tar.gz", case.board.levels)
    with unpacked(read_leaderboard("ciral"), tmp_path / "ours.tar.gz", layout) as contents:
        assert contents.runs == []
        assert contents.description == Description(
            {"runs": {"ours.1.run": {}}}, "ours.tar.gz!metadata.yaml", {"leaderboard": 1, "runs": 2}
        )
    assert [one.message for one in layout.kept] == [
        "it is not a zip file",
        "ours.1.run is not one of {part}/{file} and metadata.yaml",
        "there is no run ({part}/{file}) in it",
    ]
    assert {one.kind for one in layout.kept} == {"archive"}


def test_every_kind_of_finding_has_a_mutation() -> None:
    elsewhere = {"tag-repeated", "part", "part-missing", "number-of-runs", "metadata", "archive"}
    tried = {kind for _, _, kind, _, _ in MUTATIONS} | {kind for _, _, kind, _ in FILES} | elsewhere
    assert tried == set(KINDS)
