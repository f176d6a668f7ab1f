"""What several rooms' tests need: real models from pip packages, and public data where it is there."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

CHECKOUT = Path(__file__).resolve().parents[1]
# Test processes that share the cores must not each start a thread for every core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may reach for a model hub, and none may write into the user's own cache.
os.environ["HF_HUB_OFFLINE"] = "1"

# The same examples every time, and no verdict on how fast a busy machine makes them.
settings.register_profile("clir", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clir")

Finished = subprocess.CompletedProcess[str]
Door = Callable[..., Finished]


# Files that take minutes: begun first, so that no process is left alone with one at the end.
LONGEST = ("test_demo.py", "test_comparison.py", "test_auto_class.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within and between other files nothing changes."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caches (fingerprints, teacher states) of the tests alone."""
    os.environ["CLIR_CACHE"] = str(tmp_path_factory.getbasetemp() / "clir-cache")


def _offline_model(name: str) -> Path:
    """A model folder of the checkout, converted from its pip package where it is not there yet."""
    from clir.encoding.offline import convert

    folder = CHECKOUT / "encoders" / "models" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "modules.json").exists():
            convert(name, folder)
    return folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """all-MiniLM-L6-v2: a real English model that is quick on two cores."""
    return _offline_model("all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def e5() -> Path:
    """multilingual-e5-small: the demo's teacher. Loading it takes seconds."""
    return _offline_model("multilingual-e5-small")


@pytest.fixture(scope="session")
def door() -> Door:
    """Runs a door as a person would: `door("search", "--help")` is `python -m clir.search --help`."""

    def run(name: str, *arguments: str | Path, timeout: float = 300, **more: Any) -> Finished:
        command = [sys.executable, "-m", f"clir.{name}", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **more)

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    data = Path(os.environ.get("CLIR_SHARED", CHECKOUT.parent / "shared")) / "data"
    if not data.is_dir():
        pytest.skip("the public data is not beside this checkout, nor in $CLIR_SHARED")
    return data


@pytest.fixture
def data_root(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Public data as the data root of the collections."""
    monkeypatch.setenv("CLIR_DATA", str(shared_data))
    return shared_data
