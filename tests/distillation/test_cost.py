"""Operations by formula are the ones that torch counts."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from clir.distillation.cost import Shape, forward_flops, training_flops
from clir.distillation.start import freeze
from clir.encoding.folder import read_folder
from clir.encoding.tower import load_tower

SMALL = BertConfig(
    vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
    attn_implementation="eager", hidden_dropout_prob=0, attention_probs_dropout_prob=0,
)  # fmt: skip


class Small(nn.Module):
    """What `freeze` and the counter need of a tower: a transformer, and a linear head on its tokens or none."""

    def __init__(self, head: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.transformer = BertModel(SMALL, add_pooling_layer=False)
        self.head = nn.Linear(SMALL.hidden_size, head) if head else nn.Identity()


def counted(
    backward: bool, texts: int = 5, tokens: int = 23, head: int = 0, frozen: int = 0, embeddings: bool = True
) -> int:
    model = Small(head)
    freeze(model, embeddings, frozen)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter:
        output = model.head(model.transformer(torch.randint(50, (texts, tokens))).last_hidden_state).sum()
        if backward and output.requires_grad:
            output.backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("head", [0, 48])
@pytest.mark.parametrize(("texts", "tokens"), [(5, 23), (1, 1), (3, 90)])
def test_a_forward_pass_costs_what_torch_counts(head: int, texts: int, tokens: int) -> None:
    found = forward_flops(Shape.of(SMALL, head), texts, tokens)
    assert found == pytest.approx(counted(False, texts, tokens, head), rel=0.02)


def test_layers_of_a_forward_pass() -> None:
    shape = Shape.of(SMALL, 48)
    each = (forward_flops(shape, 5, 23) - forward_flops(shape, 5, 23, layers=0)) / 3
    assert forward_flops(shape, 5, 23, layers=2) == pytest.approx(forward_flops(shape, 5, 23, layers=0) + 2 * each)
    assert forward_flops(shape, 5, 23, layers=0) == 2 * 5 * 23 * 32 * 48


@pytest.mark.parametrize("head", [0, 48])
@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
@pytest.mark.parametrize(("texts", "tokens"), [(5, 23), (3, 90)])
def test_training_costs_what_torch_counts(head: int, frozen: int, texts: int, tokens: int) -> None:
    found = training_flops(Shape.of(SMALL, head), [(texts, tokens)], frozen)
    assert found == pytest.approx(counted(True, texts, tokens, head, frozen), rel=0.02)


def test_embeddings_that_are_trained_cost_no_product_more() -> None:
    assert counted(True, embeddings=False) == pytest.approx(training_flops(Shape.of(SMALL), [(5, 23)]), rel=0.02)


def test_batches_add_up() -> None:
    shape = Shape.of(SMALL, 48)
    for frozen in (0, 1, 3):
        both = training_flops(shape, [(5, 23), (2, 7)], frozen)
        assert both == training_flops(shape, [(5, 23)], frozen) + training_flops(shape, [(2, 7)], frozen)
    assert training_flops(Shape.of(SMALL), [(5, 23)], frozen_layers=3) == forward_flops(Shape.of(SMALL), 5, 23)


def test_the_shape_of_a_real_model(minilm: Path) -> None:
    tower = load_tower(read_folder(minilm, "query"))
    assert Shape.of(tower.transformer.config) == Shape(layers=6, hidden=384, inner=1536, head=0)
    assert Shape.of(tower.transformer.config, 128) == Shape(layers=6, hidden=384, inner=1536, head=128)
