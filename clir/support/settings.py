"""YAML files of settings that pydantic checks: how they are read, and what a check found wrong, in a line."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.errors import UsageError
from clir.support.files import open_text

if TYPE_CHECKING:
    from pydantic import ValidationError


def read_yaml(path: str | Path, kind: str = "recipe") -> dict[str, Any]:
    """The keys and values of a YAML file; UsageError if it holds something else."""
    import yaml

    with open_text(path, kind) as handle:
        try:
            values = yaml.load(handle, Loader=_refusing_repeats())
        except yaml.YAMLError as error:
            raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a {kind}: it must be keys and values")
    return values


@functools.cache
def _refusing_repeats() -> Any:
    """YAML's safe loader, but a key that stands twice in one place is an error: one of the two would be dropped."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        keys = [
            loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"
        ]
        if repeated := [key for at, key in enumerate(keys) if key in keys[:at]]:
            said = f"the key {repeated[0]} is there twice"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return Loader


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
