"""Each loss against its formula in plain numpy, and what may not influence it."""

import math

import numpy as np
import ot
import pytest
import torch
from pydantic import ValidationError

from clir.distillation.losses import Contrastive, MeanSquaredError, OptimalTransport
from clir.encoding.tower import States


def states(texts: int, tokens: list[int], width: int = 5, seed: int = 0, longest: int | None = None) -> States:
    """Random states in float64: text i has tokens[i] content tokens, the rest of the row is noise."""
    generator = torch.Generator().manual_seed(seed)
    length = longest or max(tokens)
    values = torch.randn(texts, length, width, generator=generator, dtype=torch.float64)
    mask = torch.arange(length)[None, :] < torch.tensor(tokens)[:, None]
    sentence = torch.randn(texts, width, generator=generator, dtype=torch.float64)
    return States(values, mask, torch.zeros(texts, length, dtype=torch.int64), sentence)


def by_hand(student: States, teacher: States, epsilon: float, unit: str, weights: str) -> float:
    """mean of <T, C> over the batch, one pair at a time, by POT's Sinkhorn."""
    found = []
    for row in range(len(student.tokens)):
        a, b = (side.tokens[row][side.mask[row]].numpy() for side in (student, teacher))
        lengths = [np.linalg.norm(side, axis=1) for side in (a, b)]
        cost = 1 - (a / lengths[0][:, None]) @ (b / lengths[1][:, None]).T
        shares = [
            norms / norms.sum() if weights == "norm" else np.full(len(norms), 1 / len(norms)) for norms in lengths
        ]
        strength = epsilon * (max(cost.std(), 1e-6) if unit == "spread" else 1)
        plan = ot.sinkhorn(*shares, cost, reg=strength, method="sinkhorn_log", numItermax=5000, stopThr=1e-11)
        found.append((plan * cost).sum())
    return float(np.mean(found))


@pytest.mark.parametrize("unit", ["spread", "absolute"])
@pytest.mark.parametrize("weights", ["uniform", "norm"])
def test_ot_is_the_mean_cost_of_the_transport_plans(unit: str, weights: str) -> None:
    student, teacher = states(3, [4, 2, 6], seed=1), states(3, [3, 5, 1], seed=2)
    loss = OptimalTransport(epsilon=0.3, epsilon_unit=unit, iterations=1000, marginals=weights)
    assert float(loss(student, teacher)) == pytest.approx(by_hand(student, teacher, 0.3, unit, weights), abs=1e-5)


def test_mse_is_the_squared_distance_summed_over_dimensions() -> None:
    student, teacher = states(4, [1] * 4, seed=3), states(4, [1] * 4, seed=4)
    expected = np.mean(np.sum((student.sentence.numpy() - teacher.sentence.numpy()) ** 2, axis=1))
    assert float(MeanSquaredError()(student, teacher)) == pytest.approx(expected, rel=1e-12)


def unit(vectors: torch.Tensor) -> np.ndarray:
    values = vectors.numpy()
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_contrastive_is_the_softmax_over_the_batch() -> None:
    student, teacher = states(5, [1] * 5, seed=5), states(5, [1] * 5, seed=6)
    scores = unit(student.sentence) @ unit(teacher.sentence).T / 0.1
    expected = -np.mean([scores[i, i] - math.log(np.exp(scores[i]).sum()) for i in range(5)])
    assert float(Contrastive(temperature=0.1)(student, teacher)) == pytest.approx(expected, rel=1e-9)


def test_contrastive_leaves_out_negatives_that_are_the_same_sentence() -> None:
    student, teacher = states(4, [1] * 4, seed=7), states(4, [1] * 4, seed=8)
    teacher.sentence[3] = teacher.sentence[1]
    scores = unit(student.sentence) @ unit(teacher.sentence).T / 0.1
    others = {0: [0, 1, 2, 3], 1: [0, 1, 2], 2: [0, 1, 2, 3], 3: [0, 2, 3]}
    expected = -np.mean([scores[i, i] - math.log(np.exp(scores[i, others[i]]).sum()) for i in range(4)])
    assert float(Contrastive(temperature=0.1)(student, teacher)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("term", "more"), [("mse", MeanSquaredError()), ("contrastive", Contrastive(temperature=0.3))])
def test_the_sentence_term_is_added_with_its_weight(term: str, more: MeanSquaredError | Contrastive) -> None:
    student, teacher = states(3, [4, 2, 6], seed=1), states(3, [3, 5, 1], seed=2)
    both = OptimalTransport(sentence_term=term, sentence_weight=0.7, temperature=0.3)(student, teacher)
    alone = OptimalTransport()(student, teacher)
    assert float(both) == pytest.approx(float(alone) + 0.7 * float(more(student, teacher)), rel=1e-6)


