"""What is kept of a case: its status, what it said, and the essentials of what it wrote; and how two are compared.

Nothing is kept that another machine, folder, release of a library or hour would change: times, versions and paths are
taken out, scores are summed up so that the last digits of a float, or two documents that they exchange, make no
difference beyond a tolerance.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

Kept = dict[str, Any]

# Of a text that is printed or written: so many lines, and so many characters of each.
LINES, WIDTH = 12, 200
# Of a run: so many topics with so many hits.
SHOWN_TOPICS, SHOWN_HITS = 2, 3
NEARLY = 1e-3
# What of a manifest belongs to the machine or the hour, and checksums of files that are kept themselves.
LEFT_OUT = re.compile(r"created|platform|implementation|resources|.*(seconds|memory|MiB|mib).*|sha256|command|threads")
DEEPEST_LIST = 12
# Progress of slow work, and what is said once for a cache.
_PROGRESS = re.compile(r".*/s, [\d:]+( left)?|keeping Java's classes in the cache.*|\s*")
_SECONDS = re.compile(r"\b\d+(\.\d+)? ?(s|ms|min|seconds|minutes)\b|\b\d+:\d\d(:\d\d)?\b")
_DIGITS = re.compile(r"\d+\.\d{7,}(?:e-?\d+)?")
_COMMAND = re.compile(r"\bpython -m clir[ .](\w+)")
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\w.]*[A-Za-z])")
_HEX = re.compile(r"(?<![\w.])[0-9a-f]{16,64}(?!\w)")
ARCHIVES = (".zip", ".tar.gz", ".tgz")
PROBES = ("Mwalimu anakunywa maji safi.", "Muuguzi anasoma barua ndefu na habari.")
RUNS = (".run", ".run.gz", ".run.zst")


class Cleaner:
    """Takes the place of the work folder, times and the checkout out of texts; `hidden` fingerprints too."""

    def __init__(self, places: Mapping[str, str], hidden: bool) -> None:
        # The longest first: one folder may lie in another.
        self.places, self.hidden = sorted(places.items(), key=lambda place: -len(place[0])), hidden

    def __call__(self, text: str) -> str:
        for path, name in self.places:
            text = text.replace(path, name)
        text = _SECONDS.sub("TIME", _COMMAND.sub(r"clir \1", text))
        text = _DIGITS.sub(lambda found: f"{float(found[0]):.6g}", text)
        return _HEX.sub("HEX", text) if self.hidden else text

    def lines(self, text: str) -> list[str]:
        """The lines that say something, the first of them whole, the rest counted and digested."""
        said = [self(line).rstrip() for line in re.split(r"[\r\n]+", text) if not _PROGRESS.fullmatch(line)]
        shown = [line if len(line) <= WIDTH else f"{line[:WIDTH]}..." for line in said[:LINES]]
        if len(said) > LINES:
            words = _NUMBER.sub("#", "\n".join(said[LINES:]))
            shown.append(f"and {len(said) - LINES} lines: {digest(words.encode())}")
        return shown

    def value(self, value: Any) -> Any:
        """A value of a JSON file without what belongs to the machine."""
        if isinstance(value, Mapping):
            kept = {self(str(key)): self.value(part) for key, part in value.items() if not LEFT_OUT.fullmatch(str(key))}
            return {key: part for key, part in kept.items() if part not in ({}, [])}
        if isinstance(value, list | tuple):
            some = [self.value(part) for part in value[:DEEPEST_LIST]]
            return [*some, f"and {len(value) - DEEPEST_LIST} more"] if len(value) > DEEPEST_LIST else some
        if isinstance(value, float):
            return float(f"{value:.6g}")
        return self(value) if isinstance(value, str) else value


def digest(content: bytes) -> str:
    """12 digits that stand for `content`."""
    return hashlib.sha256(content).hexdigest()[:12]


def position(name: str) -> float:
    """A fixed number in [0, 1) for a name: sums of scores times it tell documents apart, and bear rounding."""
    return zlib.crc32(name.encode()) / 2**32


def output(path: Path, clean: Cleaner) -> Kept:
    """The essentials of what lies at `path`, whatever it is, and of the manifest beside it."""
    if not path.exists():
        return {"is": "missing"}
    beside = path.with_name(path.name + ".meta.json")
    manifest = {"manifest": _manifest(beside, clean)} if beside.is_file() else {}
    if path.is_dir():
        return _folder(path, clean)
    if path.name.endswith(ARCHIVES):
        return {"members": dict(sorted(_members(path))), **manifest}
    if path.name.endswith(RUNS):
        return {**_run(path), **manifest}
    content = path.read_bytes()
    if path.suffix in (".html", ".svg"):
        found = re.findall(r"<h[1-3][^>]*>(.*?)</h[1-3]>|<title>(.*?)</title>", content.decode("utf-8"), re.DOTALL)
        return {
            "headings": [clean(" ".join(re.sub("<.*?>", "", a or b).split())) for a, b in found][:LINES],
            **manifest,
        }
    try:
        return {"lines": clean.lines(content.decode("utf-8")), **manifest}
    except UnicodeDecodeError:
        return {"starts": content[:4].hex(), **manifest}


def _manifest(path: Path, clean: Cleaner) -> Any:
    return clean.value(json.loads(path.read_text("utf-8")))


def _folder(path: Path, clean: Cleaner) -> Kept:
    # Lucene names its segments as it likes.
    files = [
        one for one in path.rglob("*") if one.is_file() and not re.match(r"_\w+\.|segments_|write\.lock", one.name)
    ]
    tops = Counter(_HEX.sub("HEX", clean(str(one.relative_to(path).parts[0]))) for one in files)
    kept: Kept = {
        "files": ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(tops.items()))
    }
    if (path / "meta.json").is_file():
        kept["manifest"] = _manifest(path / "meta.json", clean)
    if (path / "index").is_file() and (path / "docid").is_file():
        kept["vectors"] = _flat(path)
    if (path / "router_config.json").is_file():
        kept["probes"] = _student(path)
    return kept


def _student(path: Path) -> Any:
    """Some numbers of what a student's folder gives in sentence-transformers, which knows nothing of clir."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(path), device="cpu")
    encoded = [model.encode_query(list(PROBES)), model.encode_document(list(PROBES))]
    return [" ".join(f"{value:.4f}" for value in row[:5]) for vectors in encoded for row in vectors]


