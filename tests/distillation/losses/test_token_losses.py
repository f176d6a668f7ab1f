"""Contrastive losses over tokens, and their norms, by loops over single tokens."""

import numpy as np
import pytest
import torch
from loss_states import content, log_softmax, states, unit

from clir.distillation.losses import LateInteraction, Norm, TokenContrastive
from clir.distillation.losses.late_interaction import mean_maxsim
from clir.distillation.targets import Targets
from clir.distillation.transport import Greedy, MaxSim, Sinkhorn
from clir.encoding.tower import States


def token_contrastive(student: States, teacher: Targets, plan: torch.Tensor, temperature: float) -> float:
    """By loops over student tokens and over all teacher tokens of the batch."""
    texts = range(len(student.tokens))
    same = np.isclose(unit(teacher.sentence) @ unit(teacher.sentence).T, 1, atol=1e-9)
    found = []
    for row in texts:
        others = [other for other in texts if other == row or not same[row, other]]
        total = 0.0
        for i, ours in enumerate(unit(content(student, row))):
            # All teacher tokens of the batch, this pair's first.
            order = [row, *(other for other in others if other != row)]
            scores = np.concatenate([unit(content(teacher, other)) @ ours for other in order]) / temperature
            logs = log_softmax(scores)
            total -= sum(float(plan[row, i, j]) * logs[j] for j in range(len(content(teacher, row))))
        found.append(total)
    return float(np.mean(found))


@pytest.mark.parametrize("solver", [Sinkhorn(epsilon=0.5), Greedy(), MaxSim()], ids=lambda solver: solver.name)
@pytest.mark.parametrize("again", [False, True])
def test_token_contrastive_by_loops(solver: Sinkhorn | Greedy | MaxSim, again: bool) -> None:
    student, teacher = states([4, 2, 6], seed=1, longest=7), states([3, 5, 1], seed=2, longest=6)
    if again:
        # The same English side twice: neither is the other's negative.
        teacher.sentence[2], teacher.tokens[2], teacher.mask[2] = (
            part[0] for part in (teacher.sentence, teacher.tokens, teacher.mask)
        )
    loss = TokenContrastive(solver=solver, temperature=0.2)
    plan = loss.plan(loss.costs(student, teacher), student, teacher)
    expected = token_contrastive(student, teacher, plan, 0.2)
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-9)


def test_a_student_that_diverges_is_not_hidden() -> None:
    student, teacher = states([4, 2], seed=1), states([3, 5], seed=2)
    student.tokens[0, 1] = float("nan")
    assert torch.isnan(TokenContrastive()(student, teacher))
    assert torch.isnan(LateInteraction()(student, teacher))


def maxsim(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.mean([max(a @ b for b in unit(theirs)) for a in unit(ours)]))


def test_mean_maxsim_by_loops() -> None:
    student, teacher = states([4, 2, 6], seed=3, longest=8), states([3, 5], seed=4, longest=6)
    expected = [[maxsim(content(student, i), content(teacher, j)) for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(mean_maxsim(student, teacher).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("again", [False, True])
def test_late_interaction_by_loops(again: bool) -> None:
    student, teacher = states([4, 2, 6, 1], seed=3, longest=8), states([3, 5, 1, 4], seed=4, longest=6)
    if again:
        teacher.sentence[3] = teacher.sentence[1]
    expected = []
    for i in range(4):
        others = [i, *(j for j in range(4) if j != i and not (again and {i, j} == {1, 3}))]
        scores = np.array([maxsim(content(student, i), content(teacher, j)) for j in others]) / 0.1
        expected.append(-log_softmax(scores)[0])
    assert float(LateInteraction(temperature=0.1)(student, teacher)) == pytest.approx(np.mean(expected), rel=1e-9)


@pytest.mark.parametrize("loss", [TokenContrastive(temperature=2.0), LateInteraction(temperature=2.0)])
def test_an_english_side_without_content_is_nobodys_negative(loss: TokenContrastive | LateInteraction) -> None:
    student, teacher = states([4, 2, 3], seed=5), states([3, 0, 5], seed=6)
    without = [Targets(*(part[[0, 2]] for part in list(vars(side).values())[:4])) for side in (student, teacher)]
    assert float(loss(student, teacher)) == pytest.approx(float(loss(*without)), rel=1e-9)


def test_norm_is_the_squared_gap_of_mean_logarithms() -> None:
    student, teacher = states([4, 2, 6], seed=7, longest=8), states([3, 5, 1], seed=8, longest=6)
    gaps = [
        np.mean(np.log(np.linalg.norm(content(student, row), axis=1)))
        - np.mean(np.log(np.linalg.norm(content(teacher, row), axis=1)))
        for row in range(3)
    ]
    assert float(Norm()(student, teacher)) == pytest.approx(np.mean(np.square(gaps)), rel=1e-9)
    # Both sides at another scale: the same.
    scaled = [Targets(100 * side.tokens, side.mask, side.ids, side.sentence) for side in (student, teacher)]
    assert float(Norm()(*scaled)) == pytest.approx(np.mean(np.square(gaps)), rel=1e-9)
    assert float(Norm()(student, student)) == 0
