"""`clir.train --continue-from`: a student gets more languages, and its earlier pairs come along."""

import json
from pathlib import Path
from typing import Any

import pytest

from clir.experiments.continuing import earlier_training
from clir.support.errors import UsageError

pytestmark = pytest.mark.slow
WORDS = ("water", "school", "market", "doctor", "road", "rain", "money", "law", "food", "music", "bus", "farm")
OPTIONS = "--steps 2 --batch-size 4 --freeze-layers 5 --max-tokens 16 --threads 1 --precision fp32 --no-language-guess"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, door: Any, minilm: Path) -> Path:
    """A folder with bitext of two languages and a student of the first."""
    folder = tmp_path_factory.mktemp("desk")
    for code in ("sw", "ha"):
        lines = [f"Where is the {word} of the {other}?\t{code} {other} {word} wapi ina\n"
                 for word in WORDS for other in WORDS if word != other]  # fmt: skip
        (folder / f"{code}.tsv").write_text("".join(lines[: 100 if code == "sw" else 40]))
    done = door("train", "--teacher", minilm, "--bitext", "sw.tsv", "--language", "swa", "--output", "sw",
                *OPTIONS.split(), cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "meta.json").read_text())


def carry_on(door: Any, desk: Path, output: str, *more: str) -> Any:
    return door("train", "--continue-from", "sw", "--bitext", "ha=ha.tsv", "--output", output, *OPTIONS.split(), *more,
                cwd=desk)  # fmt: skip


def test_half_as_many_earlier_pairs_come_along(door: Any, desk: Path, minilm: Path) -> None:
    done = carry_on(door, desk, "both")
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr
    made, earlier = manifest(desk / "both"), manifest(desk / "sw")
    assert made["languages"] == ["ha", "sw"] and made["pairs"] == 40 + 20
    assert (made["recipe"]["teacher"], made["recipe"]["student"]) == (str(minilm), "sw")
    assert earlier["data"]["bitext"] == ["sw=sw.tsv"] and made["data"]["bitext"] == ["ha=ha.tsv", "sw=sw.tsv"]
    # The teacher's documents are still the ones that are searched, and the head-free space is the same.
    assert made["fingerprints"]["document"] == earlier["fingerprints"]["document"]
    assert made["fingerprints"]["query"] != earlier["fingerprints"]["query"]
    assert made["cost"]["warm start flops"] == 0


def test_the_share_is_of_the_pairs_that_are_trained_on(door: Any, desk: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "few.yaml"
    recipe.write_text("pairs_per_language: 10\n")
    assert carry_on(door, desk, "few", "--recipe", str(recipe)).returncode == 0
    assert manifest(desk / "few")["pairs"] == 10 + 5


def test_what_the_earlier_student_was_not_to_see_is_not_replayed(door: Any, desk: Path) -> None:
    (desk / "leaky.tsv").write_text(
        (desk / "sw.tsv").read_text() + "Is the well water clean?\tMaji ya kisima ni safi?\n"
    )
    held = ("--held-out", "demo/sw")
    done = door("train", "--teacher", manifest(desk / "sw")["recipe"]["teacher"], "--bitext", "sw=leaky.tsv",
                "--output", "held", *OPTIONS.split(), *held, cwd=desk)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = door("train", "--continue-from", "held", "--bitext", "ha=ha.tsv", "--output", "on", *OPTIONS.split(),
                cwd=desk)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert manifest(desk / "on")["data"]["held out"] == ["demo/sw"]
    assert "earlier leakage" in done.stderr


def test_the_demos_student_has_no_files_to_go_on_from(tmp_path: Path) -> None:
    made = {"recipe": {"teacher": "t"}, "data": {"bitext": "demo"}}
    (tmp_path / "meta.json").write_text(json.dumps(made))
    with pytest.raises(
        UsageError, match=r"cannot be continued: its bitext \(demo\) is not in files that can be read again"
    ):
        earlier_training(tmp_path)


def test_the_share_can_be_chosen_or_nothing(door: Any, desk: Path) -> None:
    assert carry_on(door, desk, "most", "--replay", "2").returncode == 0
    assert carry_on(door, desk, "alone", "--replay", "0").returncode == 0
    made = {name: manifest(desk / name) for name in ("most", "alone")}
    assert (made["most"]["pairs"], made["most"]["languages"]) == (40 + 80, ["ha", "sw"])
    assert (made["alone"]["pairs"], made["alone"]["languages"]) == (40, ["ha"])
    # What it once learned is not forgotten, so that it can come along again.
    assert made["alone"]["data"]["bitext"] == ["ha=ha.tsv", "sw=sw.tsv"]


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (("--student", "sw"), 2, "--continue-from is the student to start from: leave out --student"),
        (("--replay", "-1"), 2, "--replay is a share of the new pairs, 0 or more"),
        (("--continue-from", "ha.tsv"), 2, "ha.tsv cannot be continued: it has no manifest of a training"),
    ],
)
def test_wrong_use(door: Any, desk: Path, more: tuple[str, ...], status: int, message: str) -> None:
    done = carry_on(door, desk, "nothing", *more)
    assert (done.returncode, done.stdout) == (status, "") and message in done.stderr
    assert not (desk / "nothing").exists()


def test_earlier_bitext_that_is_gone_is_named(door: Any, desk: Path) -> None:
    (desk / "sw.tsv").rename(desk / "moved.tsv")
    try:
        done = carry_on(door, desk, "gone")
    finally:
        (desk / "moved.tsv").rename(desk / "sw.tsv")
    assert done.returncode == 2 and "bitext not found: sw.tsv" in done.stderr
    assert not (desk / "gone").exists()
