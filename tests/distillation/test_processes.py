"""Two processes under `accelerate launch` train the student that one process trains: every pair is seen once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clir.corpora.bitext import Pair

pytestmark = pytest.mark.slow
OPTIONS = (
    "--bitext pairs.tsv --language sw --no-cleaning --batch-size 4 --checkpoint-steps 3 --freeze-layers 5 "
    "--precision fp32 --max-tokens 24 --threads 1 --steps 8 --loss contrastive --lr 1e-3"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair]) -> Path:
    made = tmp_path_factory.mktemp("processes")
    (made / "pairs.tsv").write_text("".join(f"{pair.english}\t{pair.foreign}\n" for pair in pairs), "utf-8")
    return made


def train(folder: Path, minilm: Path, output: str, processes: int, *more: str) -> subprocess.CompletedProcess[str]:
    # On processors too: its --cpu starts several processes only where there is MPI.
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "clir.train"]
    start = launcher if processes == 2 else ["-m", "clir.train"]
    command = [sys.executable, *start, "--teacher", str(minilm), *OPTIONS.split(), "--output", output, *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def weights(student: Path) -> dict[str, torch.Tensor]:
    return load_file(student / "query_0_Transformer" / "model.safetensors")


def test_two_processes_make_the_student_of_one(folder: Path, minilm: Path) -> None:
    # 8 steps of 2 batches of 4: all 64 pairs, once.
    alone = train(folder, minilm, "alone", 1, "--accumulation", "2")
    assert alone.returncode == 0, alone.stderr
    both = train(folder, minilm, "both", 2, "--accumulation", "2")
    assert both.returncode == 0, both.stderr
    assert both.stdout == "both\n", "only one process speaks"
    ours, theirs, start = (weights(folder / name) for name in ("alone", "both", "alone"))
    name = "encoder.layer.5.output.dense.weight"
    torch.testing.assert_close(ours[name], theirs[name], atol=2e-5, rtol=0)
    start = load_file(minilm / "model.safetensors")
    moved = (ours[name] - start[name]).abs().max()
    # Half of the pairs, or each twice, would be another student by as much as training moves it.
    assert (ours[name] - theirs[name]).abs().max() < moved / 50
    made = [json.loads((folder / student / "meta.json").read_text()) for student in ("alone", "both")]
    assert made[0]["cost"]["tokens"] == made[1]["cost"]["tokens"] and made[0]["steps"] == made[1]["steps"] == 8


def test_batches_that_cannot_be_shared_are_refused(folder: Path, minilm: Path) -> None:
    done = train(folder, minilm, "refused", 2)
    assert done.returncode != 0
    assert "2 processes cannot share 1 batches a step: set accumulation" in done.stderr
    assert not (folder / "refused").exists()
