"""Compressed files are read to their end, from files and pipes, whatever their name, and never beyond a bound."""

import bz2
import gzip
import io
import lzma
import os
import random
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from clir.support.compression import (
    FREE,
    RATIO,
    BrokenCompression,
    open_unpacked,
    packing,
    unpacked,
    without_ending,
)
from clir.support.errors import ClirError

TEXT = b"7 Q0 a 1 1.0 t\n" * 50_000


def zipped(data: bytes, *more: str, name: str = "a.run") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as handle:
        handle.writestr(name, data)
        for other in more:
            handle.writestr(other, b"")
    return archive.getvalue()


def locked(archive: bytes) -> bytes:
    """The same zip file, marked as one that needs a password."""
    at = archive.index(b"PK\x01\x02")
    return archive[: at + 8] + b"\x01" + archive[at + 9 :]


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".zip": zipped,
}
STREAMS = {ending: pack for ending, pack in PACKERS.items() if ending != ".zip"}


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        *(pack(TEXT) for pack in PACKERS.values()),
        *(pack(TEXT[:900]) + pack(b"") + pack(TEXT[900:]) for pack in STREAMS.values()),
        lzma.compress(TEXT[:900]) + bytes(8) + lzma.compress(TEXT[900:]),
        gzip.compress(TEXT) + bytes(5),
        zipped(TEXT, "__MACOSX/._a.run", ".DS_Store"),
    ],
)
def test_both_ways_of_reading_give_the_same(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    assert unpacked(tmp_path / "f") == TEXT
    with open_unpacked(tmp_path / "f") as handle:
        assert handle.readline() == b"7 Q0 a 1 1.0 t\n"
        assert handle.read() == TEXT[15:]


def test_a_pipe_is_read_too() -> None:
    end, start = os.pipe()
    os.write(start, gzip.compress(b"one\n"))
    os.close(start)
    assert unpacked(Path(f"/dev/fd/{end}")) == b"one\n"
    os.close(end)


@pytest.mark.parametrize("packed", [False, True])
def test_nothing_of_a_slow_pipe_is_lost(packed: bool) -> None:
    end, start = os.pipe()
    data = gzip.compress(TEXT) if packed else TEXT

    def write() -> None:
        for at in range(0, len(data), 97):
            os.write(start, data[at : at + 97])
            time.sleep(0.001)
        os.close(start)

    writer = threading.Thread(target=write)
    writer.start()
    with open_unpacked(Path(f"/dev/fd/{end}")) as handle:
        assert handle.read() == TEXT
    writer.join()
    os.close(end)


def test_the_bound_grows_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    # What cannot be packed, so that the file is large enough to unpack to more than is free.
    noise, much = random.Random(1).randbytes(FREE // RATIO * 2), bytes(FREE)
    path.write_bytes(gzip.compress(noise + much, 1))
    assert unpacked(path) == noise + much
    path.write_bytes(gzip.compress(much + b"."))
    with pytest.raises(ClirError, match=r"f unpacks to more than 500 times its size"):
        unpacked(path)
    path.write_bytes(gzip.compress(much))
    assert len(unpacked(path)) == FREE


@pytest.mark.parametrize("ending", PACKERS)
def test_what_is_packed_is_unpacked_and_always_the_same(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.run{ending}"
    written = []
    for _ in range(2):
        with open(path, "wb") as handle, packing(handle, path) as packed:
            packed.write(TEXT[:100])
            packed.write(TEXT[100:])
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) < len(TEXT) / 10
    assert unpacked(path) == TEXT
    assert without_ending(path.name) == "a.run"


@pytest.mark.parametrize("ending", STREAMS)
@pytest.mark.parametrize("fault", ["cut", "changed", "followed"])
def test_a_broken_stream_is_noticed(tmp_path: Path, ending: str, fault: str) -> None:
    noise = random.Random(2).randbytes(40_000)
    whole = bytearray(PACKERS[ending](noise))
    if fault == "cut":
        del whole[-6:]
    elif fault == "changed":
        whole[len(whole) // 2] ^= 16
    else:
        whole += b"something else"
    (tmp_path / "f").write_bytes(whole)
    with pytest.raises(BrokenCompression):
        unpacked(tmp_path / "f")
    with pytest.raises(BrokenCompression), open_unpacked(tmp_path / "f") as handle:
        handle.read()


@pytest.mark.parametrize("ending", PACKERS)
def test_no_form_unpacks_without_measure(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(PACKERS[ending](bytes(FREE + 1)))
    with pytest.raises(ClirError, match=r"f unpacks to more than 500 times its size"):
        unpacked(path)


@pytest.mark.parametrize(
    "data, said",
    [
        (zipped(b"a", "b.run"), "f is a zip of 2 files: unpack it, and name the one that is meant"),
        (zipped(b"a")[:-9], "f is not a whole zip file: "),
        (
            zipped(b"a").replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
            "needs a password",
        ),
    ],
)
def test_a_zip_that_is_not_read(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(ClirError, match=said):
        unpacked(tmp_path / "f")


def test_a_zip_out_of_a_pipe_is_refused() -> None:
    end, start = os.pipe()
    os.write(start, zipped(b"one\n"))
    os.close(start)
    with pytest.raises(ClirError, match="cannot be read from a pipe"):
        open_unpacked(Path(f"/dev/fd/{end}"))
    os.close(end)


@pytest.mark.parametrize("name", ["a", "a.run", "gz", "a.gz.run"])
def test_a_name_without_such_an_ending_stays(name: str) -> None:
    assert without_ending(name) == name
