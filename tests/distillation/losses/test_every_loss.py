"""What holds for every loss: gradients, masks, texts without content, half precision, sums, options."""

import math
from typing import Any

import pytest
import torch
from loss_states import complete, replaced, states
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from clir.distillation.losses import (
    LOSS_NAMES,
    AlignedMSE,
    Contrastive,
    Cosine,
    LateInteraction,
    Loss,
    LossOptions,
    MeanSquaredError,
    Norm,
    OptimalTransport,
    Relevance,
    SinkhornDivergence,
    Term,
    TokenContrastive,
    WeightedSum,
)
from clir.distillation.targets import Targets
from clir.distillation.transport import Exact, Greedy, MaxSim, Partial, Proximal, Sinkhorn, Unbalanced

ADAPTER: TypeAdapter[LossOptions] = TypeAdapter(Loss)
SENTENCE: list[LossOptions] = [
    MeanSquaredError(), Cosine(), Contrastive(temperature=0.2), Contrastive(temperature=0.2, queue=3, symmetric=True),
    Relevance(temperature=0.2, teacher_temperature=0.2),
]  # fmt: skip
SOLVERS = [
    Sinkhorn(epsilon=0.3), Sinkhorn(iterations=3, annealing=5.0), Proximal(), Unbalanced(), Partial(), Exact(),
    Greedy(), MaxSim(),
]  # fmt: skip
PAIRWISE = {"centred": False}
TOKENS: list[LossOptions] = [
    *(OptimalTransport(solver=solver, **PAIRWISE) for solver in SOLVERS),
    OptimalTransport(marginals="norm", **PAIRWISE), OptimalTransport(marginals="idf", **PAIRWISE),
    OptimalTransport(cost="squared", **PAIRWISE), OptimalTransport(centred=True),
    OptimalTransport(differentiate_plan=True, **PAIRWISE),
    OptimalTransport(solver=Unbalanced(), differentiate_plan=True, **PAIRWISE),
    OptimalTransport(solver=Partial(), differentiate_plan=True, **PAIRWISE),
    SinkhornDivergence(), SinkhornDivergence(normalize=False, blur=0.5), AlignedMSE(), AlignedMSE(normalize=False),
    TokenContrastive(temperature=0.2), TokenContrastive(solver=Greedy(), marginals="idf"),
    LateInteraction(temperature=0.2), Norm(),
    WeightedSum(
        terms=(Term(loss=OptimalTransport(**PAIRWISE)), Term(loss=LateInteraction(temperature=0.2), weight=0.3))
    ),
]  # fmt: skip
# Those whose gradient is that of the value: without a plan, with one that is differentiated or piecewise constant.
WHOLE: list[LossOptions] = [
    *SENTENCE,
    OptimalTransport(solver=Sinkhorn(epsilon=0.4, epsilon_unit="absolute", iterations=5), differentiate_plan=True),
    OptimalTransport(
        solver=Proximal(beta=0.9, beta_unit="absolute", iterations=4), differentiate_plan=True, cost="squared"
    ),
    OptimalTransport(solver=Exact(), centred=True), AlignedMSE(), AlignedMSE(normalize=False),
    SinkhornDivergence(blur=0.8, iterations=200), TokenContrastive(solver=Greedy(), temperature=0.3),
    TokenContrastive(solver=MaxSim(), temperature=0.3), LateInteraction(temperature=0.3), Norm(),
]  # fmt: skip


def example(tokens: tuple[list[int], list[int]], width: int = 4) -> tuple[Targets, Targets]:
    """A student and complete targets, with padding on both sides."""
    student = states(tokens[0], width, seed=13, longest=max(tokens[0]) + 2)
    teacher = states(tokens[1], width, seed=14, longest=max(tokens[1]) + 1)
    return student, complete(student, teacher)


def moving(student: Targets) -> Targets:
    """The same student, with leaves that take gradients."""
    return replaced(
        student,
        tokens=student.tokens.detach().clone().requires_grad_(True),
        sentence=student.sentence.detach().clone().requires_grad_(True),
    )


