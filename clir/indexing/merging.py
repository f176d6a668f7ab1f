"""Shards of any kind of encoded index, put together and opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clir.indexing.dense import open_dense_index, seal_flat
from clir.indexing.encoded import EncodedIndex, refuse_foreign
from clir.indexing.shards import merge_shards
from clir.indexing.tokens import open_token_index
from clir.support.locks import alone


def merge(folders: Sequence[str | Path], output: str | Path) -> EncodedIndex:
    """The index whose shards are `folders`, at `output`: its data files have the bytes of a run without shards.

    Raises what `merge_shards` raises, and UsageError if something else stands there; an earlier index stays until
    the new one is whole.
    """
    with alone(output, "merging shards into"):
        kind = merge_shards(folders, output, {"dense": seal_flat}, refuse_foreign)
    return open_token_index(output) if kind == "token" else open_dense_index(output)
