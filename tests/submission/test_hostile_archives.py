"""Archives and metadata that a stranger wrote: bounded, and a line for each fault."""

import bz2
import gzip
import io
import json
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from valid_runs import valid

from clir.submission.archive import unpacked
from clir.submission.check import Expected, RunToCheck, check_run
from clir.submission.findings import Findings
from clir.submission.leaderboard import read_leaderboard
from clir.submission.members import MOST_MEMBERS
from clir.submission.metadata import description_of, fields_of
from clir.support import compression
from clir.support.errors import ClirError

LAYOUT = "submissions/20250131-us"
RUN = bz2.compress(valid("msmarco").text().encode())
MUCH = 80 << 20


def tar_of(*members: tuple[tarfile.TarInfo | str, bytes]) -> bytes:
    raw = io.BytesIO()
    with (
        gzip.open(raw, "wb") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for member, content in members:
            one = tarfile.TarInfo(member) if isinstance(member, str) else member
            if one.isreg() and one.size == 0:
                one.size = len(content)
            archive.addfile(one, io.BytesIO(content))
    return raw.getvalue()


def zip_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return raw.getvalue()


def header_of(size: bytes, kind: bytes = b"L") -> bytes:
    """A tar header of one member with the size field as given."""
    block = bytearray(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT))
    block[124:136], block[156:157] = size, kind
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def sparse() -> bytes:
    """A sparse file of a terabyte that holds nothing."""
    block = bytearray(header_of(b"%011o\0" % 0, b"S"))
    block[386:410] = b"%011o\0%011o\0" % (0, 0)
    block[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
    return gzip.compress(bytes(block) + bytes(1024))


def overlapping(copies: int, size: int) -> bytes:
    """A zip whose members all have one content, which stands in it once."""
    data = zip_of(("metadata.yaml", bytes(size)))
    start = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    central = data[start:end] * copies
    return data[:start] + central + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, copies, copies, len(central), start, 0)


def tar_headers(size: bytes, kind: bytes, data: bytes) -> bytes:
    """An ordinary file, and one whose header says what it likes."""
    return gzip.compress(tarfile.TarInfo("y").tobuf(tarfile.GNU_FORMAT) + header_of(size, kind) + data, 1)


MANY = [f"sw/{number}" for number in range(MOST_MEMBERS + 1)]
HALF = bytes(MUCH // 2)
BOMBS: list[tuple[str, str, Callable[[], bytes], str]] = [
    ("msmarco", "s.tar.gz", lambda: tar_of((f"{LAYOUT}/dev.txt.bz2", bytes(MUCH))), "unpacks to more than 500 times"),
    ("msmarco", "s.tar.gz", lambda: tar_of(("other", bytes(MUCH))), "unpacks to more than 500 times"),
    ("ciral", "s.zip", lambda: zip_of(("sw/a.sw.run", bytes(MUCH))), "unpacks to more than 500 times its size"),
    ("ciral", "s.zip", lambda: zip_of(("sw/a.run", HALF), ("sw/b.run", HALF)), "unpacks to more than 500 times"),
    ("ciral", "s.zip", lambda: zip_of(("sw/a.run", b"x"), method=zipfile.ZIP_BZIP2), "its method of compression is"),
    ("ciral", "s.zip", lambda: zip_of(*((name, b"") for name in MANY)), "more than 1,000 files"),
    ("msmarco", "s.tar.gz", lambda: tar_of(*((name, b"") for name in MANY)), "more than 1,000 files"),
    ("msmarco", "s.tar.gz", lambda: tar_headers(b"%011o\0" % MUCH, b"L", bytes(MUCH)), "a name of 83,886,080 bytes"),
    ("msmarco", "s.tar.gz", lambda: tar_headers(b"%011o\0" % MUCH, b"x", bytes(MUCH)), "a name of 83,886,080 bytes"),
    ("msmarco", "s.tar.gz", lambda: tar_headers(b"\xff" * 10 + b"\xf0\0", b"0", bytes(1024)), "a size that is not one"),
    ("msmarco", "s.tar.gz", lambda: tar_headers(b"%011o\0" % 5000, b"0", b"x" * 512), "is not a whole archive"),
]


@pytest.mark.parametrize(("board", "name", "content", "said"), BOMBS)
def test_an_archive_without_measure_is_one_line(
    board: str, name: str, content: Callable[[], bytes], said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content())
    tracemalloc.start()
    try:
        with (
            pytest.raises(ClirError) as caught,
            unpacked(read_leaderboard(board), tmp_path / name, Findings(name)),
        ):
            pass
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(tmp_path / name)) and said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    # A step of unpacking is tens of megabytes, whatever the archive holds.
    assert most < 128 << 20


