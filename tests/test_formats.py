"""Every example of docs/formats.md is read, plain and compressed, and means what its section's other examples mean."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.csv
import pyarrow.parquet
import pytest
import zstandard

from clir.corpora.bitext import read_bitext
from clir.corpora.documents import read_documents
from clir.corpora.qrels import read_qrels
from clir.corpora.topics import read_topics
from clir.retrieval.translation.dictionary import read_dictionary
from clir.runs.forms import read_run

PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
RUN = {"q1": [("001", 2.5), ("d2", 1.25)], "002": [("d2", 0.5)]}
PAIRS = [
    ("The well is deep.", "Kisima ni kirefu."),
    ('Goats eat "everything".', 'Mbuzi hula "kila kitu".'),
]


class Example(NamedTuple):
    """A fenced block ```` ```kind name ````: what it is, the file's name and its content."""

    kind: str
    name: str
    content: bytes


def zipped(data: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as handle:
        handle.writestr("inside", data)
    return archive.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".zip": zipped,
}


def examples() -> list[Example]:
    found = re.findall(r"^```([a-z-]+) (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [Example(kind, name, content.encode()) for kind, name, content in found]


def bitext(path: Path) -> Any:
    return [(pair.english, pair.foreign) for pair in read_bitext([f"sw={path}"])]


def run(path: Path) -> Any:
    found = read_run(path)
    return {qid: [(docid, float(score)) for docid, score in found[qid]] for qid in found}


# What reads each kind of example, and what it has to give.
KINDS: dict[str, tuple[Callable[[Path], Any], Any]] = {
    "documents": (
        lambda path: [(one.docid, one.title, one.text) for one in read_documents(path)],
        [("001", "Wells", "A hand-dug well is lined with brick."), ("d2", "", 'Goats eat "everything".')],
    ),
    "topics": (
        lambda path: [tuple(topic) for topic in read_topics(path)],
        [("q1", "How is a well dug?"), ("002", 'What do "goats" eat?')],
    ),
    "qrels": (lambda path: read_qrels(path).as_dict(), {"q1": {"001": 1, "d2": 0}, "002": {"d2": 3}}),
    "run": (run, RUN),
    "run-ranks": (
        lambda path: {qid: [docid for docid, _ in hits] for qid, hits in run(path).items()},
        {qid: [docid for docid, _ in hits] for qid, hits in RUN.items()},
    ),
    "bitext": (bitext, PAIRS),
    "dictionary": (lambda path: read_dictionary(path).entries, {"kisima": ("well",), "mbuzi": ("goat",)}),
}
EXAMPLES = [example for example in examples() if example.kind != "bitext-side"]


def test_every_kind_has_examples() -> None:
    assert {example.kind for example in EXAMPLES} == set(KINDS)
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_is_read(tmp_path: Path, example: Example, ending: str) -> None:
    read, expected = KINDS[example.kind]
    path = tmp_path / (example.name + ending)
    path.write_bytes(PACKERS[ending](example.content))
    assert read(path) == expected


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf", b"\r\n", b"\r"])
@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_marks_and_line_ends_change_nothing(tmp_path: Path, example: Example, change: bytes) -> None:
    read, expected = KINDS[example.kind]
    mark = change if change.startswith(b"\xef") else b""
    content = mark + example.content if mark else example.content.replace(b"\n", change)
    (tmp_path / example.name).write_bytes(content)
    assert read(tmp_path / example.name) == expected


@pytest.mark.parametrize("ending", PACKERS)
def test_two_line_aligned_files_are_read(tmp_path: Path, ending: str) -> None:
    sides = [example for example in examples() if example.kind == "bitext-side"]
    paths = [tmp_path / (side.name + ending) for side in sides]
    for path, side in zip(paths, sides, strict=True):
        path.write_bytes(PACKERS[ending](side.content))
    pairs = read_bitext([f"sw={','.join(map(str, paths))}"])
    assert [(pair.english, pair.foreign) for pair in pairs] == PAIRS


@pytest.mark.parametrize(
    "example", [one for one in EXAMPLES if one.name.endswith(".csv")], ids=lambda example: example.kind
)
def test_parquet_has_the_columns_of_csv(tmp_path: Path, example: Example) -> None:
    read, expected = KINDS[example.kind]
    strings = pyarrow.csv.ConvertOptions(
        column_types={name: pyarrow.string() for name in example.content.decode().splitlines()[0].split(",")}
    )
    table = pyarrow.csv.read_csv(io.BytesIO(example.content), convert_options=strings)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == expected


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("name", ["a.run", "a.json", "a.tsv"])
def test_what_is_written_is_what_is_read(tmp_path: Path, name: str, ending: str) -> None:
    from clir.runs.forms import write_run
    from clir.runs.run import Run

    write_run(Run.from_hits(RUN, "mine"), tmp_path / (name + ending))
    packed = (tmp_path / (name + ending)).read_bytes()
    assert packed.startswith(PACKERS[ending](b"x" * 9)[:2]) or not ending
    found = read_run(tmp_path / (name + ending))
    assert {qid: [docid for docid, _ in found[qid]] for qid in found} == KINDS["run-ranks"][1]
