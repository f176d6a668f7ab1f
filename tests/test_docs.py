"""The pages are true: their commands parse, their examples run and print what they say, their links lead somewhere."""

import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What an example prints stands behind the call, or on the next line.
PRINTS = re.compile(r"# prints: (.*)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: where it begins, what stands behind the fence, and its text."""

    where: str
    info: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text("utf-8").splitlines()
    start, info = 0, ""
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if start:
            yield Block(f"{page.relative_to(ROOT)}:{start}", info, "\n".join(lines[start : number - 1]) + "\n")
            start = 0
        else:
            start, info = number, line.removeprefix("```").strip()
    assert not start, f"{page}:{start}: a block without an end"


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `python -m clir...` of the shell blocks, split into words, with the place where it stands."""
    for page in PAGES:
        for block in blocks(page):
            if block.info == "sh":
                for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
                    if line.startswith("python -m clir."):
                        yield block.where, shlex.split(line, comments=True)


COMMANDS = list(commands())


def parsed(words: list[str]) -> tuple[str, Namespace]:
    """The door of a command, and its options as the door's own parser reads them."""
    module = words[2]
    return module.removeprefix("clir."), importlib.import_module(module).parser().parse_args(words[3:])


def test_pages_show_every_door() -> None:
    from clir.__main__ import DOORS

    assert {words[2].removeprefix("clir.") for _, words in COMMANDS} >= set(DOORS)


@pytest.mark.parametrize(("where", "words"), COMMANDS, ids=[" ".join(words[2:6]) for _, words in COMMANDS])
def test_command_parses_and_means_something(where: str, words: list[str]) -> None:
    try:
        door, options = parsed(words)
    except SystemExit as stop:
        # --help leaves by 0.
        assert stop.code == 0, f"{where}: {' '.join(words)}"
        return
    check = CHECKS.get(door)
    if check:
        check(options)
    for name in ("encoder", "teacher", "student"):
        model = getattr(options, name, None)
        assert model is None or re.match(r"encoders/(models|students)/[\w-]", model), f"{where}: {model}"


def check_train(options: Namespace) -> None:
    from clir.corpora.languages import language
    from clir.distillation.recipe import read_recipe, with_loss_options
    from clir.train import LOSS_OPTIONS, RECIPE_OPTIONS

    values = {name: getattr(options, name) for name in RECIPE_OPTIONS}
    if not options.recipe:
        # A student that is continued brings its teacher.
        values["teacher"] = values["teacher"] or options.continue_from
    recipe = read_recipe(ROOT / options.recipe if options.recipe else None, values)
    with_loss_options(recipe, {name: getattr(options, name) for name in LOSS_OPTIONS}, options.weights)
    for code in options.language:
        language(code)
    check_collections(options.held_out)


def check_search(options: Namespace) -> None:
    from clir.evaluation.measures import parse
    from clir.experiments.search import METHODS
    from clir.runs.fusion import check

    assert options.method in METHODS
    check(2, options.fusion or "rrf", weights=options.weights)
    parse(options.measures)
    assert bool(options.collection) != bool(options.topics)
    assert bool(options.topics) == bool(options.index)
    assert (options.method == "bm25") == (options.encoder is None)
    check_collections([name for name in (options.collection, options.topics) if name and "." not in name])


def check_fuse(options: Namespace) -> None:
    from clir.runs.fusion import check

    runs = max(2, len(options.runs)) if options.document_languages else len(options.runs)
    check(runs, options.method, weights=options.weights, depth=options.depth)


def check_evaluate(options: Namespace) -> None:
    from clir.evaluation.measures import parse

    parse(options.measures)
    if options.reproduce:
        assert (ROOT / options.reproduce).exists()
    elif "." not in options.qrels:
        check_collections([options.qrels])


def check_index(options: Namespace) -> None:
    from clir.indexing.analyzers import choose_analyzer

    choose_analyzer(options.language, options.analyzer)


def check_fetch(options: Namespace) -> None:
    from clir.corpora.sources import SOURCES

    assert set(options.names) <= set(SOURCES)


def check_compare(options: Namespace) -> None:
    from clir.experiments.comparison.plan import read_plan

    if options.recipe.startswith("encoders/"):
        read_plan(ROOT / options.recipe).cells()


def check_collections(names: list[str]) -> None:
    from clir.corpora.registry import open_collection

    for name in names:
        open_collection(name)


CHECKS = {
    "train": check_train, "search": check_search, "fuse": check_fuse, "evaluate": check_evaluate, "index": check_index,
    "fetch": check_fetch, "compare": check_compare,
}  # fmt: skip


def test_a_wrong_option_would_be_seen() -> None:
    with pytest.raises(SystemExit) as stop:
        parsed(shlex.split("python -m clir.fuse --runs a b --methods rrf --output c"))
    assert stop.value.code == 2


def test_recipes_on_the_pages_are_recipes() -> None:
    from clir.distillation.recipe import parse_recipe

    recipes = [block for page in PAGES for block in blocks(page) if block.info == "yaml"]
    assert recipes
    for block in recipes:
        parse_recipe(yaml.safe_load(block.text), block.where)


def test_results_on_the_pages_and_in_files_can_be_reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clir.experiments.reproduction import read_reproduction

    monkeypatch.setenv("MODEL", "encoders/models/multilingual-e5-small")
    shown = [block.text for page in PAGES for block in blocks(page) if block.info == "yaml results"]
    written = [path.read_text("utf-8") for path in (ROOT / "docs" / "reproductions").glob("*.yaml")]
    assert shown and written
    for text in [*shown, *written]:
        (tmp_path / "results.yaml").write_text(text, "utf-8")
        for step in read_reproduction(tmp_path / "results.yaml").steps:
            for command in step.commands:
                if " clir.experiments." not in command:
                    parsed(shlex.split(command))


def test_plans_on_the_pages_are_plans() -> None:
    from clir.experiments.comparison.plan import Plan, parse_plan

    plans = [block for page in PAGES for block in blocks(page) if block.info == "yaml plan"]
    assert plans
    for block in plans:
        parse_plan(yaml.safe_load(block.text), block.where).cells()
    page = (ROOT / "docs" / "compare.md").read_text("utf-8")
    for key in Plan.model_fields:
        assert f"| `{key}` |" in page, f"docs/compare.md does not explain {key}"


def test_every_loss_and_solver_is_explained_with_its_options() -> None:
    from clir.distillation import losses, transport

    page = (ROOT / "docs" / "losses.md").read_text("utf-8")
    kinds = [getattr(losses, name) for name in losses.__all__] + [
        getattr(transport, name) for name in transport.__all__
    ]
    named = [kind for kind in kinds if "name" in getattr(kind, "model_fields", {})]
    assert len(named) == len(losses.LOSS_NAMES) + len(transport.SOLVER_NAMES) + 1
    for kind in named:
        if kind is not losses.WeightedSum:
            for key in (kind.model_fields["name"].default, *kind.model_fields):
                assert key == "name" or f"`{key}`" in page, f"docs/losses.md does not explain {key} of {kind.__name__}"


def test_every_recipe_key_is_explained_with_its_default() -> None:
    from clir.distillation.recipe import Recipe

    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    rows = {row[0]: row[-1] for row in re.findall(r"^\| `(\w+)` \|(.*)\| (.*?) \|$", page, re.MULTILINE)}
    for key, field in Recipe.model_fields.items():
        assert key in rows, f"docs/training.md does not explain {key}"
        if isinstance(field.default, str | int | float) and not isinstance(field.default, bool):
            said = rows[key].strip("`")
            same = said == field.default if isinstance(field.default, str) else float(said) == field.default
            assert same, f"docs/training.md: the default of {key} is {field.default}, not {said}"


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: no {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: no heading for {target}"


@pytest.fixture
def project(tmp_path: Path, minilm: Path) -> Path:
    """A folder like a checkout, with a small model where the pages have models."""
    for name in ("encoders/models/all-MiniLM-L6-v2", "encoders/students/demo-sw-ot", "encoders/students/sw-ot"):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(minilm)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["docs/python.md", "README.md"])
def test_examples_run_and_print_what_they_say(name: str, project: Path) -> None:
    text = "\n".join(block.text for block in blocks(ROOT / name) if block.info == "python")
    script = project / "page.py"
    script.write_text(text, "utf-8")
    settings = {"IR_DATASETS_HOME": str(project / "ir_datasets"), "HF_HUB_OFFLINE": "1"}
    finished = subprocess.run(
        [sys.executable, str(script)],
        cwd=project,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert finished.returncode == 0, finished.stderr
    said = PRINTS.findall(text)
    printed = finished.stdout.splitlines()
    if said:
        assert printed == [line.strip() for line in said]
    else:
        assert printed
