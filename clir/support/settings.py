"""YAML files of settings that pydantic checks: how they are read, and what a check found wrong, in a line."""

from __future__ import annotations

import functools
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.errors import ClirError, UsageError, quoted
from clir.support.files import open_text

if TYPE_CHECKING:
    from pydantic import ValidationError

# What YAML makes of words without quotes, by its tags.
_NOT_TEXT = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date"}


def read_yaml(path: str | Path, kind: str = "recipe") -> dict[str, Any]:
    """The keys and values of a YAML file; UsageError if it holds something else."""
    with open_text(path, kind) as handle:
        text = handle.read()
    try:
        return yaml_values(text, path, kind)
    except ClirError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True)
class NotText:
    """A value that stands in a YAML file without quotes and that YAML does not read as text, with the reason."""

    written: str
    what: str


def yaml_values(text: str, where: str | Path, kind: str, *, as_written: bool = False) -> dict[str, Any]:
    """The keys and values of a YAML text; ClirError with `where` (a file) and the line if it holds something else.

    With `as_written` numbers, dates, yes and no are NotText, and what YAML would repeat (`*name`) is refused: a few
    lines can repeat each other without end.
    """
    import yaml

    try:
        values = yaml.load(text, Loader=_loader(as_written))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ClirError(f"{where}{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ClirError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ClirError(f"{where} is not a {kind}: it must be keys and values")
    return values


@functools.cache
def _loader(as_written: bool) -> Any:
    """YAML's safe loader, but a key that stands twice in one place is an error: one of the two would be dropped."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            # PyYAML's methods have no types.
            stream: Any = self
            if as_written and stream.check_event(yaml.AliasEvent):
                said, mark = "what * repeats is not read here: write it again", stream.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, said, mark)
            return super().compose_node(parent, index)

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            value = loader.construct_object(key, deep=True) if key.tag != "tag:yaml.org,2002:merge" else None
            if isinstance(value, Hashable) and value is not None:
                if value in seen:
                    said = f"the key {quoted(value) if isinstance(value, str) else value} is there twice"
                    raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
                seen.add(value)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    if as_written:
        for tag, what in _NOT_TEXT.items():
            Loader.add_constructor(f"tag:yaml.org,2002:{tag}", functools.partial(_unread, what))
    return Loader


def _unread(what: str, loader: Any, node: Any) -> NotText:
    return NotText(str(node.value), what)


def first_mistake(error: ValidationError, hidden: Collection[str] = ()) -> tuple[str, str, bool]:
    """Of what a check found wrong, the first: where, what, and whether it is an unknown key.

    `hidden`: parts of pydantic's places that the file does not have, the tags of what was chosen.
    """
    # A key that is misspelt is often also one that is missing: the spelling is the better news.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    message = first["msg"].removeprefix("Value error, ")
    location = first["loc"]
    inner = [str(part) for part in location[1:] if part not in hidden]
    place = ".".join([str(part) for part in location[:1]] + inner)
    return place, message[:1].lower() + message[1:], first["type"] == "extra_forbidden"
