"""`clir.compare`, run for real on the demo with a small model: equal losses give equal numbers, whatever happens."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[3]
LOSSES = {"ot": "ot", "the same": "ot", "a & b": [{"name": "mse"}, {"name": "contrastive", "weight": 0.1}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Iterator[Path]:
    """A folder with a plan of three losses and two seeds, three steps each."""
    made = tmp_path_factory.mktemp("comparison")
    plan = {
        "teachers": str(minilm), "bitext": f"sw={CHECKOUT}/clir/corpora/demo/bitext.tsv", "collections": "demo/sw",
        "losses": LOSSES, "seeds": [1, 2], "budgets": {"steps": 3, "pairs": 50},
        "training": {"batch_size": 8, "freeze_layers": 5, "max_tokens": 16, "precision": "fp32", "learning_rate": 1e-3},
    }  # fmt: skip
    (made / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    yield made
    shutil.rmtree(made)


def command(output: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "clir.compare", "--recipe", "plan.yaml", "--output", output, "--threads", "1", *more]


def compare(folder: Path, output: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(output, *more), cwd=folder, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def whole(folder: Path) -> subprocess.CompletedProcess[str]:
    done = compare(folder, "whole")
    assert done.returncode == 0, done.stderr
    return done


def numbers(folder: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The lines of results.csv by system, budget, search and measure."""
    with open(folder / "results.csv", encoding="utf-8") as handle:
        return {
            tuple(row[key] for key in ("system", "budget", "search", "measure")): row for row in csv.DictReader(handle)
        }


def linked_copy(folder: Path, copy: Path) -> None:
    """A copy whose files take no place; clir replaces files whole and never changes one."""
    shutil.copytree(folder, copy, copy_function=os.link)


def scores(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("scores/**/*.json"))}


def test_the_same_loss_under_two_names_gives_identical_numbers(
    folder: Path, whole: subprocess.CompletedProcess[str]
) -> None:
    table = numbers(folder / "whole")
    compared = [key for key in table if key[0] == "ot"]
    assert len(compared) == 3
    for key in compared:
        ours, theirs = table[key], table["the same", *key[1:]]
        assert {
            name: value for name, value in ours.items() if name not in ("system", "wall_seconds", "peak_memory_mib")
        } == {name: theirs[name] for name in ours if name not in ("system", "wall_seconds", "peak_memory_mib")}
    # And another loss gives others.
    assert table["a & b", *compared[0][1:]]["by_seed"] != table[compared[0]]["by_seed"]


def test_the_statistics_are_those_of_the_scores(folder: Path, whole: subprocess.CompletedProcess[str]) -> None:
    def topics(line: str) -> np.ndarray:
        found = json.loads((folder / "whole/scores" / line / "demo-sw.dense.json").read_text())["topics"]
        return np.array([values["AP"] for values in found.values()])

    model = "all-MiniLM-L6-v2"
    seeds = [topics(f"{model}--a-b--3-steps-50-pairs--seed-{seed}") for seed in (1, 2)]
    base, oracle = topics(f"undistilled--{model}"), topics(f"oracle--{model}")
    row = numbers(folder / "whole")["a & b", "3 steps, 50 pairs", "dense", "AP"]
    mean = np.mean(seeds)
    assert float(row["mean"]) == pytest.approx(mean) and len(base) == int(row["topics"]) == 40
    assert float(row["spread"]) == pytest.approx(np.std([seed.mean() for seed in seeds], ddof=1))
    assert float(row["difference"]) == pytest.approx(mean - base.mean())
    assert float(row["p"]) == pytest.approx(stats.ttest_rel(np.mean(seeds, axis=0), base).pvalue)
    assert float(row["closed"]) == pytest.approx((mean - base.mean()) / (oracle.mean() - base.mean()))
    assert float(row["low"]) < mean < float(row["high"])
    # Holm's correction over all rows of the column that are tested: four beside the baseline.
    assert float(row["p"]) <= float(row["adjusted"]) <= min(1.0, 4 * float(row["p"]))
    assert numbers(folder / "whole")["undistilled", "", "dense", "AP"]["p"] == ""


def test_costs_are_those_of_the_students(folder: Path, whole: subprocess.CompletedProcess[str]) -> None:
    row = numbers(folder / "whole")["ot", "3 steps, 50 pairs", "dense", "AP"]
    made = [json.loads(path.read_text())["cost"] for path in folder.glob("whole/students/*--ot--*/meta.json")]
    assert (row["pairs"], row["steps"], len(made)) == ("50", "3", 2)
    assert float(row["training_flops"]) == pytest.approx(np.mean([cost["training flops"] for cost in made]))


def test_tables_and_page_say_the_same(folder: Path, whole: subprocess.CompletedProcess[str]) -> None:
    row = numbers(folder / "whole")["ot", "3 steps, 50 pairs", "dense", "AP"]
    number = f"{float(row['mean']):.4f}"
    line = next(line for line in whole.stdout.splitlines() if line.startswith("| ot") and "50 pairs" in line)
    assert number in line and f"±{float(row['spread']):.4f}" in line
    latex = (folder / "whole/results.tex").read_text()
    assert number in latex and r"a \& b" in latex and r"\toprule" in latex and latex.count("tabular") == 2 * 3
    page = (folder / "whole/report.html").read_text("utf-8")
    assert number in page and "a &amp; b" in page and "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    xml.etree.ElementTree.parse(folder / "whole/dense-flops.svg")


