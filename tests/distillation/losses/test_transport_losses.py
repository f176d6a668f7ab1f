"""Losses on transport against POT, GeomLoss and loops, one pair at a time."""

from typing import Any

import numpy as np
import ot
import pytest
import torch
from loss_states import Array, complete, content, distances, replaced, states, unit
from torch import Tensor

from clir.distillation.losses import AlignedMSE, OptimalTransport, SinkhornDivergence
from clir.distillation.targets import Targets
from clir.distillation.transport import Exact, MaxSim, Partial, Proximal, Sinkhorn, Unbalanced
from clir.encoding.tower import States


def by_hand(student: States, teacher: Targets, epsilon: float, unit_of: str, loss: OptimalTransport) -> float:
    """mean of <T, C> over the batch, one pair at a time, by POT's Sinkhorn."""
    everything = np.concatenate([content(teacher, row) for row in range(len(teacher.tokens))])
    centre = everything.mean(0) if loss.centred else 0
    found = []
    for row in range(len(student.tokens)):
        a, b = (content(side, row) for side in (student, teacher))
        weights = [np.ones(len(a)), np.ones(len(b))]
        if loss.marginals == "norm":
            weights = [np.linalg.norm(side, axis=1) for side in (a, b)]
        elif loss.marginals == "idf":
            assert teacher.student_idf is not None and teacher.teacher_idf is not None
            weights = [teacher.student_idf[row].numpy()[: len(a)], teacher.teacher_idf[row].numpy()[: len(b)]]
        a, b = a - centre, b - centre
        cost = 1 - unit(a) @ unit(b).T if loss.cost == "cosine" else distances(a, b) / 2
        strength = epsilon * (max(cost.std(), 1e-6) if unit_of == "spread" else 1)
        shares = [part / part.sum() for part in weights]
        plan = ot.sinkhorn(*shares, cost, reg=strength, method="sinkhorn_log", numItermax=5000, stopThr=1e-11)
        found.append((plan * cost).sum())
    return float(np.mean(found))


@pytest.mark.parametrize("unit_of", ["spread", "absolute"])
@pytest.mark.parametrize("marginals", ["uniform", "norm", "idf"])
@pytest.mark.parametrize(("cost", "centred"), [("cosine", False), ("cosine", True), ("squared", False)])
def test_ot_is_the_mean_cost_of_the_transport_plans(unit_of: Any, marginals: Any, cost: Any, centred: bool) -> None:
    student, teacher = states([4, 2, 6], seed=1), states([3, 5, 1], seed=2)
    teacher = complete(student, teacher)
    loss = OptimalTransport(
        solver=Sinkhorn(epsilon=0.4, epsilon_unit=unit_of, iterations=1500),
        marginals=marginals,
        cost=cost,
        centred=centred,
    )
    # Frequencies are kept in float32.
    assert float(loss(student, teacher)) == pytest.approx(by_hand(student, teacher, 0.4, unit_of, loss), abs=1e-6)


def test_idf_is_asked_for_only_where_it_is_used() -> None:
    assert OptimalTransport().asks() == OptimalTransport(marginals="norm").asks() == frozenset()
    assert OptimalTransport(marginals="idf").asks() == {"student_idf", "teacher_idf"}
    with pytest.raises(ValueError, match="these targets have no student_idf"):
        OptimalTransport(marginals="idf")(states([2]), states([2]))


def test_ot_by_exact_plans_is_pot_s_distance() -> None:
    student, teacher = states([4, 2, 6], seed=1), states([3, 5, 1], seed=2)
    best = [ot.emd2([], [], 1 - unit(content(student, row)) @ unit(content(teacher, row)).T) for row in range(3)]
    assert float(OptimalTransport(solver=Exact(), centred=False)(student, teacher)) == pytest.approx(
        np.mean(best), abs=1e-9
    )


def moved(loss: Any, student: States, teacher: Targets, tokens: Tensor) -> Tensor:
    """The loss with the student's tokens replaced."""
    return loss(States(tokens, student.mask, student.ids, student.sentence), teacher)


