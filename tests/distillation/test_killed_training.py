"""`python -m clir.train` over kills: the same command goes on to the same bytes; nothing else is overwritten."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clir.corpora.bitext import Pair
from clir.support.files import sha256_of_file

pytestmark = pytest.mark.slow
WEIGHTS = Path("query_0_Transformer", "model.safetensors")
STEPS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair]) -> Path:
    made = tmp_path_factory.mktemp("training")
    (made / "pairs.tsv").write_text("".join(f"{pair.english}\t{pair.foreign}\n" for pair in pairs), "utf-8")
    return made


def command(minilm: Path, output: str, *more: str) -> list[str]:
    options = (
        "--bitext pairs.tsv --language sw --no-cleaning --batch-size 4 --checkpoint-steps 2 --freeze-layers 5 "
        f"--precision fp32 --max-tokens 24 --threads 1 --steps {STEPS} --output {output}"
    )
    return [sys.executable, "-m", "clir.train", "--teacher", str(minilm), *options.split(), *more]


def train(folder: Path, minilm: Path, output: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(minilm, output, *more), cwd=folder, capture_output=True, text=True, timeout=300)


def checkpoints(folder: Path, output: str) -> list[Path]:
    """The whole checkpoints of an unfinished training, oldest first."""
    found = folder.glob(f".{output}.training/*/checkpoint-*/trainer_state.json")
    return sorted((path.parent for path in found), key=step)


def step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@pytest.fixture(scope="module")
def whole(folder: Path, minilm: Path) -> Path:
    """An unbroken run."""
    done = train(folder, minilm, "whole")
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr
    return folder / "whole"


def kill_in_the_middle(folder: Path, minilm: Path, output: str) -> int:
    """Start training, kill it when some checkpoints are written; the step of the newest whole one."""
    running = subprocess.Popen(
        command(minilm, output), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not any(step(path) >= 4 for path in checkpoints(folder, output)):
        assert running.poll() is None and time.monotonic() < deadline, running.stderr and running.stderr.read()
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not (folder / output).exists()
    return step(checkpoints(folder, output)[-1])


def test_a_killed_run_goes_on_to_the_same_bytes_and_passes_over_a_partial_checkpoint(
    folder: Path, minilm: Path, whole: Path
) -> None:
    reached = kill_in_the_middle(folder, minilm, "killed")
    assert 4 <= reached < STEPS
    newest = checkpoints(folder, "killed")[-1]
    partial = newest.with_name(f"checkpoint-{reached + 2}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(newest, partial)
    # It is written last: without it the weights may be half there.
    (partial / "trainer_state.json").unlink()
    (partial / "model.safetensors").write_bytes(b"half")

    again = train(folder, minilm, "killed")
    assert (again.returncode, again.stdout) == (0, "killed\n"), again.stderr
    assert f"going on after step {reached} of an earlier run" in again.stderr
    assert sha256_of_file(folder / "killed" / WEIGHTS) == sha256_of_file(whole / WEIGHTS)
    assert not list(folder.glob(".killed*"))


def test_a_living_training_is_not_swept_away_by_another(folder: Path, minilm: Path) -> None:
    running = subprocess.Popen(
        command(minilm, "shared"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not checkpoints(folder, "shared"):
        assert running.poll() is None and time.monotonic() < deadline, running.stderr and running.stderr.read()
        time.sleep(0.005)
    running.send_signal(signal.SIGSTOP)
    try:
        other = train(folder, minilm, "shared", "--seed", "2")
    finally:
        running.send_signal(signal.SIGCONT)
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr.splitlines() == [
        f"python -m clir.train: another process is training {folder / 'shared'} (process {running.pid}): wait for it, "
        "or end it"
    ]
    _, said = running.communicate()
    assert running.returncode == 0, said


def test_a_finished_student_is_reused_and_another_recipe_refused(folder: Path, minilm: Path, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    same = train(folder, minilm, "whole")
    assert (same.returncode, same.stdout) == (0, "whole\n")
    assert "whole is already trained by this recipe on these pairs" in same.stderr
    other = train(folder, minilm, "whole", "--seed", "2")
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr.splitlines()[-1] == (
        "python -m clir.train: whole holds a student of another recipe or other pairs: choose another --output, "
        "or remove it"
    )
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_something_else_at_the_output_is_refused_before_training(folder: Path, minilm: Path) -> None:
    (folder / "photos").mkdir()
    (folder / "photos" / "goat.jpg").write_bytes(b"goat")
    done = train(folder, minilm, "photos")
    assert done.returncode == 2
    assert "photos holds something else: choose another --output, or remove it" in done.stderr
    assert os.listdir(folder / "photos") == ["goat.jpg"]


def test_a_learning_rate_that_diverges_leaves_no_student(folder: Path, minilm: Path) -> None:
    done = train(folder, minilm, "diverged", "--steps", "6", "--lr", "1e30")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("python -m clir.train: training diverged")
    assert not (folder / "diverged").exists()
