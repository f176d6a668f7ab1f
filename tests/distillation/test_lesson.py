"""What a student is shown: the right English for every foreign sentence, or, as a control, a wrong one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.corpora.bitext import Pair
from clir.distillation.lesson import Lesson, chosen_pairs, pairs_digest, prepare_lesson
from clir.distillation.losses import MeanSquaredError
from clir.distillation.recipe import Recipe
from clir.distillation.teacher import teacher_states
from clir.distillation.trainer import tower_encoder
from clir.support.errors import UsageError


def recipe(**options: Any) -> Recipe:
    return Recipe(teacher="t", student="t", **{"batch_size": 4, "max_tokens": 16, **options})


def lesson(minilm: Path, pairs: list[Pair], **options: Any) -> tuple[Lesson, list[str]]:
    encoder = tower_encoder(str(minilm))
    english = list(dict.fromkeys(pair.english for pair in pairs))
    states = teacher_states(encoder, english, 16)
    return prepare_lesson(recipe(**options), pairs, english, encoder.tower("query"), states, "ask: "), english


def test_every_foreign_sentence_is_taught_its_english_side(minilm: Path, pairs: list[Pair]) -> None:
    # One English sentence with two translations is one teacher state.
    pairs = [*pairs[:6], Pair(pairs[2].english, "Dada anasoma", "sw")]
    made, english = lesson(minilm, pairs)
    assert [english[at] for at in made.targets] == [pair.english for pair in pairs]
    assert len(english) == 6
    batch = made.batch([6, 0])
    tokenizer = made.tower.tokenizer
    tokens, teacher = batch["tokens"], batch["teacher"]
    assert tokenizer.decode(tokens.ids[0][tokens.content[0]].tolist()) == "dada anasoma"
    assert tokenizer.decode(tokens.ids[1].tolist()).startswith("ask : mwalimu")
    assert tokenizer.decode(teacher.ids[0][teacher.mask[0]].tolist()) == tokenizer.decode(
        tokenizer.encode(pairs[2].english, add_special_tokens=False).ids
    )
    torch.testing.assert_close(teacher.sentence[0], made.states.batch([2]).sentence[0])


def test_the_control_teaches_every_sentence_the_english_of_another(minilm: Path, pairs: list[Pair]) -> None:
    real, _ = lesson(minilm, pairs[:12])
    control, _ = lesson(minilm, pairs[:12], shuffle_targets=True)
    assert (real.targets == np.arange(12)).all()
    assert not (control.targets == real.targets).any()
    assert sorted(control.targets) == list(range(12))
    np.testing.assert_array_equal(control.order, real.order)
    assert [row.ids.tolist() for row in control.rows] == [row.ids.tolist() for row in real.rows]


def test_the_order_is_the_same_for_every_loss(minilm: Path, pairs: list[Pair]) -> None:
    transport, _ = lesson(minilm, pairs[:12])
    squared, _ = lesson(minilm, pairs[:12], loss=MeanSquaredError())
    np.testing.assert_array_equal(transport.order, squared.order)


@pytest.mark.parametrize(
    ("options", "steps"), [({}, 3), ({"epochs": 2.5}, 8), ({"steps": 7}, 7), ({"epochs": 0.01}, 1)]
)
def test_steps_or_passes_fix_how_much_is_seen(
    minilm: Path, pairs: list[Pair], options: dict[str, Any], steps: int
) -> None:
    made, _ = lesson(minilm, pairs[:12], **options)
    assert made.order.shape == (steps, 4)


def test_longer_sentences_are_cut(minilm: Path, pairs: list[Pair]) -> None:
    long = [*pairs[:4], Pair(pairs[0].english, "maji " * 60, "sw")]
    made, _ = lesson(minilm, long)
    assert max(len(row.ids) for row in made.rows) == 16


def test_the_cost_counts_padded_tokens_and_transport(minilm: Path, pairs: list[Pair]) -> None:
    made, _ = lesson(minilm, pairs[:12], steps=2)
    cost = made.cost(recipe(steps=2))
    lengths = np.array([len(row.ids) for row in made.rows])
    assert cost["tokens"] == lengths[made.order].sum()
    assert cost["padded tokens"] == (4 * lengths[made.order].max(axis=1)).sum() >= cost["tokens"]
    assert cost["student flops"] > 3 * cost["transport flops"] > 0
    assert "transport flops" not in made.cost(recipe(steps=2, loss=MeanSquaredError()))


def test_at_most_so_many_pairs_of_each_language_are_drawn() -> None:
    pairs = [Pair(f"e{at}", f"f{at}", language) for at in range(50) for language in ("sw", "ha")]
    pairs += [Pair("e", "f", "so")]
    drawn = chosen_pairs(pairs, recipe(pairs_per_language=8))
    assert [sum(pair.language == code for pair in drawn) for code in ("ha", "so", "sw")] == [8, 1, 8]
    assert len(set(drawn)) == 17 and set(drawn) <= set(pairs)
    assert drawn == chosen_pairs(pairs, recipe(pairs_per_language=8, seed=2))
    # Not simply the first ones, and in their own order.
    positions = [pairs.index(pair) for pair in drawn if pair.language == "sw"]
    assert positions == sorted(positions) and max(positions) > 16
    assert chosen_pairs(pairs, recipe()) == pairs


def test_too_few_pairs_for_a_batch_are_wrong_use(pairs: list[Pair]) -> None:
    with pytest.raises(UsageError, match="3 sentence pairs do not fill a batch of 4"):
        chosen_pairs(pairs[:3], recipe())


def test_the_digest_depends_on_every_text_and_the_order(pairs: list[Pair]) -> None:
    changed = [pairs[0]._replace(foreign="Mwalimu"), *pairs[1:]]
    digests = [pairs_digest(given) for given in (pairs, changed, pairs[::-1], pairs[:-1])]
    assert len(set(digests)) == 4
    assert digests[0] == pairs_digest(list(pairs))
