"""`python -m clir.train` as a person calls it: a student, a kill, and what bad input gets."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

STEPS = 6
QUICK = ("--steps", STEPS, "--batch-size", 4, "--max-tokens", 16, "--checkpoint-steps", 1, "--lr", "1e-3")


def train(model: Path, output: str = "student", *more: str | Path) -> tuple[str, ...]:
    """Options that train MiniLM on a dozen pairs for some steps; what comes later wins."""
    bitext = ("--bitext", "text.en,text.sw", "--language", "sw")
    return tuple(map(str, ("train", "--teacher", model, *bitext, "--output", output, *QUICK, *more)))


def weights(student: Path) -> dict[str, bytes]:
    return {str(path.relative_to(student)): path.read_bytes() for path in student.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def school(tmp_path_factory, library_in, door, minilm) -> Path:
    """A folder with bitext, and the student `student` that was trained on it. Not to be written into."""
    folder = library_in(tmp_path_factory.mktemp("school"))
    done = door(*train(minilm), cwd=folder, env={**os.environ, "PYTHONHASHSEED": "0"})
    assert (done.returncode, done.stdout) == (0, "student\n"), done.stderr
    assert "bitext, read: 12 pairs" in done.stderr
    return folder


@pytest.mark.slow
def test_the_student_is_right_on_both_sides(school, minilm):
    from clir.encoding.encoder import load_encoder

    student, teacher = load_encoder(str(school / "student")), load_encoder(str(minilm))
    texts = ["Maji ni safi.", "The water is clean."]
    assert student.fingerprint("document") == teacher.fingerprint("document")
    assert student.fingerprint("query") != teacher.fingerprint("query")
    np.testing.assert_allclose(student.encode_documents(texts), teacher.encode_documents(texts), atol=1e-6)
    ours, theirs = student.encode_queries(texts), teacher.encode_queries(texts)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert np.abs(ours - theirs).max() > 1e-3, "it has learnt something"
    # The Swahili side came nearer to the teacher's English.
    assert ours[0] @ theirs[1] > theirs[0] @ theirs[1]


@pytest.mark.slow
def test_the_manifest_says_what_made_the_student(school, minilm):
    manifest = json.loads((school / "student/meta.json").read_text())
    assert (manifest["kind"], manifest["steps"], manifest["pairs"], manifest["languages"]) == ("student", 6, 12, ["sw"])
    recipe = manifest["recipe"]
    assert (recipe["teacher"], recipe["student"]) == (str(minilm), str(minilm))
    assert (recipe["loss"]["name"], recipe["batch_size"], recipe["learning_rate"]) == ("sum", 4, 0.001)
    assert set(manifest["fingerprints"]) == {"query", "document"}
    assert manifest["data"]["bitext"] == ["sw=text.en,text.sw"]
    assert manifest["data"]["pairs by step"]["read"] == {"kept": 12}
    assert manifest["cost"]["student flops"] > manifest["cost"]["teacher flops"] > 0
    assert len(manifest["losses"]) >= 1
    assert sorted(path.name for path in school.iterdir() if path.name.startswith(".")) == [], "no work folder is left"


@pytest.mark.slow
def test_the_same_again_is_left_as_it_is(school, door, minilm):
    before = {path: path.stat().st_mtime_ns for path in (school / "student").rglob("*")}
    done = door(*train(minilm), cwd=school)
    assert (done.returncode, done.stdout) == (0, "student\n")
    assert done.stderr.splitlines()[-1] == "student is already trained by this recipe on these pairs"
    assert {path: path.stat().st_mtime_ns for path in (school / "student").rglob("*")} == before


@pytest.mark.slow
def test_another_student_is_not_put_over_it(school, refusal, minilm):
    message = refusal(school, *train(minilm, "student", "--loss", "mse"), status=2)
    assert message == "student holds a student of another recipe or other pairs: choose another --output, or remove it"
    message = refusal(school, *train(minilm, "docs.jsonl"), status=2)
    assert message == "docs.jsonl holds something else: choose another --output, or remove it"


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_weights(school, desk, door, minilm):
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-m", "clir.train", *train(minilm)[1:]]
    running = subprocess.Popen(command, cwd=desk, env=environment, stderr=subprocess.PIPE, text=True)
    for _ in range(2400):
        if list(desk.glob(".student.training/*/checkpoint-2/trainer_state.json")) or running.poll() is not None:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=30)
    assert running.returncode == -signal.SIGKILL, "it was still at work"
    assert not (desk / "student").exists()
    done = door(*train(minilm), cwd=desk, env=environment)
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stderr
    assert weights(desk / "student") == weights(school / "student")
    assert [path.name for path in desk.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_a_recipe_and_options_over_it(desk, door, minilm):
    (desk / "r.yaml").write_text(
        f"teacher: {minilm}\nstudent: {minilm}\nloss: {{name: ot, solver: {{name: sinkhorn, epsilon: 0.2}}}}\nseed: 7\n"
    )
    (desk / "more.tsv").write_text("Salt is cheap.\tGishiri na da arha.\nGood evening.\tBarka da yamma.\n")
    options = ("--recipe", "r.yaml", "--bitext", "sw=text.en,text.sw", "ha=more.tsv", "--held-out", "demo/sw")
    last = ("--iterations", "9", "--steps", "1", "--batch-size", "4", "--output", "out/student")
    done = door("train", *options, *last, cwd=desk)
    assert (done.returncode, done.stdout) == (0, "out/student\n"), done.stderr
    manifest = json.loads((desk / "out/student/meta.json").read_text())
    assert manifest["languages"] == ["ha", "sw"]
    loss = manifest["recipe"]["loss"]
    assert (loss["name"], loss["solver"]["epsilon"], loss["solver"]["iterations"], manifest["recipe"]["seed"]) == (
        "ot",
        0.2,
        9,
        7,
    )
    assert manifest["data"]["held out"] == ["demo/sw"]
    assert "leakage" in manifest["data"]["pairs by step"]


def files_up_to(megabytes: int) -> Callable[[], None]:
    """For a child process: no file may grow beyond that, a full disk but for the error's name."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes << 20, megabytes << 20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint_steps", "megabytes", "reason"),
    [
        # In MiB, the trained weights take 41, their optimiser's state 81, all weights of the student 87.
        (1, 8, "Error while serializing: I/O error: File too large (os error 27)"),
        (1, 60, "a checkpoint was not written whole (is the disk full?)"),
        (100, 84, "Error while serializing: I/O error: File too large (os error 27)"),
    ],
    ids=["weights of a checkpoint", "optimiser of a checkpoint", "student"],
)
def test_no_space_left(desk, door, minilm, checkpoint_steps, megabytes, reason):
    options = train(minilm, "student", "--steps", "1", "--checkpoint-steps", str(checkpoint_steps))
    done = door(*options, cwd=desk, preexec_fn=files_up_to(megabytes))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"python -m clir.train: cannot write student: {reason}"
    assert "Traceback" not in done.stderr
    assert not (desk / "student").exists()
    done = door(*options, cwd=desk)
    assert done.returncode == 0, "with space again: " + done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--teacher", "nowhere"),
            "no model 'nowhere': it is neither a folder, nor a hub id (org/model), nor package.",
        ),
        (("--teacher", "empty"), "empty holds no model (neither modules.json nor config.json)"),
        (("--student", "empty"), "empty holds no model (neither modules.json nor config.json)"),
        (("--language", "klingon"), "unknown language 'klingon'"),
        (("--language", "en"), "the foreign side of the bitext text.en,text.sw cannot be English"),
        (("--language", "sw", "ha"), "1 pieces of bitext but 2 languages: give one, or one each"),
        (("--bitext", "text.en,no.sw"), "bitext not found: no.sw"),
        (("--bitext", "text.en"), "bitext text.en is neither a Moses pair (A.en,A.sw) nor a .tmx, .tsv or .jsonl file"),
        (("--loss", "optimal"), "unknown loss 'optimal'"),
        (("--marginals", "even"), "options: loss.0.marginals: input should be 'uniform', 'norm' or 'idf'"),
        (("--loss", "mse", "--epsilon", ".1"), "options: this loss has no option 'epsilon'"),
        (("--recipe", "no.yaml"), "recipe not found: no.yaml"),
        (("--recipe", "typo.yaml"), "typo.yaml: unknown recipe key 'batchsize'; did you mean 'batch_size'?"),
        (("--recipe", "lost.yaml"), "lost.yaml: this loss has no option 'epsilom'"),
        (("--recipe", "list.yaml"), "list.yaml is not a recipe: it must be keys and values"),
        (("--recipe", "broken.yaml"), "broken.yaml:2: not YAML"),
        (("--lr", "-1"), "options: learning_rate: input should be greater than 0"),
        (("--steps", "0"), "options: steps: input should be greater than or equal to 1"),
        (("--batch-size", "99"), "12 sentence pairs do not fill a batch of 99"),
        (("--held-out", "demo/xx"), "unknown language 'xx'"),
        (("--replay", ".5"), "--replay is for pairs of an earlier training: it needs --continue-from"),
        (("--every", "5"), "--every needs --early-stopping"),
        (("--stop-search", "late"), "--stop-search needs --early-stopping"),
        (
            ("--early-stopping", "bitext"),
            "early stopping holds out 500 of 12 pairs: set `pairs` of early_stopping to fewer",
        ),
        (("--precision", "fp16"), "precision: fp16 is for GPUs: choose bf16 or fp32 on a CPU"),
        (("--threads", "0"), "--threads must be at least 1, not 0"),
        (("--output", "docs.jsonl"), "docs.jsonl holds something else: choose another --output, or remove it"),
    ],
)
def test_wrong_use(refusal, desk, minilm, options, message):
    (desk / "empty").mkdir()
    (desk / "typo.yaml").write_text("batchsize: 3\n")
    (desk / "lost.yaml").write_text("loss: {name: ot, epsilom: 0.1}\n")
    (desk / "list.yaml").write_text("- steps\n")
    (desk / "broken.yaml").write_text("steps: [1\n")
    assert message in refusal(desk, *train(minilm, "student", *options), status=2)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("text.sw", "", "the two sides of the bitext differ in length: text.en has 12 lines, text.sw has 0"),
        (
            "text.sw",
            "Maji.\n" * 13,
            "the two sides of the bitext differ in length: text.en has 12 lines, text.sw has 13",
        ),
        ("text.tsv", "", "no pairs in text.tsv"),
        (
            "text.tsv",
            "Water.\tMaji.\nFire.\n",
            "text.tsv:2: no tab in the line, which must be: English, tab, translation",
        ),
        ("text.tmx", "<tmx><body><tu>", "text.tmx"),
        ("text.tmx", '<!DOCTYPE t [<!ENTITY a "b">]><tmx version="1.4"><body/></tmx>', "text.tmx"),
    ],
)
def test_bad_bitext(refusal, desk, minilm, file, content, message):
    (desk / file).write_text(content)
    specification = "text.en,text.sw" if file == "text.sw" else file
    assert message in refusal(desk, *train(minilm, "student", "--bitext", specification), status=1)


