"""One lock for each output: of a living process it keeps others away, of a killed one it does not."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clir.support.errors import UsageError
from clir.support.locks import alone

HOLD = """
import sys, time
from clir.support.locks import alone
with alone(sys.argv[1], "training", wait=len(sys.argv) > 2):
    print("here", flush=True)
    sys.stdin.read()
"""


def holder(output: Path | str, *more: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """A process that has the lock until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output), *more], cwd=cwd, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def has_it(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None and process.stdout.readline() == "here\n"


def test_another_process_is_refused_by_whatever_name_it_calls_the_output(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "link").symlink_to("runs")
    first = holder("link/../runs/student", cwd=tmp_path)
    has_it(first)
    for name in ("runs/student", "./runs/student/", "link/student"):
        message = rf"another process is training .*student \(process {first.pid}\): wait for it, or end it"
        with pytest.raises(UsageError, match=message), alone(tmp_path / name):
            pass
    with alone(tmp_path / "runs" / "other"), alone(tmp_path / "runs" / "student2"):
        pass
    first.communicate()
    with alone(tmp_path / "runs" / "student"):
        pass
    assert os.listdir(tmp_path / "runs") == []


def test_the_lock_of_a_killed_process_does_not_stay(tmp_path: Path) -> None:
    first = holder(tmp_path / "student")
    has_it(first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with alone(tmp_path / "student"):
        assert os.listdir(tmp_path) == [".student.lock"]
    assert os.listdir(tmp_path) == []


def test_who_waits_gets_it_next_and_says_what_it_waits_for(tmp_path: Path) -> None:
    first = holder(tmp_path / "index")
    has_it(first)
    waiting = [holder(tmp_path / "index", "wait") for _ in range(3)]
    time.sleep(1.0)
    assert [process.poll() for process in waiting] == [None] * 3
    first.communicate()
    for process in waiting:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate() for process in waiting]
    assert [out for out, _ in said] == ["here\n"] * 3
    assert all(f"training {tmp_path / 'index'} (process {first.pid}): waiting for it" in err for _, err in said)
    assert os.listdir(tmp_path) == []


def test_many_processes_are_never_two_at_a_time(tmp_path: Path) -> None:
    code = """
import os, sys, time
from clir.support.locks import alone
for _ in range(20):
    with alone(sys.argv[1], wait=True):
        os.mkdir(sys.argv[1])
        time.sleep(0.001)
        os.rmdir(sys.argv[1])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "one")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in running:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert os.listdir(tmp_path) == []


def test_who_has_it_takes_it_again_and_another_thread_does_not(tmp_path: Path) -> None:
    refused = []

    def other() -> None:
        try:
            with alone(tmp_path / "index"):
                pass
        except UsageError as error:
            refused.append(str(error))

    with alone(tmp_path / "index", "indexing into"):
        with alone(tmp_path / "index"):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert refused == [
        f"another process is indexing into {tmp_path / 'index'} (process {os.getpid()}): wait for it, or end it"
    ]


def test_folders_made_for_the_lock_alone_go_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model"), alone(tmp_path / "new" / "deep" / "student"):
        raise ValueError("no model")
    assert os.listdir(tmp_path) == []


def test_where_nothing_can_be_written_there_is_no_lock_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with alone(tmp_path / "file" / "index"):
        pass
