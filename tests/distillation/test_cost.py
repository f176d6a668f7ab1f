"""Operations by formula are the ones that torch counts."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from clir.distillation.cost import Shape, forward_flops, training_flops, transport_flops
from clir.encoding.folder import read_folder
from clir.encoding.tower import load_tower

SMALL = BertConfig(
    vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
    attn_implementation="eager", hidden_dropout_prob=0, attention_probs_dropout_prob=0,
)  # fmt: skip


def counted(backward: bool, texts: int = 5, tokens: int = 23) -> int:
    torch.manual_seed(0)
    model = BertModel(SMALL, add_pooling_layer=False)
    model.embeddings.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        output = model(torch.randint(50, (texts, tokens))).last_hidden_state.sum()
        if backward:
            output.backward()
    return counter.get_total_flops()


def test_a_forward_pass_costs_what_torch_counts() -> None:
    assert forward_flops(Shape.of(SMALL), 5, 23) == pytest.approx(counted(backward=False), rel=0.02)


def test_training_costs_what_torch_counts() -> None:
    # With the embeddings frozen, the lowest projections need no gradient by their input: a little less than the sum.
    assert training_flops(Shape.of(SMALL), [(5, 23)]) == pytest.approx(counted(backward=True), rel=0.1)


def test_frozen_layers_have_no_backward_pass() -> None:
    shape = Shape.of(SMALL)
    assert training_flops(shape, [(5, 23)], frozen_layers=3) == forward_flops(shape, 5, 23)
    assert training_flops(shape, [(5, 23), (2, 7)], frozen_layers=1) == pytest.approx(
        (1 + 2 * 2 / 3) * (forward_flops(shape, 5, 23) + forward_flops(shape, 2, 7))
    )


def test_the_shape_of_a_real_model(minilm: Path) -> None:
    tower = load_tower(read_folder(minilm, "query"))
    assert Shape.of(tower.transformer.config) == Shape(layers=6, hidden=384, inner=1536)


def test_transport_grows_with_iterations_and_cells_alone() -> None:
    problems = [(8, 20, 24), (4, 9, 1)]
    assert transport_flops(problems, 200) == 4 * transport_flops(problems, 50)
    assert transport_flops([(1, 32, 32)], 50) == pytest.approx(0.6e6, rel=0.05)
