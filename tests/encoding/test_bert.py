"""The lean forward pass gives the states of the transformers library, for every kind of model that it takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    CamembertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from clir.encoding.bert import load_bert
from clir.encoding.encoder import load_encoder
from clir.encoding.folder import read_folder
from clir.encoding.tower import load_tower

SMALL: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 40, "pad_token_id": 1,
}  # fmt: skip
TEXTS = ("maji safi", "How deep is the well behind the school?", "")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of ids, the last two padded."""
    ids = torch.randint(2, 60, (3, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    for row, length in ((1, 13), (2, 2)):
        ids[row, length:], mask[row, length:] = 1, 0
    return ids, mask


@pytest.mark.parametrize(
    "model",
    [BertModel(BertConfig(**SMALL)), BertForMaskedLM(BertConfig(**SMALL)), RobertaModel(RobertaConfig(**SMALL)),
     XLMRobertaModel(XLMRobertaConfig(**SMALL)), BertModel(BertConfig(**SMALL), add_pooling_layer=False)],
    ids=["bert", "bert with a head", "roberta", "xlm-roberta", "bert without pooler"],
)  # fmt: skip
@pytest.mark.parametrize("padded", [True, False])
def test_the_states_are_the_librarys(model: Any, padded: bool, tmp_path: Path) -> None:
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(tmp_path)
    lean = load_bert(tmp_path)
    assert lean is not None
    ids, mask = batch() if padded else tuple(part[:1] for part in batch())
    with torch.inference_mode():
        ours = lean(ids, mask).last_hidden_state
        base = getattr(model, "bert", model)
        theirs = base(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(ours[mask.bool()], theirs[mask.bool()], atol=1e-5, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in lean.parameters())


@pytest.mark.parametrize("name", ["minilm", "e5"])
def test_real_models_give_the_same_vectors(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    spec = read_folder(folder, "query")
    towers = [load_tower(spec, to_read=to_read) for to_read in (True, False)]
    with torch.inference_mode():
        ours, theirs = (tower(tower.tokenize(TEXTS, spec.prompt)) for tower in towers)
    torch.testing.assert_close(ours.sentence, theirs.sentence, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.tokens[ours.mask], theirs.tokens[theirs.mask], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "change", [{"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}, {"model_type": "electra"},
               {"is_decoder": True}, {"num_hidden_layers": 4}]
)  # fmt: skip
def test_other_models_are_left_to_the_library(change: dict[str, Any], tmp_path: Path) -> None:
    BertModel(BertConfig(**SMALL)).save_pretrained(tmp_path)
    assert load_bert(tmp_path) is not None
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    assert load_bert(tmp_path) is None


def test_another_architecture_is_still_read(tmp_path: Path) -> None:
    DistilBertModel(DistilBertConfig(vocab_size=60, dim=32, n_layers=1, n_heads=4, hidden_dim=48)).save_pretrained(
        tmp_path
    )
    assert load_bert(tmp_path) is None
    assert CamembertModel.config_class.model_type == "camembert"


@pytest.mark.slow
def test_reading_queries_imports_neither_transformers_nor_torchs_compiler(minilm: Path) -> None:
    program = (
        "import sys; from clir.encoding.encoder import load_encoder; "
        f"print(load_encoder({str(minilm)!r}).encode_queries(['maji']).shape, "
        "bool({'transformers', 'torch._dynamo'} & set(sys.modules)))"
    )
    # The first reading of a model's tokenizer asks the library.
    assert load_encoder(str(minilm)).encode_queries(["maji"]).shape == (1, 384)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "(1, 384) False\n", done.stderr
