"""Batches hold every text once, of like length, within their bounds."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from clir.encoding.batches import batches_by_length

LENGTHS = st.lists(st.integers(0, 40), max_size=60)
BOUND = st.none() | st.integers(1, 100)


@given(LENGTHS, BOUND, BOUND)
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths, texts, tokens):
    rows = [range(length) for length in lengths]
    batches = list(batches_by_length(rows, texts=texts, tokens=tokens))
    assert sorted(at for batch in batches for at in batch) == list(range(len(rows)))
    for batch in batches:
        assert texts is None or len(batch) <= texts
        assert tokens is None or len(batch) == 1 or len(batch) * max(lengths[at] for at in batch) <= tokens


@given(LENGTHS, BOUND, BOUND)
def test_the_longest_come_first_and_batches_are_full(lengths, texts, tokens):
    batches = list(batches_by_length([range(length) for length in lengths], texts=texts, tokens=tokens))
    assert [lengths[at] for batch in batches for at in batch] == sorted(lengths, reverse=True)
    for batch, following in itertools.pairwise(batches):
        room_for_text = texts is None or len(batch) < texts
        room_for_tokens = tokens is None or (len(batch) + 1) * max(1, lengths[batch[0]]) <= tokens
        assert not (following and room_for_text and room_for_tokens)
