"""How a recorded Python call is written down: its name, what it needs, and how its values are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recording import keeping

Call = Callable[[], Any]
# name: the function, and the commands (of commands.yaml) whose output it reads.
CALLS: dict[str, tuple[Call, tuple[str, ...]]] = {}
PROBES = ("Mwalimu anakunywa maji safi.", "The nurse reads a long letter.", "")


def call(*needs: str) -> Callable[[Call], Call]:
    """Record what the function gives, as `python/NAME`."""

    def keep(function: Call) -> Call:
        CALLS[f"python/{function.__name__}"] = function, needs
        return function

    return keep


def vectors(values: Any) -> list[Any]:
    """An array: its shape, and four numbers of each row."""
    return [list(values.shape), *([round(float(one), 4) for one in row[:4]] for row in values)]


def run(found: Any) -> dict[str, Any]:
    """A Run, as one in a file is kept."""
    return {"tag": found.tag, **keeping.hits(list(found.frame.select("qid", "docid", "score").iter_rows()))}


def refused(work: Call) -> str:
    """The error that `work` ends with."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def tagged_runs() -> list[Any]:
    """The three runs of the fixtures."""
    from clir.runs.trec import read_run

    return [read_run(f"{name}.run") for name in "abc"]


def searching() -> tuple[Any, Any, list[Any]]:
    """The documents, the tiny model and the topics."""
    from clir.corpora.documents import read_documents
    from clir.corpora.topics import read_topics
    from clir.encoding.encoder import load_encoder

    return list(read_documents("docs.jsonl")), load_encoder("tiny"), read_topics("topics.en.tsv")