def _flat(path: Path) -> Any:
    """A number for each dimension's sum over the documents of an index in Pyserini's layout; None if approximate."""
    import faiss

    index = faiss.read_index(str(path / "index"))
    if not isinstance(index, faiss.IndexFlat):
        return type(index).__name__
    vectors = index.reconstruct_n(0, index.ntotal)
    docids = (path / "docid").read_text("utf-8").split("\n")
    weights = [position(docid) for docid in docids[: index.ntotal]]
    return [index.ntotal, *(round(float(value), 4) for value in (weights @ vectors)[:6])]


def _members(path: Path) -> Iterator[tuple[str, str]]:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as packed:
            yield from ((name, digest(packed.read(name))) for name in packed.namelist())
        return
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            handle = archive.extractfile(member)
            yield member.name, digest(handle.read()) if handle else "folder"


def _run(path: Path) -> Kept:
    if path.name.endswith(".zst"):
        return {"starts": path.read_bytes()[:4].hex()}
    text = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    columns = [line.split() for line in text.decode("utf-8").splitlines()]
    return {
        "tag": columns[0][-1] if columns else None,
        "in order": all(_follows(before, line) for before, line in pairwise(columns)),
        "ties": len(columns) - len({(line[0], float(line[4])) for line in columns}),
        **hits([(line[0], line[2], float(line[4])) for line in columns]),
    }


def _follows(before: Sequence[str], line: Sequence[str]) -> bool:
    """Whether a run's line stands rightly behind another: at rank 1 of another topic, or next, with a lower score."""
    if before[0] != line[0]:
        return line[3] == "1"
    return int(line[3]) == int(before[3]) + 1 and float(line[4]) < float(before[4])


def hits(found: Sequence[tuple[str, str, float]]) -> Kept:
    """A ranking of topics: how many, the first hits, and for every topic a sum that knows documents and scores."""
    topics: dict[str, list[tuple[str, float]]] = {}
    for qid, docid, score in found:
        topics.setdefault(qid, []).append((docid, score))
    first = {
        qid: " ".join(f"{docid} {score:.4f}" for docid, score in topics[qid][:SHOWN_HITS])
        for qid in list(topics)[:SHOWN_TOPICS]
    }
    sums = [sum(score * position(docid) for docid, score in ranking) for ranking in topics.values()]
    shown = [f"{value:.4f}" for value in sums[:DEEPEST_LIST]]
    more = [f"{sum(sums):.3f}"] if len(sums) > DEEPEST_LIST else []
    return {"hits": len(found), "topics": len(topics), "first": first, "sums": " ".join(shown + more)}


def flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a record's entry, with the way to each."""
    if isinstance(value, Mapping):
        for key in value:
            yield from flat(value[key], f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from flat(part, f"{place}[{at}]")
    else:
        yield place, value


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two leaves are equal, numbers in them within `tolerance` (of 1, or of themselves if larger)."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    one, other = str(one), str(other)
    if one == other:
        return True
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    numbers = zip(map(float, _NUMBER.findall(one)), map(float, _NUMBER.findall(other)), strict=True)
    return all(abs(a - b) <= tolerance * max(1.0, abs(a)) for a, b in numbers)


def same_hits(one: str, other: str, tolerance: float) -> bool:
    """Whether two lists of first hits are the same, but for documents whose scores are `tolerance` apart or less.

    Other documents with these scores change the sums beside them.
    """
    ours, theirs = one.split(), other.split()
    scores = [float(score) for score in ours[1::2]]
    if len(ours) != len(theirs) or not same(" ".join(ours[1::2]), " ".join(theirs[1::2]), tolerance):
        return False
    near = [at > 0 and scores[at - 1] - scores[at] <= tolerance for at in range(len(scores))]
    free = [near[at] or at + 1 == len(near) or near[at + 1] for at in range(len(near))]
    return all(free[at] or ours[2 * at] == theirs[2 * at] for at in range(len(free)))


def differences(recorded: Kept, now: Kept, tolerance: float) -> list[tuple[str, Any, Any]]:
    """Where two entries of the same case differ: place, recorded, now."""
    left, right = dict(flat(recorded)), dict(flat(now))
    return [
        (place, left.get(place, "(nothing)"), right.get(place, "(nothing)"))
        for place in dict.fromkeys([*left, *right])
        if place not in left or place not in right or not _alike(place, left[place], right[place], tolerance)
    ]


def _alike(place: str, one: Any, other: Any, tolerance: float) -> bool:
    # Where last digits add up, documents with nearly one score may change places; elsewhere their order is a rule.
    if ".first." in place and tolerance > NEARLY:
        return same_hits(one, other, tolerance)
    return same(one, other, tolerance)
