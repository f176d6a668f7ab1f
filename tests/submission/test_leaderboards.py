"""The rules as data: what comes with clir is whole and sourced, and what is not of their shape is refused."""

import re
from pathlib import Path

import pytest
import yaml
from valid_runs import VALID

from clir.submission.check import RunReport, RunToCheck
from clir.submission.findings import KINDS, Findings
from clir.submission.leaderboard import leaderboards, read_leaderboard
from clir.submission.metadata import description_of, fields_of, run_fields_of
from clir.support.errors import ClirError, UsageError

ARCHIVE = {"format": "zip", "run": "{tag}", "metadata": "about.json"}
OWN = {
    "name": "ours",
    "title": "Ours",
    "sources": ["https://example.org/rules"],
    "form": "trec",
    "archive": ARCHIVE,
    "metadata": {"format": "json", "fields": {"team": {"about": "who"}}},
}


@pytest.mark.parametrize("name", leaderboards())
def test_every_leaderboard_has_its_sources(name: str) -> None:
    board = read_leaderboard(name)
    assert board.name == name
    assert any("https://" in source for source in board.sources)
    assert board.unverified, "nothing is known of a leaderboard to the last"


def test_every_leaderboard_has_a_valid_run_in_the_tests() -> None:
    assert set(VALID) == set(leaderboards()) >= {"trec", "neuclir", "ciral", "miracl", "msmarco", "mmarco"}


def test_rules_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump({**OWN, "hits": {"most": 7}, "levels": {"rank-gap": "error"}}))
    board = read_leaderboard(str(path))
    assert (board.title, board.hits.most, board.levels) == ("Ours", 7, {"rank-gap": "error"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (yaml.safe_dump({**OWN, "colour": "red"}), "colour: not a key of the rules"),
        (yaml.safe_dump({**OWN, "hits": {"mots": 7}}), "hits.mots: not a key of the rules"),
        (yaml.safe_dump({**OWN, "levels": {"rank-gab": "error"}}), "unknown kind of finding 'rank-gab'; did you mean"),
        (yaml.safe_dump({**OWN, "levels": {"rank-gap": "fatal"}}), "levels.rank-gap: input should be"),
        (yaml.safe_dump({**OWN, "docids": {"pattern": "(a"}}), "docids.pattern: not a regular expression"),
        (yaml.safe_dump({**OWN, "docids": {"pattern": "(?=a)a"}}), "that both Python and polars read"),
        (yaml.safe_dump({**OWN, "sources": []}), "sources: "),
        (
            yaml.safe_dump({**OWN, "archive": {**ARCHIVE, "run": "runs/{nosuch}.txt"}}),
            "archive.run: 'runs/{nosuch}.txt' has {nosuch}, which is no placeholder here (known: {id}, {part}, {tag}",
        ),
        (yaml.safe_dump({**OWN, "archive": {**ARCHIVE, "run": "{tag!r}"}}), "archive.run: '{tag!r}' has {tag!r}"),
        (yaml.safe_dump({**OWN, "archive": {**ARCHIVE, "run": "{tag}}"}}), "archive.run: '{tag}}' has }"),
        (yaml.safe_dump({**OWN, "archive": {**ARCHIVE, "metadata": "{part}"}}), "archive.metadata: '{part}' has"),
        (yaml.safe_dump({**OWN, "tag": {"begins": "{tag}-"}}), "tag.begins: '{tag}-' has {tag}"),
        (
            yaml.safe_dump({**OWN, "part_from": "tag"}),
            "ours.yaml: part_from: tag needs a tag.pattern with a group (?P<part>...)",
        ),
        (yaml.safe_dump({**OWN, "part_from": "tag", "tag": {"pattern": "[a-z]+"}}), "part_from: tag needs"),
        (yaml.safe_dump({key: value for key, value in OWN.items() if key != "form"}), "form: field required"),
        ("name: [", "ours.yaml:1: not YAML"),
        ("- a\n- b\n", "ours.yaml is not a set of rules: it must be keys and values"),
        ("1: 2\n", "the key 1 is not text: put it in quotes"),
        ("!!python/object/apply:os.system [x]", "not YAML"),
    ],
)
def test_rules_of_another_shape(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(text)
    with pytest.raises(ClirError) as caught:
        read_leaderboard(str(path))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown leaderboard 'neuclri'; did you mean 'neuclir'"):
        read_leaderboard("neuclri")
    with pytest.raises(UsageError, match="rules of a leaderboard not found"):
        read_leaderboard(str(tmp_path / "none.yaml"))


PAGE = Path(__file__).resolve().parents[2] / "docs" / "submitting.md"


def test_the_page_names_every_leaderboard_and_kind() -> None:
    page = PAGE.read_text("utf-8")
    for name in (*leaderboards(), *KINDS):
        assert f"`{name}`" in page, f"docs/submitting.md does not name {name}"


def test_what_the_page_shows_is_read(tmp_path: Path) -> None:
    found = dict(re.findall(r"```yaml (\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
    (tmp_path / "my-track.yaml").write_text(found["rules"])
    assert read_leaderboard(str(tmp_path / "my-track.yaml")).levels == {"rank-gap": "error", "topic-split": "off"}
    board, about = read_leaderboard("neuclir"), Findings("about.yaml")
    description = description_of(found["metadata"], "about.yaml")
    assert fields_of(board, description, {}, about)["team"] == "us"
    for tag, kind in (("fas-us-AND_one", "neural"), ("fas-us-AHE_two", "combination")):
        report = RunReport(RunToCheck(Path(tag)), Findings(tag), "trec", tag=tag)
        assert run_fields_of(board, description, report, about)["kind"] == kind
    assert about.counts == {}
