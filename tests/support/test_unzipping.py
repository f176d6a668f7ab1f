"""Gzipped files are read to their end, from files and pipes, whatever their name, and never beyond a bound."""

import gzip
import os
import random
import threading
import time
from pathlib import Path

import pytest

from clir.support.errors import ClirError
from clir.support.unzipping import FREE, RATIO, open_unzipped, unzipped

TEXT = b"7 Q0 a 1 1.0 t\n" * 50_000


@pytest.mark.parametrize("data", [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:900]) + gzip.compress(TEXT[900:])])
def test_both_ways_of_reading_give_the_same(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    assert unzipped(tmp_path / "f") == TEXT
    with open_unzipped(tmp_path / "f") as handle:
        assert handle.readline() == b"7 Q0 a 1 1.0 t\n"
        assert handle.read() == TEXT[15:]


def test_a_pipe_is_read_too() -> None:
    end, start = os.pipe()
    os.write(start, gzip.compress(b"one\n"))
    os.close(start)
    assert unzipped(Path(f"/dev/fd/{end}")) == b"one\n"
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
    with open_unzipped(Path(f"/dev/fd/{end}")) as handle:
        assert handle.read() == TEXT
    writer.join()
    os.close(end)


def test_the_bound_grows_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    # What cannot be packed, so that the file is large enough to unpack to more than is free.
    noise, much = random.Random(1).randbytes(FREE // RATIO * 2), bytes(FREE)
    path.write_bytes(gzip.compress(noise + much, 1))
    assert unzipped(path) == noise + much
    path.write_bytes(gzip.compress(much + b"."))
    with pytest.raises(ClirError, match=r"f unpacks to more than 200 times its size"):
        unzipped(path)
    path.write_bytes(gzip.compress(much))
    assert len(unzipped(path)) == FREE
