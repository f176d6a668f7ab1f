"""The archive that is sent: written so that the same input gives the same bytes, and read back to be checked."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import polars as pl

from clir.runs.trec import read_run
from clir.submission.check import RunReport, RunToCheck
from clir.submission.findings import Findings
from clir.submission.leaderboard import Leaderboard
from clir.submission.members import called, is_safe, members_of, naming_faults
from clir.submission.metadata import Description, description_of, listed_runs, packed_description, rendered
from clir.submission.reading import compression_of
from clir.support.compression import BrokenCompression, NotUnpacked, open_unpacked, packing, without_ending
from clir.support.errors import ClirError, UsageError, quoted
from clir.support.files import READ_BLOCK, atomic_file, existing, sha256_of_file

ARCHIVE_ENDINGS = {"tar.gz": (".tar.gz", ".tgz"), "zip": (".zip",)}
_MODE = 0o644
# A description of a thousand runs takes a third of this.
_LONGEST_DESCRIPTION = 1 << 20
# The first date that a zip file can hold.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class Contents(NamedTuple):
    """What was found in an archive: its runs (taken out into a folder), and what it says of itself."""

    runs: list[RunToCheck]
    description: Description | None


def member_names(board: Leaderboard, reports: Sequence[RunReport], id: str | None, team: str | None) -> list[str]:
    """The path of every run in the archive; ClirError if two runs would have one."""
    names = [_expanded(board.archive.run, _words(report, id, team)) for report in reports]
    for at, name in enumerate(names):
        if name in names[:at]:
            first, second = reports[names.index(name)].findings.file, reports[at].findings.file
            raise ClirError(f"{first} and {second} would both be {name} in the archive: name them apart")
    return names


def write_archive(
    board: Leaderboard,
    reports: Sequence[RunReport],
    fields: Mapping[str, str],
    run_fields: Sequence[Mapping[str, str]],
    output: str | Path,
    *,
    id: str | None = None,
    team: str | None = None,
) -> list[str]:
    """Write the archive, whole or not at all; the paths in it.

    The same runs, fields and id give the same bytes: members stand in one order, and hold no time, owner or name of
    a machine. A run in TREC's form is written anew where the leaderboard has another; any other is taken as it is,
    but for its compression. Raises ClirError if it cannot be written.
    """
    names = member_names(board, reports, id, team)
    order = sorted(range(len(names)), key=names.__getitem__)
    with tempfile.TemporaryDirectory() as folder:
        members: dict[str, Path] = {}
        listed = []
        for at in order:
            plain = Path(folder) / f"{at}"
            _write_plain(board, reports[at], plain)
            listed.append(_listed(names[at], reports[at], plain, run_fields[at]))
            members[names[at]] = _compressed(plain, names[at])
        described = Path(folder) / "metadata"
        described.write_bytes(rendered(board, fields, listed))
        members[_expanded(board.archive.metadata, {"id": id or "", "team": team or ""})] = described
        with atomic_file(output) as handle:
            (_write_tar if board.archive.format == "tar.gz" else _write_zip)(members, handle)
    return sorted(members)


def check_ending(board: Leaderboard, output: str) -> None:
    """Raise UsageError if the archive's name does not end as its format does."""
    endings = ARCHIVE_ENDINGS[board.archive.format]
    if not output.endswith(endings):
        raise UsageError(
            f"--output {output}: {board.name} wants a {board.archive.format} file ({' or '.join(endings)})"
        )


@contextmanager
def unpacked(board: Leaderboard, path: str | Path, findings: Findings) -> Iterator[Contents]:
    """The runs and the description in an archive, while the block runs; what is wrong with its layout is reported.

    Nothing is written outside a temporary folder, whatever the paths in the archive say. Raises UsageError if it is
    not there, ClirError if it is no archive or a broken one.
    """
    path = existing(path, "archive")
    if path.is_dir():
        raise UsageError(f"archive is a folder, not a file: {path}")
    with tempfile.TemporaryDirectory() as folder:
        with naming_faults(path):
            contents = _read(board, path, Path(folder), findings)
        yield contents


def _read(board: Leaderboard, path: Path, folder: Path, findings: Findings) -> Contents:
    runs, descriptions = [], []
    run_shape, metadata_shape = _shape(board.archive.run, board), _shape(board.archive.metadata, board)
    ids = set()
    seen: set[PurePosixPath] = set()
    for number, (name, handle) in enumerate(members_of(path, board.archive.format, findings)):
        if PurePosixPath(name) in seen:
            findings.add("archive", None, f"{called(name)} is in it more than once: only the first is looked at")
            continue
        seen.add(PurePosixPath(name))
        if handle is None or not is_safe(name):
            why = "is not a plain file below the archive's root, or has an odd name: it is not unpacked"
            findings.add("archive", None, f"{called(name)} {why}")
            continue
        inside = f"{findings.file}!{name}"
        if match := metadata_shape.fullmatch(name):
            descriptions.append(_description(handle, name, inside, board, findings))
        elif match := run_shape.fullmatch(name):
            taken = folder / f"{number}" / PurePosixPath(name).name
            taken.parent.mkdir()
            with open(taken, "wb") as copy:
                shutil.copyfileobj(handle, copy, READ_BLOCK)
            runs.append(RunToCheck(taken, match.groupdict().get("part"), inside))
            _check_compression(taken, name, inside, findings)
        else:
            findings.add(
                "archive", None, f"{called(name)} is not one of {board.archive.run} and {board.archive.metadata}"
            )
            continue
        ids.add(match.groupdict().get("id"))
    if not descriptions:
        findings.add("archive", None, f"there is no {board.archive.metadata} in it")
    if not runs:
        findings.add("archive", None, f"there is no run ({board.archive.run}) in it")
    if len(ids) > 1:
        findings.add("archive", None, f"its files are for several submissions: {', '.join(sorted(map(str, ids)))}")
    description = descriptions[-1] if descriptions else None
    if description is None:
        return Contents(runs, None)
    _check_sums(runs, description, findings)
    return Contents(runs, packed_description(description))