def test_the_plan_is_a_constant_of_the_gradient() -> None:
    student, teacher = states(2, [3, 2], seed=9), states(2, [2, 4], seed=10)
    loss = OptimalTransport(epsilon=0.2, epsilon_unit="absolute", iterations=3)
    tokens = student.tokens.float().double().requires_grad_(True)
    moving = States(tokens, student.mask, student.ids, student.sentence)

    def cost_of(values: torch.Tensor) -> torch.Tensor:
        normalized = torch.nn.functional.normalize
        return 1 - normalized(values, dim=-1) @ normalized(teacher.tokens.float().double(), dim=-1).transpose(1, 2)

    plan = loss.plan(cost_of(tokens).detach().float(), student, teacher).double()
    loss(moving, teacher).backward()
    assert tokens.grad is not None
    step = 1e-5
    for text, token, dimension in [(0, 0, 0), (0, 2, 3), (1, 1, 4)]:
        values = []
        for sign in (1, -1):
            moved = tokens.detach().clone()
            moved[text, token, dimension] += sign * step
            values.append(float((plan * cost_of(moved)).sum() / 2))
        numeric = (values[0] - values[1]) / (2 * step)
        assert float(tokens.grad[text, token, dimension]) == pytest.approx(numeric, abs=1e-5)


def test_the_derivative_by_the_cost_is_the_plan() -> None:
    cost = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    student, teacher = states(2, [3, 2], seed=11), states(2, [4, 1], seed=12)
    plan = OptimalTransport().plan(cost, student, teacher)
    assert not plan.requires_grad
    (plan * cost).sum().backward()
    torch.testing.assert_close(cost.grad, plan)


@pytest.mark.parametrize("weights", ["uniform", "norm"])
def test_masked_tokens_have_no_gradient_and_no_influence(weights: str) -> None:
    student, teacher = states(2, [3, 5], seed=13, longest=7), states(2, [4, 2], seed=14, longest=6)
    student.tokens.requires_grad_(True)
    loss = OptimalTransport(marginals=weights, sentence_term="mse")
    value = loss(student, teacher)
    value.backward()
    gradient = student.tokens.grad
    assert gradient is not None
    assert gradient[~student.mask].abs().max() == 0
    assert gradient[student.mask].abs().sum(-1).min() > 0
    with torch.no_grad():
        student.tokens[~student.mask] = 99.0
        teacher.tokens[~teacher.mask] = -99.0
    assert loss(student, teacher).item() == pytest.approx(value.item(), rel=1e-6)


@pytest.mark.parametrize("weights", ["uniform", "norm"])
@pytest.mark.parametrize("lengths", [([0, 3], [2, 2]), ([3, 2], [0, 1]), ([0, 0], [0, 0])])
def test_a_text_without_content_is_left_out_and_gives_no_nan(
    weights: str, lengths: tuple[list[int], list[int]]
) -> None:
    student, teacher = states(2, lengths[0], seed=15, longest=4), states(2, lengths[1], seed=16, longest=3)
    student.tokens.requires_grad_(True)
    loss = OptimalTransport(marginals=weights)
    value = loss(student, teacher)
    value.backward()
    gradient = student.tokens.grad
    assert gradient is not None and torch.isfinite(value) and torch.isfinite(gradient).all()
    kept = [row for row in range(2) if lengths[0][row] and lengths[1][row]]
    assert gradient[[row for row in range(2) if row not in kept]].abs().sum() == 0
    if kept:
        only = [States(*(part[kept] for part in vars(side).values())) for side in (student, teacher)]
        assert value.item() == pytest.approx(loss(*only).item(), rel=1e-6)
    else:
        assert value.item() == 0


def test_a_padded_teacher_row_of_zeros_gives_no_nan() -> None:
    student, teacher = states(2, [2, 3], seed=17), states(2, [2, 1], seed=18, longest=5)
    teacher.tokens[~teacher.mask] = 0
    student.tokens.requires_grad_(True)
    value = OptimalTransport(marginals="norm")(student, teacher)
    value.backward()
    assert torch.isfinite(value) and student.tokens.grad is not None and torch.isfinite(student.tokens.grad).all()


def test_a_perfect_student_has_nothing_to_learn() -> None:
    teacher = states(3, [4, 2, 6], seed=19)
    assert float(MeanSquaredError()(teacher, teacher)) == 0
    assert float(OptimalTransport(epsilon=0.01, iterations=500)(teacher, teacher)) == pytest.approx(0, abs=1e-5)
    assert float(Contrastive()(teacher, teacher)) < float(Contrastive()(states(3, [4, 2, 6], seed=20), teacher))


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (OptimalTransport, {"epsilon": 0}),
        (OptimalTransport, {"iterations": 0}),
        (OptimalTransport, {"marginals": "idf"}),
        (OptimalTransport, {"epsilom": 0.1}),
        (Contrastive, {"temperature": -1}),
        (MeanSquaredError, {"temperature": 1}),
    ],
)
def test_wrong_options_are_refused(loss: type, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        loss(**options)
