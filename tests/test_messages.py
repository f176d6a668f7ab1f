"""Every message of clir is one line in plain words, and what it names is there: options, commands, pages."""

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from clir.__main__ import DOORS

ROOT = Path(__file__).resolve().parents[1]
# Characters of fixed text; what is put in (names, paths, numbers) comes on top.
LONGEST, LONGEST_HELP = 240, 400
ERRORS = {"ClirError", "UsageError"}
# Other functions whose argument of that number is a message, or a part of one.
SAYING = {"unknown": 0, "say": 0, "error": 0, "add": 2}
PRIVATE = re.compile(r"\b(?:door|room|lesson)s?\b")
OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*(?:\.\w+)?")
COMMAND = re.compile(r"\bclir\.(\w+)((?: --?[\w.-]+)*)")
PAGE = re.compile(r"[\w/-]+\.md\b")
# A message begins small, but for names.
NAMES = (
    "AfriCLIRMatrix", "AfriQA", "Anserini", "BM25", "CIRAL", "FAISS", "JSON", "Java", "LAReQA", "MS MARCO", "Model 1",
    "NaN", "PEER", "Pyserini", "RM3", "Rocchio", "TREC", "Tatoeba", "XML",
)  # fmt: skip


class Message(NamedTuple):
    where: str
    text: str
    whole: bool


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    found = {}
    for name in DOORS:
        module = importlib.import_module(f"clir.{name}")
        if not hasattr(module, "parser"):
            module = importlib.import_module(f"clir.{name}.__main__")
        found[name] = module.parser()
    return found


def options_of(name: str) -> set[str]:
    return {option for action in parsers()[name]._actions for option in action.option_strings}


@cache
def sources() -> dict[str, ast.Module]:
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in (ROOT / "clir").rglob("*.py")}


def error_names(trees: list[ast.Module]) -> set[str]:
    """ClirError and all that is derived from it, by name."""
    names = set(ERRORS)
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while more := {one.name for one in classes if {ast.unparse(base) for base in one.bases} & names} - names:
        names |= more
    return names


def fixed_text(node: ast.expr) -> str | None:
    """The text of a string, with {} for what is put in; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [fixed_text(side) for side in (node.left, node.right)]
        return None if sides == [None, None] else "".join("{}" if side is None else side for side in sides)
    return None


def messages(trees: dict[str, ast.Module]) -> Iterator[Message]:
    errors = error_names(list(trees.values()))
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            arguments = node.args if name in errors else node.args[SAYING.get(name, 99) :][:1]
            for argument in arguments:
                where = f"{path}:{node.lineno}"
                if (text := fixed_text(argument)) is not None:
                    yield Message(where, text, True)
                # What is put in, or under a condition.
                for inner in ast.walk(argument):
                    if inner is not argument and isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                        yield Message(where, inner.value, False)


def faults(text: str, whole: bool, longest: int = LONGEST, command: str | None = None) -> list[str]:
    """What is wrong with a text, which `command` says (None: any of them, a package has no command of its own)."""
    found = []
    if len(text.replace("{}", "")) > longest:
        found.append(f"it has more than {longest} characters")
    own = {option for name in ([command] if command else DOORS) for option in options_of(name)}
    of = f"clir.{command}" if command else "a command"
    for name, given in COMMAND.findall(text):
        if name not in DOORS:
            found.append(f"there is no command clir.{name}")
        else:
            found += [f"clir.{name} has no {option}" for option in OPTION.findall(given)
                      if option not in options_of(name)]  # fmt: skip
    rest = COMMAND.sub("", text)
    found += [f"{option} is not an option of {of}" for option in OPTION.findall(rest) if option not in own]
    found += [f"there is no page {page}" for page in PAGE.findall(text)
              if not any((ROOT / folder / page).exists() for folder in ("", "docs"))]  # fmt: skip
    found += [f"{word!r} is a word of the code" for word in PRIVATE.findall(text)]
    if whole and "\n" in text:
        found.append("it has more than one line")
    if whole and text.endswith(".") and not text.endswith("..."):
        found.append("it ends with a full stop")
    if whole and text[:1].isupper() and not text.startswith(NAMES):
        found.append("it begins with a capital letter")
    return found


def command_of(where: str) -> str | None:
    """The command whose module a place is in."""
    found = re.match(r"clir/(\w+)(?:\.py|/__main__\.py|/options\.py|/given\.py)\b", where)
    return found[1] if found and found[1] in DOORS else None


def test_every_message() -> None:
    told = list(messages(sources()))
    assert len(told) > 500
    assert {command_of(one.where) for one in told} >= {"search", "fuse", "train", None}
    wrong = [
        f"{one.where}: {one.text!r}: {fault}"
        for one in told for fault in faults(one.text, one.whole, command=command_of(one.where))
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_every_help_text() -> None:
    texts = [(name, "/".join(action.option_strings) or action.dest, action.help or "")
             for name, parser in parsers().items() for action in parser._actions]  # fmt: skip
    assert len(texts) > 200
    wrong = [f"clir.{name} {option}: {text!r}: {fault}" for name, option, text in texts
             for fault in faults(text, False, LONGEST_HELP, name)]  # fmt: skip
    wrong += [f"clir.{name} {option}: it says nothing" for name, option, text in texts if not text]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('raise ClirError("one\\ntwo")', "more than one line"),
        (f"raise UsageError(f'{{name}}: {'long ' * 50}')", "more than 240 characters"),
        ('raise UsageError("give --outptu")', "--outptu is not an option of a command"),
        (
            "raise UsageError(f\"{name} needs {chr(1) if name else '--outptu'}\")",
            "--outptu is not an option of a command",
        ),
        ('say("make one with clir.endoce")', "there is no command clir.endoce"),
        ('raise ClirError("make one with clir.encode --storeRaw")', "clir.encode has no --storeRaw"),
        ('raise ClirError("see docs/nothing.md")', "there is no page docs/nothing.md"),
        ('raise ClirError("this door is closed")', "'door' is a word of the code"),
        ('parser.error("Wrong use")', "begins with a capital letter"),
        ('findings.add("metadata", None, f"{name} is missing.")', "ends with a full stop"),
        ('class Mine(ClirError): ...\nraise Mine(path, "is gone.")', "ends with a full stop"),
        ('raise ClirError(f"{path}: no docid; JSON has none") if "--topics" else say("Anserini is not there")', None),
    ],
)
def test_a_fault_is_found(source: str, fault: str | None) -> None:
    told = list(messages({"x.py": ast.parse(source)}))
    assert told
    found = [one for message in told for one in faults(message.text, message.whole)]
    assert (fault is None) == (not found)
    assert fault is None or any(fault in one for one in found)


def test_a_command_names_its_own_options() -> None:
    assert faults("leave out --storeRaw", True, command="index") == []
    assert faults("leave out --storeRaw", True, command="fuse") == ["--storeRaw is not an option of clir.fuse"]
    assert faults("make one with clir.index --storeRaw", True, command="fuse") == []
