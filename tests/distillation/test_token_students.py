"""A teacher trained for late interaction teaches a student by its tokens: head, markers and filled queries included."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.corpora.bitext import Pair
from clir.distillation.recipe import Recipe, parse_recipe
from clir.distillation.trainer import distil
from clir.encoding.encoder import TokenEncoder, load_encoder, token_encoder
from clir.retrieval.maxsim import maxsim
from clir.support.errors import UsageError


@pytest.fixture(scope="module")
def teacher(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM as PyLate would keep it, behind a random projection to 48 dimensions."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("models") / "pylate"
    ignored = shutil.ignore_patterns("*.safetensors", "meta.json", "1_Pooling", "2_Normalize")
    shutil.copytree(minilm, folder, ignore=ignored)
    (folder / "model.safetensors").symlink_to(minilm / "model.safetensors")
    (folder / "1_Dense").mkdir()
    projection = torch.randn(48, 384, generator=torch.Generator().manual_seed(1)) / 20
    save_file({"linear.weight": projection}, folder / "1_Dense" / "model.safetensors")
    dense = {"in_features": 384, "out_features": 48, "bias": False,
             "activation_function": "torch.nn.modules.linear.Identity"}  # fmt: skip
    (folder / "1_Dense" / "config.json").write_text(json.dumps(dense))
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"}]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 20, "document_length": 40,
                "do_query_expansion": True, "skiplist_words": [",", "."]}  # fmt: skip
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    return folder


def options(teacher: Path, **more: Any) -> dict[str, Any]:
    return {
        "teacher": str(teacher), "loss": "late-interaction", "steps": 24, "batch_size": 8, "learning_rate": 3e-4,
        "freeze_layers": 4, "precision": "fp32", **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def student(teacher: Path, pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = parse_recipe(options(teacher, loss="late-interaction+ot"), "a test")
    return distil(recipe, pairs, tmp_path_factory.mktemp("students") / "late", checkpoint_steps=1000)


def tokens_of(folder: Path) -> TokenEncoder:
    return token_encoder(load_encoder(str(folder)))


def accuracy(encoder: TokenEncoder, teacher: TokenEncoder, pairs: list[Pair]) -> float:
    """The share of foreign queries that find their English side among all English documents by MaxSim."""
    documents = teacher.encode_document_tokens([pair.english for pair in pairs])
    scores = maxsim(encoder.encode_query_tokens([pair.foreign for pair in pairs]), documents)
    return float((scores.argmax(1) == np.arange(len(pairs))).mean())


@pytest.mark.slow
def test_a_student_of_tokens_finds_more_and_documents_stay_the_teachers(
    teacher: Path, student: Path, pairs: list[Pair]
) -> None:
    taught, untaught = tokens_of(student), tokens_of(teacher)
    assert accuracy(taught, untaught, pairs) > accuracy(untaught, untaught, pairs) + 0.1
    assert taught.fingerprint("document") == untaught.fingerprint("document")
    assert taught.fingerprint("query") != untaught.fingerprint("query")
    assert (taught.dimension, taught.token_limit("query"), taught.token_limit("document")) == (48, 20, 40)


@pytest.mark.slow
def test_sentence_transformers_opens_the_student(student: Path, pairs: list[Pair]) -> None:
    from sentence_transformers import MultiVectorEncoder

    theirs, ours = MultiVectorEncoder(str(student), device="cpu"), tokens_of(student)
    texts = [pair.foreign for pair in pairs[:3]]
    for expected, found in (
        (theirs.encode_query(texts), ours.encode_query_tokens(texts)),
        (theirs.encode_document(texts), ours.encode_document_tokens(texts)),
    ):
        assert [len(vectors) for vectors in expected] == found.lengths.tolist()
        np.testing.assert_allclose(np.concatenate([vectors.numpy() for vectors in expected]), found.values, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"loss": "mse"}, "has no sentence vectors: choose losses on tokens"),
        ({"loss": "ot+contrastive"}, "has no sentence vectors"),
        ({"early_stopping": {"by": "bitext"}}, "stop early by a collection, with --stop-search late"),
        ({"trim_vocabulary": "pieces"}, "its vocabulary cannot be trimmed"),
        (
            {"head": "linear"},
            "its student must start as its copy or as an earlier student of it, and without --head linear",
        ),
    ],
)
def test_what_needs_a_sentence_vector_is_refused(
    teacher: Path, pairs: list[Pair], tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        distil(parse_recipe(options(teacher, **more), "a test"), pairs, tmp_path / "student")
    assert not list(tmp_path.iterdir())


def test_a_student_of_another_kind_is_refused(teacher: Path, minilm: Path, pairs: list[Pair], tmp_path: Path) -> None:
    recipe: Recipe = parse_recipe(options(teacher, student=str(minilm)), "a test")
    with pytest.raises(UsageError, match="its student must start as its copy"):
        distil(recipe, pairs, tmp_path / "student")
