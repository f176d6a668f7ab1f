"""Archives: what is in them, the same bytes for the same input, and nothing packed that would be refused."""

import bz2
import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from valid_runs import TOPICS, Case, valid, valid_lines

from clir.submission.archive import member_names, unpacked, write_archive
from clir.submission.check import Expected, RunReport, RunToCheck, check_run
from clir.submission.findings import Findings
from clir.submission.leaderboard import read_leaderboard
from clir.support.errors import ClirError


def reports_of(case: Case, folder: Path, *names: str, converts: bool = False) -> list[RunReport]:
    for name in names:
        (folder / name).write_text(case.text())
    return [
        check_run(RunToCheck(folder / name), case.board, lambda _: Expected(TOPICS), converts=converts)
        for name in names
    ]


def test_what_is_in_a_tar_file(tmp_path: Path) -> None:
    case = valid("neuclir")
    reports = reports_of(case, tmp_path, "one.run")
    about = {"query_language": "eng"}
    assert write_archive(case.board, reports, {"team": "us"}, [about], tmp_path / "ours.tar.gz") == [
        "fas-us-AND_one",
        "metadata.yaml",
    ]
    with tarfile.open(tmp_path / "ours.tar.gz") as archive:
        assert {one.mtime for one in archive} == {0}
        assert {(one.uid, one.uname, one.mode) for one in archive} == {(0, "", 0o644)}
        run = archive.extractfile("fas-us-AND_one")
        metadata = archive.extractfile("metadata.yaml")
        assert run is not None and metadata is not None
        assert run.read().decode() == case.text()
        listed = yaml.safe_load(metadata.read())
    checksum = listed["runs"][0].pop("sha256")
    assert len(checksum) == 64
    assert listed == {
        "leaderboard": "neuclir",
        "team": "us",
        "runs": [
            {
                "file": "fas-us-AND_one", "part": "fas", "tag": "fas-us-AND_one", "topics": 3, "lines": 12,
                "query_language": "eng",
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize(("name", "runs"), [("neuclir", ["one.run"]), ("ciral", ["b.sw.run", "a.sw.run"])])
def test_the_same_input_gives_the_same_bytes(name: str, runs: list[str], tmp_path: Path) -> None:
    case = valid(name)
    archives = []
    for at, order in enumerate((runs, runs[::-1])):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        reports = reports_of(case, folder, *order)
        for run in order:
            os.utime(folder / run, (at * 10_000, at * 10_000))
        output = folder / "out"
        write_archive(case.board, reports, {"team": "us"}, [{} for _ in order], output)
        archives.append(output.read_bytes())
    assert archives[0] == archives[1]


def test_a_compressed_run_is_packed_as_the_layout_says(tmp_path: Path) -> None:
    case = valid("ciral")
    reports = reports_of(case, tmp_path, "a.sw.run")
    (tmp_path / "b.sw.run.gz").write_bytes(gzip.compress(case.text().encode()))
    reports.append(check_run(RunToCheck(tmp_path / "b.sw.run.gz"), case.board, lambda _: Expected(TOPICS)))
    write_archive(case.board, reports, {}, [{}, {}], tmp_path / "ours.zip")
    with zipfile.ZipFile(tmp_path / "ours.zip") as archive:
        assert archive.namelist() == ["metadata.yaml", "sw/a.sw.run", "sw/b.sw.run"]
        assert archive.read("sw/a.sw.run") == archive.read("sw/b.sw.run") == case.text().encode()


def test_a_trec_run_becomes_one_of_ms_marco(tmp_path: Path) -> None:
    board = read_leaderboard("msmarco")
    lines = valid_lines("msmarco", "trec")
    # Out of order, and with a tie that trec_eval turns round: the higher docid comes first.
    lines = [lines[3], *lines[:3], *lines[4:]]
    lines[6] = lines[6].replace("7.5", "8.5")
    (tmp_path / "dev.run").write_text("".join(line + "\n" for line in lines))
    report = check_run(RunToCheck(tmp_path / "dev.run"), board, lambda _: Expected(TOPICS), converts=True)
    assert report.findings.count("error") == 0, report.findings.in_order()
    assert {"score-order", "score-tie"} <= set(report.findings.counts)
    write_archive(board, [report], {"team": "us"}, [{}], tmp_path / "s.tar.gz", id="20250131-us")
    with tarfile.open(tmp_path / "s.tar.gz") as archive:
        assert archive.getnames() == ["submissions/20250131-us-metadata.json", "submissions/20250131-us/dev.txt.bz2"]
        run, about = (archive.extractfile(name) for name in reversed(archive.getnames()))
        assert run is not None and about is not None
        text = bz2.decompress(run.read()).decode()
        assert json.load(about) == {"team": "us"}
    assert text.splitlines()[:8] == [
        "101\t1001\t1", "101\t1002\t2", "101\t1003\t3", "101\t1004\t4",
        "102\t2001\t1", "102\t2003\t2", "102\t2002\t3", "102\t2004\t4",
    ]  # fmt: skip


def test_two_runs_with_one_path(tmp_path: Path) -> None:
    case = valid("trec")
    reports = reports_of(case, tmp_path, "a.run", "b.run")
    with pytest.raises(ClirError, match=r"a\.run and .*b\.run would both be ours\.1\.run in the archive"):
        member_names(case.board, reports, None, None)


def test_a_packed_archive_passes_the_check(tmp_path: Path) -> None:
    case = valid("neuclir")
    reports = reports_of(case, tmp_path, "one.run")
    fields = {"team": "us", "contact": "a@b.org", "description": "words"}
    write_archive(case.board, reports, fields, [{"kind": "neural"}], tmp_path / "ours.tar.gz")
    layout = Findings("ours.tar.gz")
    with unpacked(case.board, tmp_path / "ours.tar.gz", layout) as contents:
        (run,) = contents.runs
        assert run.name == "ours.tar.gz!fas-us-AND_one"
        assert run.path.read_text() == case.text()
        assert contents.description is not None
        assert contents.description.values["runs"]["fas-us-AND_one"] == {"kind": "neural"}
    assert layout.counts == {}


def tar_of(members: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return raw.getvalue()


def a_link() -> tarfile.TarInfo:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return link


LAYOUT = "submissions/20250131-us"
RUN = bz2.compress(valid("msmarco").text().encode())
GOOD = {f"{LAYOUT}-metadata.json": b'{"team": "us"}', f"{LAYOUT}/dev.txt.bz2": RUN, f"{LAYOUT}/eval.txt.bz2": RUN}


@pytest.mark.parametrize(
    ("members", "more", "messages"),
    [
        (GOOD, [], []),
        ({**GOOD, "../outside": b"x"}, [], ["'../outside' is not a plain file below the archive's root, or has an"]),
        ({**GOOD, "/etc/cron": b"x"}, [], ["'/etc/cron' is not a plain file"]),
        (GOOD, [a_link()], ["link is not a plain file"]),
        ({**GOOD, ".DS_Store": b"x"}, [], [".DS_Store is not one of submissions/{id}/{part}.txt.bz2 and"]),
        ({**GOOD, f"{LAYOUT}/test.txt.bz2": RUN}, [], [f"{LAYOUT}/test.txt.bz2 is not one of"]),
        ({**GOOD, "submissions/us/dev.txt.bz2": RUN}, [], ["submissions/us/dev.txt.bz2 is not one of"]),
        ({f"{LAYOUT}/dev.txt.bz2": RUN}, [], ["there is no submissions/{id}-metadata.json in it"]),
        ({f"{LAYOUT}-metadata.json": b"{}"}, [], ["there is no run (submissions/{id}/{part}.txt.bz2) in it"]),
        ({**GOOD, "submissions/20250201-us/dev.txt.bz2": RUN}, [], ["its files are for several submissions"]),
        (GOOD, [tarfile.TarInfo(f"./{LAYOUT}/dev.txt.bz2")], [f"{LAYOUT}/dev.txt.bz2 is in it more than once"]),
        ({**GOOD, f"{LAYOUT}/dev.txt.bz2": b"1\t2\t1\n"}, [], ["dev.txt.bz2 is compressed as none, not as its name"]),
    ],
)  # fmt: skip
def test_layout(members: dict[str, bytes], more: list[tarfile.TarInfo], messages: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "s.tar.gz").write_bytes(tar_of(members, *more))
    found = Findings("s.tar.gz")
    with unpacked(read_leaderboard("msmarco"), folder / "s.tar.gz", found):
        pass
    assert len(found.kept) == len(messages), found.kept
    for one, message in zip(found.kept, messages, strict=True):
        assert message in one.message
        assert one.kind == "archive"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["s.tar.gz"]


def with_another_checksum(packed: bytes) -> bytes:
    """The gzip stream with a bit of its trailer changed: what tarfile does not look at."""
    return packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing of the kind", tar_of(GOOD)[:-30], tar_of(GOOD)[:-3], with_another_checksum(tar_of(GOOD)),
     tar_of(GOOD) + b"more"],
)  # fmt: skip
def test_what_is_no_archive(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.tar.gz").write_bytes(content)
    with (
        pytest.raises(ClirError, match=r"s\.tar\.gz is (neither a zip file nor a tar file|not a whole archive)"),
        unpacked(read_leaderboard("msmarco"), tmp_path / "s.tar.gz", Findings("s")),
    ):
        pass


def test_an_encrypted_zip(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ours.1.run", valid("trec").text())
    content = bytearray(packed.getvalue())
    # The flag of encryption, in the member's own header and in the directory.
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    (tmp_path / "s.zip").write_bytes(content)
    with (
        pytest.raises(ClirError, match=r"s\.zip is not a whole archive that can be read: ours\.1\.run is encrypted"),
        unpacked(read_leaderboard("trec"), tmp_path / "s.zip", Findings("s")),
    ):
        pass


@pytest.mark.parametrize("name", ["trec", "ciral", "msmarco"])
def test_a_run_that_is_not_the_one_that_was_packed(name: str, tmp_path: Path) -> None:
    case = valid(name)
    case = case._replace(
        board=case.board.model_copy(update={"metadata": case.board.metadata.model_copy(update={"lists_runs": True})})
    )
    reports = reports_of(case, tmp_path, case.name)
    members = write_archive(case.board, reports, {}, [{}], tmp_path / "a", id="20250131-us")
    run = next(one for one in members if "metadata" not in one)
    changed = case.text().replace("1", "2").encode()
    changed = bz2.compress(changed) if run.endswith(".bz2") else changed
    for content, messages in (
        (None, []),
        (changed, [f"{run} is not the run that was packed: its metadata has another sha256"]),
    ):
        found = Findings("a")
        with repacked(tmp_path / "a", run, content) as path, unpacked(case.board, path, found):
            pass
        assert [one.message for one in found.kept if "is not a tar.gz file" not in one.message] == messages


@contextmanager
def repacked(path: Path, name: str, content: bytes | None) -> Iterator[Path]:
    """The archive as a zip file, with other content in one member."""
    again = path.with_name("again.zip")
    with zipfile.ZipFile(again, "w") as archive:
        for member, own in members_of(path).items():
            archive.writestr(member, content if member == name and content is not None else own)
    yield again


def members_of(path: Path) -> dict[str, bytes]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]


def test_a_failure_leaves_an_earlier_archive(tmp_path: Path, checked: Callable[..., RunReport]) -> None:
    case = valid("trec")
    report = checked(case.board, case.text())
    (tmp_path / "ours.tar.gz").write_text("earlier")
    report.run.path.unlink()
    with pytest.raises((ClirError, FileNotFoundError)):
        write_archive(case.board, [report], {}, [{}], tmp_path / "ours.tar.gz")
    assert (tmp_path / "ours.tar.gz").read_text() == "earlier"