def gradients(loss: LossOptions, student: Targets, teacher: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """The value, and the gradients by tokens and by sentence vectors (zeros where a loss reads none)."""
    student = moving(student)
    value = loss(student, teacher)
    found = torch.autograd.grad(value, [student.tokens, student.sentence], allow_unused=True, materialize_grads=True)
    return value.detach(), *found


@pytest.mark.parametrize("loss", WHOLE, ids=repr)
def test_gradients_are_those_of_finite_differences(loss: LossOptions) -> None:
    student, teacher = example(([2, 3], [3, 1]), width=3)

    def value(tokens: Tensor, sentence: Tensor) -> Tensor:
        return loss(replaced(student, tokens=tokens, sentence=sentence), teacher)

    leaves = moving(student)
    # Relevance keeps the teacher's part in float32.
    assert torch.autograd.gradcheck(value, (leaves.tokens, leaves.sentence), atol=1e-5)
    _, *found = gradients(loss, student, teacher)
    assert sum(float(gradient.abs().sum()) for gradient in found) > 1e-3


@pytest.mark.parametrize("loss", TOKENS, ids=repr)
def test_masked_tokens_have_no_gradient_and_no_influence(loss: LossOptions) -> None:
    student, teacher = example(([3, 5, 1], [4, 2, 3]))
    value, by_tokens, _ = gradients(loss, student, teacher)
    assert by_tokens[~student.mask].abs().max() == 0
    assert (by_tokens[student.mask].abs().sum(-1) > 0).float().mean() > 0.3
    for filler in (99.0, 0.0, 1e-3):
        other = [
            replaced(side, tokens=torch.where(side.mask[..., None], side.tokens, filler)) for side in (student, teacher)
        ]
        again, by_others, _ = gradients(loss, *other)
        assert float(again) == pytest.approx(float(value), rel=1e-9)
        torch.testing.assert_close(by_others, by_tokens, atol=1e-9, rtol=1e-6)
        assert by_others[~student.mask].abs().max() == 0


@pytest.mark.parametrize("loss", TOKENS, ids=repr)
@pytest.mark.parametrize("cut", [1, 2])
def test_more_padding_changes_nothing(loss: LossOptions, cut: int) -> None:
    student, teacher = example(([3, 5, 1], [4, 2, 3]))
    shorter = replaced(student, tokens=student.tokens[:, :-cut], mask=student.mask[:, :-cut])
    idf = teacher.student_idf
    assert idf is not None
    value = loss(shorter, replaced(teacher, student_idf=idf[:, :-cut]))
    assert float(value) == pytest.approx(float(loss(student, teacher)), rel=1e-9)


@pytest.mark.parametrize("loss", [*TOKENS, *SENTENCE], ids=repr)
@pytest.mark.parametrize("tokens", [([0, 3, 2], [2, 2, 0]), ([3, 2], [0, 1]), ([0, 2], [0, 3]), ([0, 0], [0, 0])])
@pytest.mark.parametrize("zeros", [False, True])
def test_a_text_without_content_gives_no_nan(
    loss: LossOptions, tokens: tuple[list[int], list[int]], zeros: bool
) -> None:
    student, teacher = example(tokens)
    if zeros:
        # As the teacher's states come from disk: nothing but zeros where there is no content.
        teacher.tokens[~teacher.mask] = 0
    value, by_tokens, by_sentence = gradients(loss, student, teacher)
    assert torch.isfinite(value) and torch.isfinite(by_tokens).all() and torch.isfinite(by_sentence).all()
    if loss in SENTENCE:
        return
    kept = [row for row in range(len(tokens[0])) if tokens[0][row] and tokens[1][row]]
    assert by_tokens[[row for row in range(len(tokens[0])) if row not in kept]].abs().sum() == 0
    if not kept:
        assert value == 0
        return
    # With one teacher token in all the batch a contrast has nothing to say.
    assert by_tokens.abs().sum() > 0 or teacher.mask.sum() < 4
    if isinstance(loss, OptimalTransport | SinkhornDivergence | AlignedMSE | Norm) and not getattr(loss, "centred", 0):
        only = [
            Targets(**{name: part if part is None else part[kept] for name, part in vars(side).items()})
            for side in (student, replaced(teacher, queue=None))
        ]
        assert float(value) == pytest.approx(float(loss(*only)), rel=1e-9)


@pytest.mark.parametrize("loss", [*TOKENS, *SENTENCE], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_states_of_lower_precision_are_taken(loss: LossOptions, dtype: torch.dtype) -> None:
    student, teacher = example(([3, 5, 1], [4, 2, 3]))
    # What half precision can say, so that rounding of the states is no part of the difference.
    student, rounded = (
        replaced(side, tokens=side.tokens.to(dtype), sentence=side.sentence.to(dtype)) for side in (student, teacher)
    )
    single = {
        name: part.float() if part is not None and part.is_floating_point() else part
        for name, part in vars(rounded).items()
    }
    narrow = Targets(**{**single, "tokens": rounded.tokens, "sentence": single["sentence"]})
    value, by_tokens, by_sentence = gradients(loss, student, narrow)
    full = [
        Targets(**{name: part.double() if part is not None and part.is_floating_point() else part
                   for name, part in vars(side).items()})
        for side in (student, narrow)
    ]  # fmt: skip
    assert float(value) == pytest.approx(float(loss(*full)), rel=2e-3, abs=1e-5)
    assert value.dtype == torch.float32 and by_tokens.dtype == dtype
    assert torch.isfinite(by_tokens).all() and torch.isfinite(by_sentence).all()


@pytest.mark.parametrize("loss", TOKENS, ids=repr)
def test_no_pair_of_a_batch_weighs_on_another_but_as_a_negative(loss: LossOptions) -> None:
    if any(name in repr(loss) for name in ("token-contrastive", "late-interaction", "centred=True")):
        pytest.skip("its negatives, or its mean, are the batch's")
    student, teacher = example(([3, 5, 1], [4, 2, 3]))
    alone = [
        float(loss(*(
            Targets(**{name: part if part is None else part[[row]] for name, part in vars(side).items()})
            for side in (student, replaced(teacher, queue=None))
        )))
        for row in range(3)
    ]  # fmt: skip
    assert float(loss(student, teacher)) == pytest.approx(sum(alone) / 3, rel=1e-9)


def test_a_sum_is_the_weighted_sum_of_its_terms() -> None:
    student, teacher = example(([3, 5, 1], [4, 2, 3]))
    terms = [(OptimalTransport(), 1.0), (Contrastive(queue=2), 0.1), (Norm(), 3.0), (MeanSquaredError(), 0.7)]
    total = WeightedSum(terms=tuple(Term(loss=loss, weight=weight) for loss, weight in terms))
    found = gradients(total, student, teacher)
    for at in range(3):
        expected = sum(weight * gradients(loss, student, teacher)[at] for loss, weight in terms)
        torch.testing.assert_close(found[at], expected)


def test_a_sum_asks_for_what_its_terms_ask_for_and_costs_what_they_cost() -> None:
    parts = [OptimalTransport(marginals="idf"), Contrastive(queue=5), Contrastive(queue=9), Relevance()]
    total = WeightedSum(terms=tuple(Term(loss=part) for part in parts))  # type: ignore[arg-type]
    assert total.asks() == {"student_idf", "teacher_idf", "passages", "relevance"}
    assert total.queued() == 9
    assert WeightedSum(terms=(Term(loss=Norm()),)).asks() == frozenset()
    for count in ("products", "transport_operations"):
        assert getattr(total, count)(4, 20, 24, *[32][: count == "products"]) == sum(
            getattr(part, count)(4, 20, 24, *[32][: count == "products"]) for part in parts
        )


@pytest.mark.parametrize(
    ("loss", "products", "solved"),
    [
        (OptimalTransport(solver=Greedy()), 2 * 20 * 24 * 32, 20 * 20 * 24),
        (AlignedMSE(), 4 * 20 * 24 * 32, 20 * 20 * 24),
        (TokenContrastive(solver=MaxSim()), 2 * (4 + 1) * 20 * 24 * 32, 20 * 24),
        (LateInteraction(), 2 * 4 * 20 * 24 * 32, 0),
        (Contrastive(queue=6), 2 * (4 + 6) * 32, 0),
        (SinkhornDivergence(iterations=10), 2 * (480 + 400 + 576) * 32, 120 * (480 + 400 + 576)),
        (MeanSquaredError(), 0, 0),
    ],
    ids=repr,
)
def test_what_a_loss_costs(loss: LossOptions, products: int, solved: int) -> None:
    assert loss.products(4, 20, 24, 32) == 4 * products
    assert loss.transport_operations(4, 20, 24) == 4 * solved


def test_losses_are_known_by_their_names_and_survive_a_manifest() -> None:
    everything = [*SENTENCE, *TOKENS]
    assert {loss.name for loss in everything} == {*LOSS_NAMES, "sum"}  # type: ignore[attr-defined]
    for loss in everything:
        assert ADAPTER.validate_python(loss.model_dump(mode="json")) == loss


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "ot", "solver": {"name": "sinkhorn", "epsilon": 0}}, {"name": "ot", "solver": "simplex"},
        {"name": "ot", "solver": {"epsilon": 0.1}}, {"name": "ot", "epsilon": 0.1}, {"name": "ot", "marginals": "tf"},
        {"name": "ot", "cost": "manhattan"}, {"name": "contrastive", "temperature": -1},
        {"name": "contrastive", "queue": -1}, {"name": "mse", "temperature": 1},
        {"name": "sinkhorn-divergence", "blur": 0},
        {"name": "relevance", "temperature": 0}, [], [{"name": "ot", "weight": 0}], [{"weight": 1}], "optical", 3,
        "ot+", [["ot", "mse"]],
    ],
    ids=str,
)  # fmt: skip
def test_wrong_options_are_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(wrong)


def test_the_value_of_a_contrastive_loss_is_at_first_about_the_logarithm_of_the_batch() -> None:
    student, teacher = (states([6] * 32, width=512, seed=seed) for seed in (1, 2))
    for loss in (Contrastive(temperature=1.0), LateInteraction(temperature=1.0)):
        assert float(loss(student, teacher)) == pytest.approx(math.log(32), rel=0.02)
    assert float(TokenContrastive(temperature=1.0)(student, teacher)) == pytest.approx(math.log(32 * 6), rel=0.02)