def test_again_trains_nothing_and_a_deleted_cell_comes_back_the_same(
    folder: Path, whole: subprocess.CompletedProcess[str]
) -> None:
    before = scores(folder / "whole")
    linked_copy(folder / "whole", folder / "less")
    cell = "all-MiniLM-L6-v2--a-b--3-steps-50-pairs--seed-2"
    shutil.rmtree(folder / "less/students" / cell)
    shutil.rmtree(folder / "less/scores" / cell)
    done = compare(folder, "less")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("/6] ") == 1 and "[6/6] a & b, 3 steps, 50 pairs, seed 2" in done.stderr
    assert scores(folder / "less") == before
    # Its scores are there, but what it cost is not.
    shutil.rmtree(folder / "less/students" / cell)
    assert compare(folder, "less", "--dry-run").stdout.count("to do") == 1
    done = compare(folder, "less")
    assert done.returncode == 0 and done.stderr.count("/6] ") == 1, done.stderr
    assert numbers(folder / "less").keys() == numbers(folder / "whole").keys()
    assert all(row["training_flops"] for row in numbers(folder / "less").values() if row["budget"])
    again = compare(folder, "less", "--json")
    assert "/6] " not in again.stderr
    assert {row["system"] for row in json.loads(again.stdout)} >= {"ot", "the same", "a & b", "undistilled", "oracle"}


def test_a_part_of_a_plan(folder: Path, whole: subprocess.CompletedProcess[str]) -> None:
    linked_copy(folder / "whole", folder / "part")
    done = compare(folder, "part", "--tables-only", "--json", "--losses", "a & b", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout) if row["measure"] == "AP" and row["budget"]]
    assert [(row["system"], row["seeds"]) for row in rows] == [("a & b", "2")]
    table = numbers(folder / "whole")["a & b", "3 steps, 50 pairs", "dense", "AP"]
    assert rows[0]["mean"] == pytest.approx(float(table["by_seed"].split()[1]), abs=1e-6)
    listed = compare(folder, "part", "--dry-run", "--seeds", "1").stdout.splitlines()
    assert len(listed) == 3 and all("seed 1" in line for line in listed)


def test_dropped_students_leave_their_costs_and_come_back(
    folder: Path, whole: subprocess.CompletedProcess[str]
) -> None:
    linked_copy(folder / "whole", folder / "dropped")
    done = compare(folder, "dropped", "--drop-students")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.glob("dropped/students/*/*")} == {"meta.json"}
    assert numbers(folder / "dropped") == numbers(folder / "whole")
    shutil.rmtree(folder / "dropped/scores/all-MiniLM-L6-v2--ot--3-steps-50-pairs--seed-1")
    again = compare(folder, "dropped")
    assert again.returncode == 0 and "its student was dropped, and is trained again" in again.stderr, again.stderr
    assert scores(folder / "dropped") == scores(folder / "whole")


def test_a_killed_comparison_ends_with_the_same_numbers(folder: Path, whole: subprocess.CompletedProcess[str]) -> None:
    running = subprocess.Popen(command("cut"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(30_000):
        if len(list(folder.glob("cut/students/*/meta.json"))) >= 2 or running.poll() is not None:
            break
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    early = compare(folder, "cut", "--tables-only")
    assert early.returncode == 0 and "undistilled" in early.stdout
    listed = compare(folder, "cut", "--dry-run").stdout.splitlines()
    assert len(listed) == 6 and any(line.startswith("to do") for line in listed)
    done = compare(folder, "cut")
    assert done.returncode == 0, done.stderr
    assert scores(folder / "cut") == scores(folder / "whole")


def test_threads_bound_torch_too(folder: Path) -> None:
    code = (
        "import clir.compare\n"
        "status = clir.compare.main('--recipe plan.yaml --output none --dry-run --threads 1'.split())\n"
        "import torch\n"
        "assert (status, torch.get_num_threads()) == (0, 1), torch.get_num_threads()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bitext": "sw=nope.tsv"}, "bitext not found: nope.tsv"),
        ({"bitext": "plan.yaml,plan.yaml"}, "no language given for the bitext"),
        ({"languages": "ha"}, "languages: the bitext has no pairs of ha"),
    ],
)
def test_bitext_that_is_not_there_is_said_before_anything_is_searched(
    folder: Path, change: dict[str, str], message: str
) -> None:
    plan = yaml.safe_load((folder / "plan.yaml").read_text()) | change
    (folder / "wrong.yaml").write_text(yaml.safe_dump(plan))
    for more in ([], ["--dry-run"]):
        done = compare(folder, "wrong", "--recipe", "wrong.yaml", *more)
        assert (done.returncode, done.stdout) == (2, "") and message in done.stderr, done.stderr
    assert not (folder / "wrong").exists()


def test_nothing_done_yet_is_said(folder: Path) -> None:
    done = compare(folder, "nothing", "--tables-only")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing holds no results of this plan yet" in done.stderr
    assert io.StringIO(done.stderr).readlines()[-1].count("\n") == 1 and not (folder / "nothing").exists()


def test_scores_of_another_plan_do_not_pass_for_this_ones(
    folder: Path, whole: subprocess.CompletedProcess[str]
) -> None:
    plan = yaml.safe_load((folder / "plan.yaml").read_text())
    plan["training"]["learning_rate"] = 0.0005
    (folder / "changed.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    done = compare(folder, "whole", "--tables-only", "--recipe", "changed.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "was made by another plan: choose another --output, or remove it and its student" in done.stderr
