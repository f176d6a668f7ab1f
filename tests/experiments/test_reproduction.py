"""Files of results: run again, compared, and wrong ones named in a line."""

import json

import pytest
import yaml

from clir.experiments.reproduction import Outcome, read_reproduction, reproduce
from clir.support.errors import ClirError, UsageError

FILE = """
about: a run of two hits
steps:
  - name: made
    commands: ["python -c \\"open('a.run', 'w').write('1 Q0 x 1 $SCORE a\\\\\\\\n')\\""]
    expected: [{run: a.run, qrels: q.txt, scores: {AP: 0.5, R@100: 0.5}, tolerance: 0.01}]
  - name: other
    commands: [python -c pass]
"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCORE", "2")
    (tmp_path / "q.txt").write_text("1 0 x 1\n1 0 y 1\n")
    path = tmp_path / "results.yaml"
    path.write_text(FILE)
    return path


def test_commands_are_run_and_scores_compared(results):
    assert [(one.measure, one.found, one.verdict) for one in reproduce(results)] == [
        ("AP", 0.5, "reproduced"), ("R@100", 0.5, "reproduced"),
    ]  # fmt: skip
    assert list(reproduce(results, ["other"])) == []


@pytest.mark.parametrize(
    ("found", "verdict"), [(0.51, "reproduced"), (0.49, "reproduced"), (0.55, "near"), (0.551, "off")]
)
def test_verdicts(found, verdict):
    assert Outcome("s", "r", "AP", 0.5, found, 0.01).verdict == verdict


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: made", "nam: made", "unknown key steps.0.nam"),
        ("python -c pass", "rm -rf /", "a command must begin with python, not as: rm -rf /"),
        ("python -c pass", "python 'a", "not a command"),
        ("$SCORE", "$ SCORE", r"a \$ without a name behind it"),
        ("run: a.run", "run: $/a.run", r"\$/a.run: a \$ without a name behind it"),
        ("R@100: 0.5", "MAP: 0.5", "results.yaml: AP and MAP are one measure: leave one out"),
        ("R@100: 0.5", "R@5 R@100: 0.5", "results.yaml: 'R@5 R@100' is 2 measures: give each its own score"),
        ("AP: 0.5", "APE: 0.5", "unknown measure 'APE'"),
        ("about: a run of two hits", "- a", "not YAML"),
    ],
)
def test_wrong_files(results, old, new, message):
    results.write_text(FILE.replace(old, new))
    with pytest.raises(UsageError, match=message):
        read_reproduction(results)


def test_a_value_of_the_environment_stays_in_one_word(results, monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDER", str(tmp_path / "my 'own"))
    (tmp_path / "my 'own").mkdir()
    script = "import sys; open(sys.argv[1], 'w').write('1 Q0 x 1 2 a' + chr(10))"
    step = {
        "name": "blank",
        "commands": [f'python -c "{script}" $FOLDER/b.run'],
        "expected": [{"run": "$FOLDER/b.run", "qrels": "q.txt", "scores": {"AP": 0.5}}],
    }
    results.write_text(yaml.safe_dump({"about": "a folder with a blank", "steps": [step]}))
    assert [one.found for one in reproduce(results)] == [0.5]


def test_only_the_variables_of_the_steps_that_are_run_are_asked_for(results, monkeypatch, tmp_path):
    monkeypatch.delenv("SCORE")
    assert list(reproduce(results, ["other"])) == []
    for old, new in (("python -c pass", "python -c $LATE"), ("run: a.run", "run: $LATE/a.run")):
        monkeypatch.setenv("SCORE", "2")
        results.write_text(FILE.replace(old, new))
        with pytest.raises(UsageError, match=r"results.yaml: \$LATE is not set in the environment"):
            list(reproduce(results))
        assert not (tmp_path / "a.run").exists()


def test_a_command_that_fails_ends_it(results):
    results.write_text(FILE.replace("python -c pass", "python -c 'raise SystemExit(3)'"))
    with pytest.raises(ClirError, match="other: exit status 3 of: python -c"):
        list(reproduce(results))
    with pytest.raises(UsageError, match="has no step 'x'"):
        list(reproduce(results, ["x"]))


def test_the_demos_baselines_are_reproduced(door, e5, own_cache, tmp_path):
    root = __import__("pathlib").Path(__file__).parents[2]
    text = (root / "docs/reproductions/demo.yaml").read_text().replace("encoders/models/multilingual-e5-small", str(e5))
    (tmp_path / "demo.yaml").write_text(text)
    result = door("evaluate", "--reproduce", "demo.yaml", "--only", "baselines", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [line["verdict"] for line in json.loads(result.stdout)] == ["reproduced"] * 9
    wrong = text.replace("AP: 0.3749", "AP: 0.4749")
    (tmp_path / "demo.yaml").write_text(wrong)
    result = door("evaluate", "--reproduce", "demo.yaml", "--only", "baselines", cwd=tmp_path)
    assert result.returncode == 1
    assert "1 of 9 scores differ from the expected ones by more than their tolerance" in result.stderr
