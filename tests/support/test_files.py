"""Outputs that cannot be written are refused before the work."""

from __future__ import annotations

import os

import pytest

from clir.support.errors import UsageError
from clir.support.files import check_output, open_text, replace_folder


def test_what_can_be_written_passes(tmp_path):
    (tmp_path / "old.run").touch()
    check_output(tmp_path / "new.run", [tmp_path / "old.run", None])
    check_output(tmp_path / "old.run", [tmp_path / "new.run"])
    check_output(tmp_path / "deep" / "er" / "new.run")
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("output", "option", "message"),
    [
        (".", "--csv", "--csv . is a folder: name a file in it"),
        (
            "topics.tsv/new.run",
            "--output",
            "--output topics.tsv/new.run cannot be written: topics.tsv is a file, not a folder",
        ),
        ("./topics.tsv", "--output", "--output ./topics.tsv is also one of the files to read: choose another name"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch, output, option, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topics.tsv").touch()
    with pytest.raises(UsageError) as caught:
        check_output(output, ["topics.tsv"], option)
    assert str(caught.value) == message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(UsageError, match="no right to write in"):
        check_output(tmp_path / "new.run")


def test_what_a_kill_left_of_an_exchange_is_removed_by_the_next(tmp_path):
    index, new = tmp_path / "index", tmp_path / "new"
    left, in_use = tmp_path / ".index.abcd1234.old", tmp_path / ".index.efgh5678.old"
    for folder in (index, new, left / "was", in_use):
        folder.mkdir(parents=True)
    (new / "vectors").write_text("new")
    replace_folder(new, index)
    assert sorted(path.name for path in tmp_path.iterdir()) == [in_use.name, "index"]
    assert (index / "vectors").read_text() == "new"


def test_a_carriage_return_in_a_long_first_line_ends_no_line(tmp_path):
    path = tmp_path / "long.tsv"
    path.write_bytes(b"1\ta\rb " + b"well " * 20_000 + b"\n2\tc\n")
    with open_text(path) as lines:
        assert len(list(lines)) == 2
    path.write_bytes(b"1\ta\r2\tc\r")
    with open_text(path) as lines:
        assert list(lines) == ["1\ta\n", "2\tc\n"]