def test_the_plan_is_a_constant_of_the_gradient() -> None:
    student, teacher = states([3, 2], seed=9), states([2, 4], seed=10)
    loss = OptimalTransport(solver=Sinkhorn(epsilon=0.2, epsilon_unit="absolute", iterations=3), centred=False)
    tokens = student.tokens.clone().requires_grad_(True)
    plan = loss.plan(loss.costs(student, teacher), student, teacher)
    assert not plan.requires_grad
    (gradient,) = torch.autograd.grad(moved(loss, student, teacher, tokens), tokens)

    def fixed(values: Tensor) -> float:
        # The cost by numpy, under the plan of the states as they were.
        normalized = unit(values) @ unit(teacher.tokens).transpose(0, 2, 1)
        return float((plan.numpy() * (1 - normalized)).sum() / 2)

    step = 1e-6
    for at in np.ndindex(*tokens.shape):
        values = []
        for sign in (1, -1):
            other = tokens.detach().clone()
            other[at] += sign * step
            values.append(fixed(other))
        assert float(gradient[at]) == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize(
    "solver", [Sinkhorn(iterations=4), Proximal(iterations=3), Unbalanced(iterations=4), Partial(iterations=4)],
    ids=lambda solver: solver.name,
)  # fmt: skip
def test_a_differentiated_plan_gives_the_whole_gradient(solver: Any) -> None:
    student, teacher = states([3, 2], width=3, seed=9), states([2, 4], width=3, seed=10)
    # In units of the spread the strength is a constant of the gradient, which finite differences would move.
    units = {"epsilon_unit": "absolute", "epsilon": 0.4, "beta_unit": "absolute"}
    solver = solver.model_copy(update={name: given for name, given in units.items() if hasattr(solver, name)})
    tokens = student.tokens.clone().requires_grad_(True)
    whole = OptimalTransport(solver=solver, differentiate_plan=True, centred=False)
    assert torch.autograd.gradcheck(lambda given: moved(whole, student, teacher, given), tokens, atol=1e-6)
    constant = OptimalTransport(solver=solver, centred=False)
    gradients = [torch.autograd.grad(moved(loss, student, teacher, tokens), tokens)[0] for loss in (whole, constant)]
    assert float(constant(student, teacher)) == pytest.approx(float(whole(student, teacher)), abs=1e-12)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-4


