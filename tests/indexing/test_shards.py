"""Shards: made apart in whole windows, they merge into the bytes of one run; anything else is refused."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dense_index import Interrupted, LetterEncoder, contents, read

from clir.corpora.collection import Document
from clir.indexing.dense import build_dense_index, build_dense_part, open_dense_index
from clir.indexing.documents import documents_fingerprint
from clir.indexing.merging import merge
from clir.indexing.shards import CUMULATIVE, Shard, merge_shards, parse_shard
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest, write_manifest


def documents(count: int) -> list[Document]:
    return [Document(f"d{number}", "abcde"[: number % 5] * (number % 4), language="sw") for number in range(count)]


def shards_of(folder: Path, count: int, window: int, of: int) -> list[Path]:
    made = []
    for number in range(1, of + 1):
        target = folder / f"part{number}"
        made.append(build_dense_part(read(documents(count)), LetterEncoder(), target, Shard(number, of), window=window))
    return made


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Ten documents in windows of two, in three shards."""
    return shards_of(tmp_path, 10, 2, 3)


@settings(max_examples=15)
@given(
    count=st.integers(1, 24), window=st.integers(1, 8), of=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_merged_shards_are_one_run(
    tmp_path_factory: pytest.TempPathFactory, count: int, window: int, of: int, order: Callable[..., None]
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    whole = build_dense_index(read(documents(count)), LetterEncoder(), folder / "whole", window=window)
    parts = shards_of(folder, count, window, of)
    order.shuffle(parts)  # type: ignore[attr-defined]
    merged = merge(parts, folder / "merged")
    assert contents(merged.path) == contents(whole.path)
    assert (merged.path / "language").read_bytes() == (whole.path / "language").read_bytes() == b"sw\n" * count
    assert merged.documents_fingerprint == whole.documents_fingerprint == documents_fingerprint(documents(count))
    assert sorted(path.name for path in merged.path.iterdir()) == sorted(path.name for path in whole.path.iterdir())
    shutil.rmtree(folder)


@given(count=st.integers(0, 200), window=st.integers(1, 20), of=st.integers(1, 9))
def test_every_document_is_in_the_share_of_one_shard(count: int, window: int, of: int) -> None:
    shares = [Shard(number, of).share(count, window) for number in range(1, of + 1)]
    owners = [next(n for n in range(1, of + 1) if Shard(n, of).has(at // window)) for at in range(count)]
    assert shares == [owners.count(number) for number in range(1, of + 1)]


def test_a_shard_encodes_its_own_windows_alone(tmp_path: Path) -> None:
    encoder = LetterEncoder()
    build_dense_part(read(documents(10)), encoder, tmp_path / "part", Shard(2, 3), window=2)
    assert (tmp_path / "part" / "docid").read_text() == "d2\nd3\nd8\nd9\n"
    assert len(encoder.seen) == 4


def test_the_manifest_of_a_merged_index_is_that_of_one_run(tmp_path: Path, three: list[Path]) -> None:
    own = ("created", "platform", "implementation", "resources")
    build_dense_index(read(documents(10)), LetterEncoder(), tmp_path / "whole", window=2)
    merge(three, tmp_path / "merged")
    whole, merged = ({**read_manifest(tmp_path / name)} for name in ("whole", "merged"))
    assert {name: merged[name] for name in merged if name not in own} == {
        name: whole[name] for name in whole if name not in own
    }


def test_a_killed_shard_goes_on_after_its_last_whole_window(tmp_path: Path, three: list[Path]) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_dense_part(read(documents(10)), Interrupted(1), tmp_path / "again", Shard(1, 3), window=2)
    encoder = LetterEncoder()
    build_dense_part(read(documents(10)), encoder, tmp_path / "again", Shard(1, 3), window=2)
    # Windows 0 and 3 are its own; the first was there.
    assert len(encoder.seen) == 2
    assert contents(tmp_path / "again") == contents(three[0])
    assert read_manifest(tmp_path / "again")["documents sha256"] == read_manifest(three[0])["documents sha256"]


@pytest.mark.parametrize(("changed", "seen"), [(0, 0), (5, 4)])
def test_a_finished_shard_is_kept_unless_any_document_has_changed(tmp_path: Path, changed: int, seen: int) -> None:
    build_dense_part(read(documents(10)), LetterEncoder(), tmp_path / "part", Shard(2, 3), window=2)
    # Document 5 is in another shard, but the digest is of all.
    now = [doc._replace(text="moved") if changed and doc.docid == f"d{changed}" else doc for doc in documents(10)]
    encoder = LetterEncoder()
    build_dense_part(read(now), encoder, tmp_path / "part", Shard(2, 3), window=2)
    assert len(encoder.seen) == seen


def test_a_docid_that_comes_twice_in_two_shards_is_refused_by_each(tmp_path: Path) -> None:
    twice = [*documents(6), Document("d1", "")]
    for number in (1, 2):
        with pytest.raises(ClirError, match="docid 'd1' comes twice"):
            build_dense_part(read(twice), LetterEncoder(), tmp_path / "part", Shard(number, 2), window=2)
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / "part").exists()


def test_a_shard_is_not_opened_as_an_index(three: list[Path]) -> None:
    with pytest.raises(ClirError, match=r"part2 is shard 2 of 3 of an index: put them together with clir.encode --m"):
        open_dense_index(three[1])


def test_shards_that_are_missing_or_come_twice(tmp_path: Path, three: list[Path]) -> None:
    with pytest.raises(UsageError, match="of 3 shards 2 are missing: 1, 3"):
        merge(three[1:2], tmp_path / "merged")
    shutil.copytree(three[0], tmp_path / "copy")
    with pytest.raises(UsageError, match=r"shard 1/3 comes twice: .* and .*"):
        merge([*three, tmp_path / "copy"], tmp_path / "merged")
    with pytest.raises(UsageError, match=r"no shard at .*nowhere"):
        merge([*three[:2], tmp_path / "nowhere"], tmp_path / "merged")
    whole = build_dense_index(read(documents(10)), LetterEncoder(), tmp_path / "whole", window=2)
    with pytest.raises(UsageError, match="whole is no shard of an index"):
        merge([whole.path], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("encoder", "window", "of", "count", "about", "message"),
    [
        (LetterEncoder(version="two"), 2, 3, 10, {}, "are of different models: letters one document and letters two"),
        (LetterEncoder(), 2, 3, 11, {}, "are of different documents: "),
        (LetterEncoder(), 4, 3, 10, {}, "are made with different window: 2 and 4"),
        (LetterEncoder(), 2, 4, 10, {}, "part1 is shard 1/3 and .*other is 2/4: they do not belong together"),
        (LetterEncoder(), 2, 3, 10, {"settings": {"precision": "bf16"}}, "are made with different settings: None and"),
    ],
)
def test_a_foreign_shard_is_refused(
    tmp_path: Path, three: list[Path], encoder: LetterEncoder, window: int, of: int, count: int,
    about: dict[str, object], message: str,
) -> None:  # fmt: skip
    read_documents = read(documents(count))
    other = build_dense_part(read_documents, encoder, tmp_path / "other", Shard(2, of), window=window, about=about)
    with pytest.raises(UsageError, match=message):
        merge([three[0], other, three[2]], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_where_the_documents_came_from_may_differ(tmp_path: Path) -> None:
    """Machines keep the same documents at different places."""
    parts = [
        build_dense_part(
            read(documents(5)), LetterEncoder(), tmp_path / str(number), Shard(number, 2), window=2,
            about={"data": {"source": f"/disk{number}"}},
        )
        for number in (1, 2)
    ]  # fmt: skip
    assert merge(parts, tmp_path / "merged").documents == 5


@pytest.mark.parametrize("name", ["index", "docid", "language", "ends"])
def test_a_damaged_shard_is_refused(tmp_path: Path, three: list[Path], name: str) -> None:
    os.truncate(three[1] / name, (three[1] / name).stat().st_size - 3)
    with pytest.raises(ClirError, match=rf"part2/{name} is broken.*make this shard again"):
        merge(three, tmp_path / "merged")
    (three[1] / name).unlink()
    with pytest.raises(ClirError, match=r"part2/\w+ is broken.*make this shard again"):
        merge(three, tmp_path / "merged")


def test_what_stands_at_the_output_stays_if_it_is_no_index_or_a_shard_is_foreign(
    tmp_path: Path, three: list[Path]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "goat.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="exists and is no dense index of clir's"):
        merge(three, tmp_path / "photos")
    index = build_dense_index(read(documents(3)), LetterEncoder(), tmp_path / "index", window=2)
    with pytest.raises(UsageError, match="missing"):
        merge(three[:2], index.path)
    assert open_dense_index(index.path).documents == 3
    assert merge(three, index.path).documents == 10


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="a shard must be i/n with i from 1 to n, such as 1/4, not"):
        parse_shard(text)
    assert parse_shard("2/8") == Shard(2, 8)


def ragged(folder: Path, number: int, of: int, lengths: Sequence[Sequence[int]]) -> Path:
    """A shard of a kind that clir has not: `rows` with bytes of each document, `offsets` that say where they end."""
    folder = folder / f"ragged{number}"
    folder.mkdir()
    mine = lengths[number - 1 :: of]
    ends = np.cumsum([length for window in mine for length in window]).astype("<i8")
    (folder / "rows").write_bytes(b"".join(bytes([length]) * length for window in mine for length in window))
    (folder / "offsets").write_bytes(bytes(8) + ends.tobytes())
    (folder / "language").write_bytes(b"\n" * len(ends))
    counts = np.cumsum([len(window) for window in mine]).astype(int)
    of_windows = [[sum(map(sum, mine[: at + 1])), 8 + 8 * count, count] for at, count in enumerate(counts)]
    np.array(of_windows, dtype="<i8").tofile(folder / "ends")
    shard = {"number": number, "of": of, "collection": sum(map(len, lengths))}
    heads = {"rows": 0, "offsets": 8, "language": 0}
    sha = {"documents sha256": "x"}
    write_manifest(folder, kind="ragged", documents=len(ends), shard={**shard, "heads": heads}, **sha)
    return folder


@given(
    lengths=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=9), of=st.integers(1, 4)
)
@settings(max_examples=20)
def test_any_files_that_grow_by_windows_merge_and_offsets_are_moved(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[list[int]], of: int
) -> None:
    assert "offsets" in CUMULATIVE
    folder = tmp_path_factory.mktemp("ragged")
    parts = [ragged(folder, number, of, lengths) for number in range(1, of + 1)]
    assert merge_shards(parts, folder / "merged", {}, lambda output, kind: None) == "ragged"
    flat = [length for window in lengths for length in window]
    assert (folder / "merged/rows").read_bytes() == b"".join(bytes([length]) * length for length in flat)
    assert np.fromfile(folder / "merged/offsets", "<i8").tolist() == [0, *np.cumsum(flat)]
    assert json.loads((folder / "merged/meta.json").read_text())["documents"] == len(flat)
    assert not (folder / "merged/language").exists(), "no document has a language"
    shutil.rmtree(folder)