def _description(
    handle: IO[bytes], name: str, inside: str, board: Leaderboard, findings: Findings
) -> Description | None:
    """What the archive's metadata says; None where it cannot be read, which is reported."""
    data = handle.read(_LONGEST_DESCRIPTION + 1)
    if len(data) > _LONGEST_DESCRIPTION:
        findings.add("metadata", None, f"{name} has more than {_LONGEST_DESCRIPTION >> 20} MiB: it is not read")
        return None
    try:
        return replace(description_of(data.decode("utf-8"), name, board.metadata.format), name=inside)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.add("metadata", None, f"{name}:{line}: not UTF-8: {error.reason}")
    except ClirError as error:
        findings.add("metadata", None, str(error))
    return None


def _check_sums(runs: Sequence[RunToCheck], description: Description, findings: Findings) -> None:
    """Report the runs that are not the ones whose checksums the packed metadata lists."""
    listed = ((run.get("file"), run.get("sha256")) for run in listed_runs(description))
    sums = {name: wanted for name, wanted in listed if isinstance(name, str) and wanted is not None}
    for run in runs:
        name = (run.name or "").rpartition("!")[2]
        digest = hashlib.sha256()
        try:
            with open_unpacked(run.path) as handle:
                while block := handle.read(READ_BLOCK):
                    digest.update(block)
        except (BrokenCompression, NotUnpacked):
            # The check of the run says so.
            continue
        if sums.get(name, digest.hexdigest()) != digest.hexdigest():
            findings.add("archive", None, f"{name} is not the run that was packed: its metadata has another sha256")


def _check_compression(taken: Path, name: str, inside: str, findings: Findings) -> None:
    found = compression_of(taken)
    if f".{found}" != (_ending(name) or ".none"):
        findings.add("archive", None, f"{inside} is compressed as {found}, not as its name says")


def _shape(template: str, board: Leaderboard) -> re.Pattern[str]:
    """The pattern of the paths that a template stands for."""
    words = {"part": "|".join(map(re.escape, board.parts)) or "[^/]+", "id": board.id_pattern or "[^/]+"}
    pieces = re.split(r"\{(\w+)\}", template)
    shape = ""
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            shape += re.escape(piece)
        else:
            again = f"(?P<{piece}>" in shape
            shape += f"(?P={piece})" if again else f"(?P<{piece}>{words.get(piece, '[^/]+')})"
    return re.compile(shape)


def _words(report: RunReport, id: str | None, team: str | None) -> dict[str, str]:
    name = without_ending(report.run.file_name)
    return {"id": id or "", "part": report.part or "", "tag": report.tag or "", "file": name, "team": team or ""}


def _expanded(template: str, words: Mapping[str, str]) -> str:
    name = template.format(**words)
    if not is_safe(name):
        raise ClirError(f"{quoted(name)} cannot be the path of a file in an archive: use another tag, id or team")
    return name


def _write_plain(board: Leaderboard, report: RunReport, path: Path) -> None:
    """The run in the leaderboard's form, not compressed."""
    with open(path, "wb") as copy:
        if report.form == board.form:
            with open_unpacked(Path(report.run.path)) as handle:
                shutil.copyfileobj(handle, copy, READ_BLOCK)
        else:
            run = read_run(report.run.path)
            ranked = run.frame.select("qid", "docid", pl.Series("rank", run.ranks))
            ranked.write_csv(copy, include_header=False, separator="\t", quote_style="never")


def _listed(name: str, report: RunReport, plain: Path, fields: Mapping[str, str]) -> dict[str, object]:
    """What the metadata says of a run; the checksum is of the run before it is compressed."""
    found = {
        "file": name, "part": report.part, "tag": report.tag, "topics": report.topics, "lines": report.lines,
        "sha256": sha256_of_file(plain), **fields,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def _ending(name: str) -> str:
    return name[len(without_ending(name)) :]


def _compressed(plain: Path, name: str) -> Path:
    ending = _ending(name)
    if not ending:
        return plain
    packed = plain.with_name(plain.name + ending)
    with open(plain, "rb") as handle, open(packed, "wb") as raw, packing(raw, packed.name) as zipped:
        shutil.copyfileobj(handle, zipped, READ_BLOCK)
    plain.unlink()
    return packed


def _write_tar(members: Mapping[str, Path], handle: IO[Any]) -> None:
    with (
        packing(handle, "archive.tar.gz") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(members):
            member = tarfile.TarInfo(name)
            member.size, member.mode = members[name].stat().st_size, _MODE
            with open(members[name], "rb") as content:
                archive.addfile(member, content)


def _write_zip(members: Mapping[str, Path], handle: IO[Any]) -> None:
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, _ZIP_DATE)
            member.compress_type, member.external_attr, member.create_system = zipfile.ZIP_DEFLATED, _MODE << 16, 3
            member.file_size = members[name].stat().st_size
            with open(members[name], "rb") as content, archive.open(member, "w") as inside:
                shutil.copyfileobj(content, inside, READ_BLOCK)