def test_members_that_share_their_bytes_share_what_may_be_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE", 1 << 20)
    data = overlapping(30, 1 << 18)
    allowance = compression.Allowance("s.zip", 1000)
    with zipfile.ZipFile(io.BytesIO(data)) as archive, pytest.raises(ClirError, match="unpacks to more than"):
        for member in archive.infolist():
            with compression.open_member(archive, member, tmp_path, allowance) as handle:
                assert len(handle.read()) == 1 << 18


@pytest.mark.parametrize("kind", ["tar", "pax", "zip"])
def test_a_damaged_archive_is_one_line_or_findings(kind: str, tmp_path: Path) -> None:
    draw = random.Random(kind)
    if kind == "zip":
        whole, board = zip_of(("metadata.yaml", b"team: us\n"), ("sw/a.run", b"x\n")), read_leaderboard("ciral")
    elif kind == "tar":
        whole, board = gzip.decompress(tar_of((f"{LAYOUT}/dev.txt.bz2", RUN))), read_leaderboard("msmarco")
    else:
        member = tarfile.TarInfo("n" * 150)
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1" + "0" * 12}
        whole, board = member.tobuf(tarfile.PAX_FORMAT) + bytes(1024), read_leaderboard("msmarco")
    path = tmp_path / ("s.zip" if kind == "zip" else "s.tar.gz")
    for turn in range(150):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 2, 5])):
            data[draw.randrange(min(len(data), 2048))] = draw.choice([0, 0x80, 0xFF, draw.randrange(256)])
        for at in range(0, len(data) - 511, 512) if kind != "zip" else ():
            if data[at + 257 : at + 262] == b"ustar" and turn % 3:
                total = sum(data[at : at + 148]) + 8 * 32 + sum(data[at + 156 : at + 512])
                data[at + 148 : at + 156] = b"%06o\0 " % total
        path.write_bytes(bytes(data) if kind == "zip" else gzip.compress(bytes(data), 1))
        found = Findings("s")
        try:
            with unpacked(board, path, found):
                told = [one.message for one in found.kept]
        except ClirError as error:
            told = [str(error)]
        assert all("\n" not in one and len(one) < 600 and not one.endswith(": ") for one in told)


def test_a_zip_of_a_file_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(zip_of(("~", b"x")).replace(b"~", b"\0"))
    found = Findings("s.zip")
    with unpacked(read_leaderboard("ciral"), tmp_path / "s.zip", found):
        pass
    assert "'' is not a plain file" in found.kept[0].message


def test_what_is_not_unpacked_is_named_on_one_line(tmp_path: Path) -> None:
    board = read_leaderboard("trec")
    long = "n" * 300 + ".run"
    members = [("metadata.yaml", b"team: us\n"), ("ours.1.run", b"x\n"), (long, b"x"), ("two\nlines.run", b"x")]
    (tmp_path / "s.tar.gz").write_bytes(tar_of(*members))
    found = Findings("s.tar.gz")
    with unpacked(board, tmp_path / "s.tar.gz", found) as contents:
        assert [run.name for run in contents.runs] == ["s.tar.gz!ours.1.run"]
    odd = "is not a plain file below the archive's root, or has an odd name: it is not unpacked"
    assert [one.message for one in found.kept] == [
        f"'{'n' * 120}'... (304 characters) {odd}", f"'two\\nlines.run' {odd}",
    ]  # fmt: skip
    (tmp_path / "s.tar.gz").write_bytes(sparse())
    found = Findings("s.tar.gz")
    with unpacked(board, tmp_path / "s.tar.gz", found):
        pass
    assert found.kept[0].message == f"x {odd}"
    assert [path.name for path in tmp_path.iterdir()] == ["s.tar.gz"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.run.gz", lambda: gzip.compress(b"\n" * (2 << 20)), "unpacks to more than 500 times its size"),
        ("a.run.bz2", lambda: bz2.compress(b"\n" * (2 << 20)), "unpacks to more than 500 times its size"),
        ("a.run.zip", lambda: zip_of(("a", b"x"), ("b", b"x")), "is a zip of 2 files"),
        ("a.run.zip", lambda: zip_of(("a", b"x"))[:-9], "is not a whole zip file"),
    ],
)
def test_a_compressed_run_without_measure_is_a_finding(
    name: str, content: Callable[[], bytes], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE", 1 << 20)
    (tmp_path / name).write_bytes(content())
    report = check_run(RunToCheck(tmp_path / name), read_leaderboard("trec"), lambda _: Expected())
    assert said in " ".join(one.message for one in report.findings.kept if one.kind == "compression")


def test_other_compressions_are_read_but_not_taken(tmp_path: Path) -> None:
    case = valid("trec")
    (tmp_path / "a.run.zip").write_bytes(zip_of(("a.run", case.text().encode())))
    report = check_run(RunToCheck(tmp_path / "a.run.zip"), case.board, lambda _: Expected())
    assert [one.message for one in report.findings.kept] == ["compressed as zip; taken: no compression, gz"]
    assert (report.lines, report.topics) == (12, 3)


GOOD = {"team": "us", "model_description": "m", "paper": "", "code": "", "type": "full ranking"}
NO_JSON: list[tuple[bytes, str]] = [
    (b"# ours\n" + json.dumps(GOOD).encode(), ":1: not JSON: JSON has no comments"),
    (b'{"team": "us", // ours\n"type": "reranking"}', ":1: not JSON: JSON has no comments"),
    (b'{\n"team": "us",\n}', ":3: not JSON: a comma stands before the closing bracket"),
    (b"{'team': 'us'}", ":1: not JSON: JSON's quotes are double (\")"),
    (b"team: us\n", ":1: not JSON: Expecting value"),
    (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), ":1: not JSON: the file begins with a byte order mark"),
    (b'{"team": "us",\n"type": NaN}', ": not JSON: NaN is no value there"),
    (b'{"team": "us", "team": "them"}', ": the key 'team' stands twice in one object"),
    (b'["us"]', " is not a description of a submission: it must be a JSON object"),
    (b'{"team":\n"\xff"}', ":2: not UTF-8"),
    (b" " * ((1 << 20) + 1), " has more than 1 MiB: it is not read"),
]


