"""The fetch door: what it lists, copies and says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CLIR_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the public data is not here")


def fetch(*options: str | Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clir.fetch", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "CLIR_DATA": str(root)},
        check=False,
    )


def test_help_has_examples(tmp_path: Path) -> None:
    done = fetch("--help", root=tmp_path)
    assert done.returncode == 0
    assert "python -m clir.fetch afriqa --from" in done.stdout


def test_without_a_name_it_lists(tmp_path: Path) -> None:
    done = fetch(root=tmp_path)
    assert done.returncode == 0
    for word in ("afriqa", "ntrex", "CC BY-SA 4.0", "MB", "no", str(tmp_path)):
        assert word in done.stdout


@needs_shared
def test_a_local_copy(tmp_path: Path) -> None:
    done = fetch("ntrex", "--from", SHARED, root=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"ntrex: 21 files fetched, 21 of 21 there, in {tmp_path / 'ntrex'}\n"
    copied = tmp_path / "ntrex/DOCUMENT_IDS.tsv"
    assert copied.read_bytes() == (SHARED / "ntrex/DOCUMENT_IDS.tsv").read_bytes()
    manifest = json.loads((tmp_path / "ntrex/meta.json").read_text())
    assert manifest["data"]["licence"] == "CC BY-SA 4.0"
    assert manifest["data"]["files"]["DOCUMENT_IDS.tsv"]["sha256"]
    assert "yes" in fetch(root=tmp_path).stdout
    assert fetch("ntrex", "--from", SHARED / "ntrex", root=tmp_path).stdout.startswith("ntrex: 0 files fetched")


@needs_shared
def test_output_takes_the_place_of_the_data_root(tmp_path: Path) -> None:
    done = fetch("ntrex", "--from", SHARED, "--output", tmp_path / "there", root=tmp_path / "not")
    assert done.returncode == 0
    assert (tmp_path / "there/ntrex/DOCUMENT_IDS.tsv").exists()
    assert not (tmp_path / "not").exists()


@needs_shared
def test_a_copy_with_other_bytes_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    fetch("ntrex", "--from", SHARED, root=copy)
    damaged = copy / "ntrex/NTREX-128/newstest2019-ref.som.txt"
    damaged.write_bytes(damaged.read_bytes().replace(b"a", b"e", 1))
    done = fetch("ntrex", "--from", copy, root=tmp_path / "root")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "newstest2019-ref.som.txt is not the file that was expected" in done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["afrika"], "unknown data set 'afrika'; did you mean 'afriqa'?"),
        (["afriqa", "--from", "nowhere"], "local copy not found: nowhere"),
        (["afriqa", "--form", "x"], "unrecognized arguments: --form x"),
    ],
)
def test_wrong_use(tmp_path: Path, options: list[str], message: str) -> None:
    done = fetch(*options, root=tmp_path / "root")
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "root").exists()
