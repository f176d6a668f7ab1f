"""A run file as blocks of raw lines with their numbers: streamed, unpacked, and never refused for what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from clir.submission.findings import Findings
from clir.support import compression
from clir.support.compression import BrokenCompression, NotUnpacked, open_unpacked
from clir.support.errors import ClirError

BLOCK = 16 << 20
LONGEST_LINE = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Whole lines of a file, each with its line feed (the last of a file may lack it); the first has number `first`."""

    first: int
    data: bytes

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.data.count(b"\n") - self.data.endswith(b"\n")


def compression_of(path: Path) -> str:
    """How a file is compressed, by its first bytes: `gz`, `bz2`, `xz`, `zst`, `zip`, or `none`."""
    with open(path, "rb") as handle:
        return (compression.compression_of(handle.read(8)) or ".none").removeprefix(".")


def blocks(path: Path, findings: Findings) -> Iterator[Block]:
    """The file's blocks, in valid UTF-8 and without a byte order mark.

    What is wrong with the bytes goes to `findings`: a broken compression, or one that unpacks to more than is allowed,
    ends the blocks there, a byte that is not UTF-8 becomes U+FFFD, a line of more than 1 MiB ends the blocks (it is no
    run). Memory is bounded by that and by the size of a block. Raises ClirError if the file cannot be read.
    """
    number, rest, started = 1, b"", False
    try:
        handle = open_unpacked(path)
    except NotUnpacked as error:
        findings.add("compression", None, error.reason)
        return
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    with handle:
        while True:
            try:
                data = handle.read(BLOCK)
            except OSError as error:
                raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
            except BrokenCompression as error:
                findings.add(
                    "compression", number, f"not a whole compressed file: it breaks off here or later ({error})"
                )
                data = b""
            except NotUnpacked as error:
                findings.add("compression", number, error.reason)
                data = b""
            if not started:
                started, data = True, _without_mark(data, findings)
            end = data.rfind(b"\n") + 1
            whole, rest = (rest + data[:end], data[end:]) if end else (b"", rest + data)
            if not data:
                whole, rest = rest, b""
            if max(len(rest), _longest(whole)) > LONGEST_LINE:
                yield from _before_long_line(number, whole, findings)
                return
            if whole:
                yield _decodable(Block(number, whole), findings)
                number += whole.count(b"\n")
            if not data:
                if whole:
                    findings.add("last-line", number, "the last line does not end with a line feed")
                return


def lines_of(block: Block) -> list[str]:
    """The lines of a block without their line feeds."""
    lines = block.data.decode("utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _without_mark(data: bytes, findings: Findings) -> bytes:
    if data.startswith(BYTE_ORDER_MARK):
        findings.add("byte-order-mark", 1, "the file begins with a byte order mark: write it as plain UTF-8")
    return data.removeprefix(BYTE_ORDER_MARK)


def _longest(data: bytes) -> int:
    # Any stretch of LONGEST_LINE bytes without a line feed would be one: looked for in steps.
    if len(data) <= LONGEST_LINE:
        return 0
    at = 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + LONGEST_LINE + 1)
        if end < 0:
            return len(data) - at
        at = end + 1
    return 0


def _before_long_line(number: int, data: bytes, findings: Findings) -> Iterator[Block]:
    """The lines before the first that is too long, which is reported."""
    at = 0
    while 0 <= (end := data.find(b"\n", at)) <= at + LONGEST_LINE:
        at = end + 1
    whole = data[:at]
    if whole:
        yield _decodable(Block(number, whole), findings)
    longest = f"{LONGEST_LINE >> 20} MiB"
    findings.add("line-length", number + whole.count(b"\n"), f"a line of more than {longest}: not read from here on")


def _decodable(block: Block, findings: Findings) -> Block:
    try:
        block.data.decode("utf-8")
        return block
    except UnicodeDecodeError:
        pass
    faults: list[tuple[int, str]] = []
    lines = block.data.split(b"\n")
    for at, line in enumerate(lines):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            faults.append((block.first + at, f"not UTF-8: {error.reason} at byte {error.start} of the line"))
            lines[at] = line.decode("utf-8", "replace").encode()
    findings.add_all("encoding", [line for line, _ in faults], lambda at: faults[at][1])
    return Block(block.first, b"\n".join(lines))