@pytest.mark.parametrize("solver", [Exact(), MaxSim()], ids=lambda solver: solver.name)
def test_under_exact_and_hard_plans_the_gradient_is_whole_already(solver: Any) -> None:
    student, teacher = states([3, 2], width=3, seed=9), states([2, 4], width=3, seed=10)
    tokens = student.tokens.clone().requires_grad_(True)
    loss = OptimalTransport(solver=solver, centred=False)
    assert torch.autograd.gradcheck(lambda given: moved(loss, student, teacher, given), tokens, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_aligned_mse_is_the_distance_of_greedily_aligned_tokens(normalize: bool) -> None:
    student, teacher = states([4, 2, 6], seed=21), states([3, 5, 1], seed=22)
    found = []
    for row in range(3):
        a, b = content(student, row), content(teacher, row)
        similarity = unit(a) @ unit(b).T
        distance = distances(unit(a), unit(b)) if normalize else distances(a, b)
        values, free = [], similarity.copy()
        for _ in range(min(free.shape)):
            i, j = np.unravel_index(free.argmax(), free.shape)
            values.append(distance[i, j])
            free[i, :] = free[:, j] = -np.inf
        found.append(np.mean(values))
    assert float(AlignedMSE(normalize=normalize)(student, teacher)) == pytest.approx(np.mean(found), rel=1e-9)


def test_aligned_mse_is_twice_ot_under_the_same_plan() -> None:
    student, teacher = states([4, 2, 6], seed=21), states([3, 5, 1], seed=22)
    values = [float(loss(solver=MaxSim(), centred=False)(student, teacher)) for loss in (AlignedMSE, OptimalTransport)]
    assert values[0] == pytest.approx(2 * values[1], rel=1e-9)


def divergence(a: Array, b: Array, blur: float) -> float:
    """OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2 by POT, with the KL divergence from the independent plan."""

    def value(x: Array, y: Array) -> float:
        shares = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
        cost, epsilon = distances(x, y) / 2, blur**2
        plan = ot.sinkhorn(*shares, cost, reg=epsilon, method="sinkhorn_log", numItermax=20_000, stopThr=1e-13)
        independent = np.outer(*shares)
        kept = plan > 0
        return float((plan * cost).sum() + epsilon * (plan[kept] * np.log(plan[kept] / independent[kept])).sum())

    return value(a, b) - value(a, a) / 2 - value(b, b) / 2


@pytest.mark.parametrize("normalize", [True, False])
def test_sinkhorn_divergence_by_formula(normalize: bool) -> None:
    student, teacher = states([4, 2, 6], seed=31), states([3, 5, 1], seed=32)
    scaled = unit if normalize else np.asarray
    expected = np.mean(
        [divergence(scaled(content(student, row)), scaled(content(teacher, row)), 1.0) for row in range(3)]
    )
    loss = SinkhornDivergence(blur=1.0, iterations=2000, normalize=normalize)
    assert float(loss(student, teacher)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("blur", "within"), [(0.1, 2e-2), (0.5, 2e-3)])
def test_sinkhorn_divergence_is_geomloss_s(blur: float, within: float) -> None:
    # GeomLoss anneals down to its blur and stops: for a small one it is less converged than we are.
    geomloss = pytest.importorskip("geomloss", reason="geomloss is not installed (pip install -e '.[dev]')")
    student, teacher = states([7, 5], seed=33), states([6, 8], seed=34)
    reference = geomloss.SamplesLoss("sinkhorn", p=2, blur=blur, debias=True, scaling=0.995, backend="tensorized")
    expected, gradients = [], []
    for row in range(2):
        a = torch.from_numpy(unit(content(student, row))).requires_grad_(True)
        found = reference(a, torch.from_numpy(unit(content(teacher, row))))
        expected.append(float(found.detach()))
        gradients.append(torch.autograd.grad(found, a)[0] / 2)
    student.tokens[:] = torch.nn.functional.normalize(student.tokens, dim=-1)
    teacher.tokens[:] = torch.nn.functional.normalize(teacher.tokens, dim=-1)
    tokens = student.tokens.clone().requires_grad_(True)
    value = moved(SinkhornDivergence(blur=blur, iterations=3000, normalize=False), student, teacher, tokens)
    assert float(value.detach()) == pytest.approx(np.mean(expected), rel=2e-3)
    (gradient,) = torch.autograd.grad(value, tokens)
    for row in range(2):
        torch.testing.assert_close(gradient[row][student.mask[row]], gradients[row], atol=within, rtol=0)


def test_sinkhorn_divergence_is_zero_for_equal_sets_alone() -> None:
    teacher = states([4, 2, 6], seed=35)
    shuffled = replaced(teacher, tokens=teacher.tokens.clone())
    shuffled.tokens[0, :4] = teacher.tokens[0, [2, 0, 3, 1]]
    loss = SinkhornDivergence(blur=0.3, iterations=500)
    assert float(loss(teacher, teacher)) == pytest.approx(0, abs=1e-12)
    assert float(loss(shuffled, teacher)) == pytest.approx(0, abs=1e-9)
    shuffled.tokens[0, 0] += 0.5
    assert float(loss(shuffled, teacher)) > 1e-3
    for seed in range(10):
        assert float(loss(states([4, 2, 6], seed=seed), teacher)) > 0.1
    # Entropic transport itself is not zero between a set and itself: that is what is taken off.
    assert float(OptimalTransport(solver=Sinkhorn(epsilon=0.5))(teacher, teacher)) > 0.01


def test_the_gradient_of_sinkhorn_divergence_is_the_one_of_finite_differences_once_converged() -> None:
    student, teacher = states([3, 2], width=3, seed=36), states([2, 4], width=3, seed=37)
    tokens = student.tokens.clone().requires_grad_(True)
    loss = SinkhornDivergence(blur=0.7, iterations=300)
    assert torch.autograd.gradcheck(lambda given: moved(loss, student, teacher, given), tokens, atol=1e-6)


def test_a_perfect_student_has_nothing_to_learn_from_a_sharp_plan() -> None:
    teacher = states([4, 2, 6], seed=19)
    loss = OptimalTransport(solver=Sinkhorn(epsilon=0.01, iterations=500))
    assert float(loss(teacher, teacher)) == pytest.approx(0, abs=1e-5)
    assert float(AlignedMSE()(teacher, teacher)) == pytest.approx(0, abs=1e-12)