def test_sides_in_the_wrong_order_are_refused_before_the_models_are_read(refusal, desk, minilm):
    message = refusal(desk, *train(minilm, "student", "--bitext", "sw=text.sw,text.en"), status=2)
    assert "English comes first: write sw=text.en,text.sw; if text.sw is English all the same, write " in message


def test_an_output_that_cannot_be_is_said_before_the_models_are_read(refusal, desk, minilm):
    assert "cannot write text.en/student" in refusal(desk, *train(minilm, "text.en/student"), status=1)


def test_what_was_dropped_is_written_where_it_is_asked_for(door, desk, minilm):
    (desk / "text.tsv").write_text("note\tsource\ttarget\n1\tSame.\tSame.\n2\tWater.\t\n3\tMilk.\tMILK\n")
    options = ("--bitext", "text.tsv:source,target", "--dropped", "dropped.tsv", "--no-language-guess")
    done = door(*train(minilm, "student", *options), cwd=desk)
    assert done.returncode == 2
    assert done.stderr.endswith("no sentence pair is left after reading and cleaning the bitext\n")
    assert (desk / "dropped.tsv").read_text() == (
        "reason\tlanguage\tenglish\tforeign\n"
        "a side is empty\tsw\tWater.\t\n"
        "sides are the same\tsw\tSame.\tSame.\n"
        "sides are the same\tsw\tMilk.\tMILK\n"
    )


def test_nothing_left_to_train_on(refusal, desk, minilm):
    from clir.corpora.demo_collection import demo_file

    (desk / "text.tsv").write_text(
        "".join(
            f"{english.split(chr(9))[1]}\t{swahili.split(chr(9))[1]}\n"
            for english, swahili in zip(
                demo_file("topics.en.tsv").read_text("utf-8").splitlines(),
                demo_file("topics.sw.tsv").read_text("utf-8").splitlines(),
                strict=True,
            )
        )
    )
    options = train(minilm, "student", "--bitext", "text.tsv", "--held-out", "demo/sw")
    assert refusal(desk, *options, status=2) == "no sentence pair is left after reading and cleaning the bitext"
