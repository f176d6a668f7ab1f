"""The classes of a search, stored as a running Java machine has them (class data sharing): one that maps them starts
in half the time. Kept in the cache, for each Java and each Anserini; a search without it only starts slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clir.support.files import cache_root
from clir.support.locks import take

# What the search that is listened to does not load, and ours does.
MORE_CLASSES = (
    "io/anserini/search/SimpleSearcher", "io/anserini/search/ScoredDoc",
    "com/fasterxml/jackson/databind/ObjectMapper", "com/fasterxml/jackson/databind/ser/BeanSerializer",
    "com/fasterxml/jackson/databind/ser/impl/BeanAsArraySerializer",
    "com/fasterxml/jackson/annotation/JsonFormat$Value",
    "org/apache/logging/log4j/simple/SimpleLoggerContextFactory", "org/apache/logging/log4j/simple/SimpleLogger",
    "java/util/concurrent/ConcurrentHashMap$MapEntry", "java/util/concurrent/ForkJoinPool",
)  # fmt: skip
PATIENCE = 120


def archive_path(home: Path, jar: Path) -> Path:
    """Where the classes of Anserini's `jar` are kept for the Java in `home`."""
    status = jar.stat()
    parts = [(home / "release").read_bytes(), str(home.resolve()), str(jar), status.st_size, status.st_mtime_ns]
    return cache_root() / "java" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}.jsa"


def archive_options(home: Path, jar: Path) -> list[str]:
    """The options that make Java use the archive if it is there; an unfit one is passed over without a word."""
    path = archive_path(home, jar)
    return [f"-XX:SharedArchiveFile={path}", "-Xshare:auto", "-Xlog:disable"] if path.exists() else []


def make_archive(home: Path, jar: Path, index: Path) -> bool:
    """Write the archive, if it is not there, from the classes that a search of a Lucene `index` loads.

    Returns whether it is there. It is not where the cache cannot be written, another process is at it, or this Java
    cannot make one.
    """
    path = archive_path(home, jar)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path) as alone:
            if alone and not path.exists():
                _make(home, jar, index, path)
    return path.exists()


def _make(home: Path, jar: Path, index: Path, path: Path) -> None:
    java = str(home / "bin" / "java")
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        topics, classes, made = (Path(folder) / name for name in ("topics.tsv", "classes", "archive.jsa"))
        topics.write_text("1\ta search to learn from\n", "utf-8")
        _run(
            java, "-Xshare:off", f"-XX:DumpLoadedClassList={classes}", "-cp", str(jar),
            "io.anserini.search.SearchCollection", "-index", str(index), "-topics", str(topics),
            "-topicReader", "TsvString", "-output", str(Path(folder) / "run"), "-bm25", "-threads", "1",
        )  # fmt: skip
        with open(classes, "a", encoding="utf-8") as handle:
            handle.writelines(f"{name}\n" for name in MORE_CLASSES)
        _run(
            java, "-Xshare:dump", "-Xlog:disable", f"-XX:SharedClassListFile={classes}",
            f"-XX:SharedArchiveFile={made}", "-cp", str(jar),
        )  # fmt: skip
        os.replace(made, path)


def _run(*command: str) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=PATIENCE, check=True)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process makes the archive at `path`."""
    with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        yield take(lock.fileno())