@pytest.mark.parametrize(("text", "said"), NO_JSON)
def test_json_is_not_yaml(text: bytes, said: str, tmp_path: Path) -> None:
    name = f"{LAYOUT}-metadata.json"
    (tmp_path / "s.tar.gz").write_bytes(
        tar_of((name, text), (f"{LAYOUT}/dev.txt.bz2", RUN), (f"{LAYOUT}/eval.txt.bz2", RUN))
    )
    found = Findings("s.tar.gz")
    with unpacked(read_leaderboard("msmarco"), tmp_path / "s.tar.gz", found) as contents:
        # The runs are looked at all the same.
        assert (len(contents.runs), contents.description) == (2, None)
    assert [one.kind for one in found.kept] == ["metadata"]
    assert found.kept[0].message.startswith(name + said)


def test_json_with_tabs_is_json() -> None:
    about = description_of('{\n\t"team": "us"\n}', "about.json", "json")
    assert about.values == {"team": "us"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("team: 010", 1, "team: without quotes YAML reads '010' as a number, not as text: put it in quotes"),
        ("contact: x\nteam: no", 2, "team: without quotes YAML reads 'no' as true or false, not as text"),
        ("team: 2025-13-31", 1, "team: without quotes YAML reads '2025-13-31' as a date, not as text"),
        ("team: 1e3_0.5", None, ""),
        ("team: .nan", 1, "team: without quotes YAML reads '.nan' as a number"),
        ("team: [us, them]", 1, "team is a list, not text: put text there, in quotes"),
        ("team: {a: b}", 1, "team is no single value, not text"),
        ("team: ~", 1, "team is missing (the team's name as registered with TREC): give it --team"),
    ],
)
def test_what_yaml_does_not_read_as_text(text: str, line: int | None, said: str) -> None:
    board, found = read_leaderboard("neuclir"), Findings("about.yaml")
    options = {"team": None, "description": "d", "contact": "x"}
    fields_of(board, description_of(text, "about.yaml"), options, found)
    assert [(one.line, one.message[: len(said)]) for one in found.kept] == ([(line, said)] if said else [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [x]\nb: *a", r"about.yaml:2: not YAML: what \* repeats is not read here: write it again"),
        ("team: us\nteam: them", "about.yaml:2: not YAML: the key 'team' is there twice"),
        ("team:\n\t- x", "about.yaml:2: not YAML: found character"),
        ("a: b\n1: us", "about.yaml:2: the key '1' is not text: put it in quotes"),
        ("yes: us", "about.yaml:1: the key 'yes' is not text: put it in quotes"),
        ("[" * 5000, "about.yaml: not YAML: maximum recursion depth exceeded"),
    ],
)
def test_metadata_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(ClirError, match=f"^{said}"):
        description_of(text, "about.yaml")
