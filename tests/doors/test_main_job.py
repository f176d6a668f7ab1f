"""The main job over models in the layouts that people have: index, teach, search the teacher's index, teach further."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hub_folders
import pytest
from safetensors import safe_open

import clir.encode
import clir.search.__main__
import clir.train
from clir.encoding.encoder import load_encoder

DOCUMENTS = ("The bus to the market stops here. ", " Clean water is sold by the road.", "Mangoes are ripe in June.", "")
TOPICS = ("Basi la sokoni linasimama wapi?", "maji safi ")
TRAINING = "--steps 3 --batch-size 4 --max-tokens 24 --threads 1 --precision fp32 --no-language-guess --no-cleaning"
BITEXT = tuple(f"The nurse drinks water {at} times.\tMuuguzi anakunywa maji mara {at}." for at in range(12))
KINDS = (*hub_folders.SENTENCE_KINDS, *hub_folders.TOKEN_KINDS)
Desk = Callable[[str, str], Path]
CASES = [
    *((kind, "float32") for kind in KINDS),
    ("t5", "float32"),
    ("e5", "float16"),
    ("bert", "bfloat16"),
    ("pylate", "float16"),
]


def well(command: Callable[[list[str]], int], *arguments: str | Path) -> None:
    assert command([str(argument) for argument in arguments]) == 0, arguments


def desk(folder: Path, kind: str, dtype: str) -> Path:
    """Documents, topics, bitext and a teacher."""
    hub_folders.make(kind, folder / "teacher", dtype)
    rows = [json.dumps({"id": f"d{at}", "contents": text}) for at, text in enumerate(DOCUMENTS)]
    (folder / "docs.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    (folder / "topics.tsv").write_text("".join(f"q{at}\t{text}\n" for at, text in enumerate(TOPICS)), "utf-8")
    for code in ("sw", "ha"):
        (folder / f"{code}.tsv").write_text("\n".join(BITEXT) + "\n", "utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dtype"), CASES, ids=lambda value: value)
def test_a_student_searches_its_teachers_index_and_is_taught_further(
    kind: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk(tmp_path, kind, dtype))
    late = kind in hub_folders.TOKEN_KINDS
    methods = {"late": "tokens"} if late else {"late": "tokens", "dense": "dense"}
    for method, index in methods.items():
        tokens = ["--tokens"] if method == "late" else []
        well(clir.encode.main, "--corpus", "docs.jsonl", "--encoder", "teacher", "--output", index, *tokens)
    losses = ["--loss", "late-interaction"] if late else []
    well(clir.train.main, "--teacher", "teacher", "--bitext", "sw=sw.tsv", "--output", "first", *losses,
         *TRAINING.split())  # fmt: skip
    well(clir.train.main, "--continue-from", "first", "--bitext", "ha=ha.tsv", "--output", "second", *losses,
         *TRAINING.split())  # fmt: skip
    for student in ("teacher", "first", "second"):
        for method, index in methods.items():
            run = f"{student}-{method}.run"
            well(clir.search.__main__.main, "--topics", "topics.tsv", "--index", index, "--encoder", student,
                 "--method", method, "--output", run)  # fmt: skip
            assert len(Path(run).read_text().splitlines()) >= 2 * (len(DOCUMENTS) - 1)
    assert "linear head" not in capsys.readouterr().err
    teacher = load_encoder("teacher")
    for student in ("first", "second"):
        check_student(Path(student), load_encoder(student), teacher)
        if not late:
            check_tokenizer(Path(student))


def check_student(folder: Path, student: Any, teacher: Any) -> None:
    assert student.fingerprint("document") == teacher.fingerprint("document")
    assert student.fingerprint("query") != teacher.fingerprint("query")
    assert student.dimension == teacher.dimension
    for side in ("query", "document"):
        transformer = folder / f"{side}_0_Transformer"
        config = json.loads((transformer / "config.json").read_text())
        assert config.get("dtype", config.get("torch_dtype")) == "float32"
        with safe_open(transformer / "model.safetensors", framework="np") as weights:
            assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F32"}  # noqa: SIM118


def check_tokenizer(folder: Path) -> None:
    """The teacher's tokenizer files stand in both sides as they were."""
    given = {path.name: path.read_bytes() for path in Path("teacher").iterdir() if "token" in path.name}
    for side in ("query", "document"):
        found = (folder / f"{side}_0_Transformer").iterdir()
        assert {path.name: path.read_bytes() for path in found if "token" in path.name} == given


@pytest.mark.slow
def test_the_same_as_processes(door: Any, tmp_path: Path) -> None:
    desk(tmp_path, "e5", "float32")

    def run(*arguments: str) -> str:
        done = door(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stderr

    run("encode", "--corpus", "docs.jsonl", "--encoder", "teacher", "--output", "dense")
    run("train", "--teacher", "teacher", "--bitext", "sw=sw.tsv", "--output", "first", *TRAINING.split())
    told = run("train", "--continue-from", "first", "--bitext", "ha=ha.tsv", "--output", "second", *TRAINING.split())
    assert "linear head" not in told
    run("search", "--topics", "topics.tsv", "--index", "dense", "--encoder", "second", "--method", "dense",
        "--output", "dense.run")  # fmt: skip
    # A teacher that is no longer the student's is not taken for another space without a word.
    hub_folders.make("bge-m3", tmp_path / "other")
    done = door("train", "--continue-from", "first", "--teacher", "other", "--bitext", "ha=ha.tsv", "--output", "third",
                *TRAINING.split(), cwd=tmp_path)  # fmt: skip
    assert done.returncode == 2 and not (tmp_path / "third").exists()
    assert "first cannot be continued: its document side is not that of other" in done.stderr
    told = run("train", "--continue-from", "first", "--teacher", "other", "--bitext", "ha=ha.tsv", "--output", "third",
               "--head", "linear", *TRAINING.split())  # fmt: skip
    assert "first is not in the space of other: it gets a linear head" in told
