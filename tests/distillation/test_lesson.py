"""What a student is shown: the right English for every foreign sentence, or, as a control, a wrong one."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.corpora.bitext import Pair
from clir.distillation.cost import Shape, training_flops
from clir.distillation.lesson import Lesson, chosen_pairs, inverse_frequencies, pairs_digest, prepare_lesson
from clir.distillation.losses import Contrastive, MeanSquaredError, OptimalTransport
from clir.distillation.recipe import Recipe
from clir.distillation.relevance import RelevantPassages
from clir.distillation.start import tower_encoder
from clir.distillation.targets import Targets
from clir.distillation.teacher import teacher_states
from clir.distillation.transport import Exact, Sinkhorn
from clir.support.errors import UsageError


def recipe(**options: Any) -> Recipe:
    return Recipe(teacher="t", student="t", **{"loss": "ot", "batch_size": 4, "max_tokens": 16, **options})


def lesson(
    minilm: Path, pairs: list[Pair], passages: RelevantPassages | None = None, **options: Any
) -> tuple[Lesson, list[str]]:
    encoder = tower_encoder(str(minilm))
    english = list(dict.fromkeys(pair.english for pair in pairs))
    states = teacher_states(encoder, english, 16)
    made = prepare_lesson(recipe(**options), pairs, english, encoder.tower("query"), states, "ask: ", passages)
    return made, english


def test_every_foreign_sentence_is_taught_its_english_side(minilm: Path, pairs: list[Pair]) -> None:
    # One English sentence with two translations is one teacher state.
    pairs = [*pairs[:6], Pair(pairs[2].english, "Dada anasoma", "sw")]
    made, english = lesson(minilm, pairs)
    assert [english[at] for at in made.targets] == [pair.english for pair in pairs]
    assert len(english) == 6
    batch = dataclasses.replace(made, order=np.array([[6, 0]])).batch(0)
    tokenizer = made.tower.tokenizer
    tokens, teacher = batch["tokens"], batch["teacher"]
    assert tokenizer.decode(tokens.ids[0][tokens.content[0]].tolist()) == "dada anasoma"
    assert tokenizer.decode(tokens.ids[1].tolist()).startswith("ask : mwalimu")
    assert tokenizer.decode(teacher.ids[0][teacher.mask[0]].tolist()) == tokenizer.decode(
        tokenizer.encode(pairs[2].english, add_special_tokens=False).ids
    )
    torch.testing.assert_close(teacher.sentence[0], made.states.batch([2]).sentence[0])
    # Nothing but what was asked for.
    assert isinstance(teacher, Targets)
    assert [name for name, part in vars(teacher).items() if part is None] == [
        "queue", "student_idf", "teacher_idf", "passages", "relevance",
    ]  # fmt: skip


def test_a_batch_is_the_one_of_its_number(minilm: Path, pairs: list[Pair]) -> None:
    made, english = lesson(minilm, pairs[:12])
    for number in range(3):
        batch = made.batch(number)
        taught = made.states.sentences([english.index(pairs[at].english) for at in made.order[number]])
        torch.testing.assert_close(batch["teacher"].sentence, taught)
        assert batch["tokens"].ids.shape[0] == 4


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
    ("options", "batches"),
    [({}, 3), ({"epochs": 2.5}, 8), ({"steps": 7}, 7), ({"epochs": 0.01}, 1), ({"steps": 3, "accumulation": 2}, 6)],
)
def test_steps_or_passes_fix_how_much_is_seen(
    minilm: Path, pairs: list[Pair], options: dict[str, Any], batches: int
) -> None:
    made, _ = lesson(minilm, pairs[:12], **options)
    assert made.order.shape == (batches, 4)


def test_longer_sentences_are_cut(minilm: Path, pairs: list[Pair]) -> None:
    long = [*pairs[:4], Pair(pairs[0].english, "maji " * 60, "sw")]
    made, _ = lesson(minilm, long)
    assert max(len(row.ids) for row in made.rows) == 16


def test_the_queue_holds_the_english_sides_of_the_batches_before(minilm: Path, pairs: list[Pair]) -> None:
    made, english = lesson(minilm, pairs[:12], loss=Contrastive(queue=6), steps=5, english_replay=0.5)
    assert (made.queue, made.pairs, made.order.shape) == (6, 4, (5, 6))
    before: list[int] = []
    for number in range(5):
        queue = made.batch(number)["teacher"].queue
        # Of the foreign columns alone, the newest last; at first there is none.
        assert queue.shape == (min(6, 4 * number), 384)
        torch.testing.assert_close(queue, made.states.sentences(before[-6:]))
        before += [english.index(pairs[at].english) for at in made.order[number, :4]]


def test_inverse_document_frequencies_are_those_of_the_bitext(minilm: Path, pairs: list[Pair]) -> None:
    # Long enough that no sentence is cut.
    made, english = lesson(minilm, pairs[:12], loss=OptimalTransport(marginals="idf"), max_tokens=40)
    tokenizer = made.tower.tokenizer
    sides = [pair.foreign.lower() for pair in pairs[:12]], english
    batch = made.batch(1)
    found = (
        (batch["teacher"].student_idf, batch["tokens"].ids, batch["tokens"].content),
        (batch["teacher"].teacher_idf, batch["teacher"].ids, batch["teacher"].mask),
    )
    for (idf, ids, content), texts in zip(found, sides, strict=True):
        documents = [set(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
        assert idf.shape == ids.shape
        for value, token in zip(idf[content].tolist(), ids[content].tolist(), strict=True):
            frequency = sum(token in document for document in documents)
            assert value == pytest.approx(np.log(1 + 12 / frequency), rel=1e-5)
        assert len(set(idf[content].tolist())) > 2


def test_inverse_frequencies_count_texts_not_tokens() -> None:
    table = inverse_frequencies([np.array([1, 1, 1, 2]), np.array([2]), np.array([], dtype=np.int64)], 4)
    # Of three texts token 1 is in one, token 2 in two, and what is in none counts as in one.
    np.testing.assert_allclose(table.numpy(), np.log(1 + np.array([3, 3, 1.5, 3])), rtol=1e-6)
    assert table.dtype == torch.float32


def test_english_replay_teaches_the_english_side_the_same(minilm: Path, pairs: list[Pair]) -> None:
    # Two translations of one English sentence, so that rows and teacher states are not the same positions.
    given = [Pair(pairs[5].english, "Dada anasoma", "sw"), *pairs[:11]]
    made, english = lesson(minilm, given, english_replay=0.4, steps=4)
    plain, _ = lesson(minilm, given, steps=4)
    assert made.order.shape == (4, 6)
    np.testing.assert_array_equal(made.order[:, :4], plain.order)
    assert len(made.rows) == len(made.targets) == 24
    for row in range(24):
        assert english[made.targets[row]] == given[row % 12].english
    batch = made.batch(2)
    tokenizer = made.tower.tokenizer
    for column in (4, 5):
        at = made.order[2, column] - 12
        assert at in made.order[2, :4]
        read = tokenizer.decode(batch["tokens"].ids[column][batch["tokens"].content[column]].tolist())
        assert read == tokenizer.decode(tokenizer.encode(given[at].english, add_special_tokens=False).ids)
        same = list(made.order[2, :4]).index(at)
        torch.testing.assert_close(batch["teacher"].sentence[column], batch["teacher"].sentence[same])


def test_replay_has_its_own_frequencies_from_the_foreign_sides(minilm: Path, pairs: list[Pair]) -> None:
    loss = OptimalTransport(marginals="idf")
    replayed, _ = lesson(minilm, pairs[:12], loss=loss, english_replay=1.0)
    plain, _ = lesson(minilm, pairs[:12], loss=loss)
    assert replayed.idf is not None and plain.idf is not None
    assert all(torch.equal(*tables) for tables in zip(replayed.idf, plain.idf, strict=True))
    assert replayed.batch(0)["teacher"].student_idf.shape[0] == 8


def test_passages_are_those_of_the_english_sides(minilm: Path, pairs: list[Pair]) -> None:
    generator = np.random.default_rng(0)
    passages = RelevantPassages(
        generator.standard_normal((30, 384)).astype(np.float32),
        generator.integers(0, 30, (12, 3)),
        generator.standard_normal((12, 3)).astype(np.float32),
    )
    # Two translations of one English side: its passages are not at the position of the pair.
    given = [pairs[3], Pair(pairs[3].english, "Dada anasoma", "sw"), *pairs[4:14]]
    made, english = lesson(minilm, given, passages, english_replay=0.5)
    teacher = made.batch(1)["teacher"]
    at = [english.index(given[row % 12].english) for row in made.order[1]]
    assert teacher.passages.shape == (6, 3, 384)
    np.testing.assert_array_equal(teacher.passages.numpy(), passages.vectors[passages.chosen[at]])
    np.testing.assert_array_equal(teacher.relevance.numpy(), passages.scores[at])


def test_the_cost_counts_padded_tokens_and_transport(minilm: Path, pairs: list[Pair]) -> None:
    made, _ = lesson(minilm, pairs[:12], steps=2)
    cost = made.cost(recipe(steps=2))
    lengths = np.array([len(row.ids) for row in made.rows])
    theirs = made.states.lengths()[made.targets]
    problems = [(int(lengths[chosen].max()), int(theirs[chosen].max())) for chosen in made.order]
    assert cost["tokens"] == lengths[made.order].sum()
    assert cost["padded tokens"] == sum(4 * m for m, _ in problems) >= cost["tokens"]
    shape = Shape(layers=6, hidden=384, inner=1536)
    assert cost["student flops"] == training_flops(shape, [(4, m) for m, _ in problems])
    assert cost["transport flops"] == sum(4 * Sinkhorn().operations(m, n) for m, n in problems) > 0
    assert cost["loss flops"] == sum(2 * 4 * 2 * m * n * 384 for m, n in problems)
    assert cost["teacher flops"] == made.states.flops > 0
    assert cost["student flops"] > 3 * cost["transport flops"]
    none = made.cost(recipe(steps=2, loss=MeanSquaredError()))
    assert none["transport flops"] == none["loss flops"] == 0


def test_four_times_the_iterations_are_four_times_the_transport_and_nothing_else(
    minilm: Path, pairs: list[Pair]
) -> None:
    made, _ = lesson(minilm, pairs[:12])
    for many in (
        lambda count: OptimalTransport(solver=Sinkhorn(iterations=count)),
        lambda count: [
            {"name": "ot", "weight": 0.5, "solver": {"name": "sinkhorn", "iterations": count}},
            {"name": "token-contrastive", "solver": {"name": "ipot", "iterations": count}},
            {"name": "sinkhorn-divergence", "iterations": count},
            "contrastive",
        ],
    ):
        once, four = (made.cost(recipe(loss=many(count))) for count in (50, 200))
        assert four.pop("transport flops") == 4 * once.pop("transport flops") > 0
        assert four == once
    assert made.cost(recipe(loss=OptimalTransport(solver=Exact())))["transport flops"] > 0


def test_frozen_layers_and_replay_show_in_the_cost(minilm: Path, pairs: list[Pair]) -> None:
    made, _ = lesson(minilm, pairs[:12])
    frozen = made.cost(recipe(freeze_layers=4))
    assert 1 / 3 < frozen["student flops"] / made.cost(recipe())["student flops"] < 0.6
    replayed, _ = lesson(minilm, pairs[:12], english_replay=1.0)
    assert replayed.cost(recipe())["student flops"] > 1.8 * made.cost(recipe())["student flops"]


def test_a_head_on_tokens_is_part_of_the_cost(minilm: Path, pairs: list[Pair]) -> None:
    made, _ = lesson(minilm, pairs[:12])
    before = made.cost(recipe())
    made.tower.attach_head(torch.nn.Linear(384, 384), normalize=True)
    after = made.cost(recipe())
    assert after["student flops"] - before["student flops"] == pytest.approx(6 * after["padded tokens"] * 384**2)


def test_the_cost_of_the_first_batches(minilm: Path, pairs: list[Pair]) -> None:
    made, _ = lesson(minilm, pairs[:12])
    first = dataclasses.replace(made, order=made.order[:2])
    assert made.cost(recipe(), batches=2) == first.cost(recipe()) != made.cost(recipe())


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


def test_a_budget_pays_for_whole_steps_or_is_refused(minilm: Path, pairs: list[Pair]) -> None:
    made, _ = lesson(minilm, pairs[:16])
    whole = recipe(accumulation=2)
    spent = made.states.flops + made._flops(whole).sum(axis=0).cumsum()
    for steps in (1, 2):
        cut = made.within(recipe(accumulation=2, flops=float(spent[2 * steps - 1])))
        assert len(cut.order) == 2 * steps
    with pytest.raises(UsageError, match=r"flops: .* pay for no step; with the teacher's work one takes"):
        made.within(recipe(accumulation=2, flops=float(spent[1]) * 0.999))
