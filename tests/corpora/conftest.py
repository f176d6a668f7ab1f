"""Where the public data lies that some tests read; they are skipped where it is absent."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    checkout = Path(__file__).resolve().parents[2]
    data = Path(os.environ.get("CLIR_SHARED", checkout.parent / "shared")) / "data"
    if not data.is_dir():
        pytest.skip("the public data is not beside this checkout, nor in $CLIR_SHARED")
    return data


@pytest.fixture
def data_root(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Public data as the data root of the collections."""
    monkeypatch.setenv("CLIR_DATA", str(shared_data))
    return shared_data
