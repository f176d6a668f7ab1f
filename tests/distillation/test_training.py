"""Training is real: the loss falls, foreign vectors come nearer to their English, and the same seed gives the same."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clir.corpora.bitext import Pair
from clir.distillation.loop import Distiller
from clir.distillation.losses import Contrastive, MeanSquaredError, as_written
from clir.distillation.recipe import Recipe
from clir.distillation.start import freeze, tower_encoder
from clir.distillation.targets import Targets
from clir.distillation.trainer import distil
from clir.encoding.encoder import Encoder, load_encoder
from clir.encoding.folder import read_folder
from clir.encoding.tower import load_tower
from clir.support.errors import UsageError
from clir.support.files import sha256_of_file
from clir.support.manifest import read_manifest

pytestmark = pytest.mark.slow
WEIGHTS = "query_0_Transformer/model.safetensors"
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(minilm: Path, pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """Trains MiniLM's two upper layers for 24 steps of 8 pairs; names the folder."""
    made = tmp_path_factory.mktemp("students")

    def run(name: str, **options: Any) -> Path:
        settings = {
            "teacher": str(minilm), "student": str(minilm), "steps": 24, "batch_size": 8, "learning_rate": 3e-4,
            "freeze_layers": 4, "precision": "fp32", "max_tokens": 32,
        }  # fmt: skip
        output = made / f"{len(list(made.iterdir()))}" / name
        return distil(Recipe(**{**settings, **options}), pairs, output, checkpoint_steps=1000)

    yield run
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def ot_student(train: Train) -> Path:
    return train("ot", loss=as_written("ot+mse"))


def nearness(student: Encoder, teacher: Encoder, pairs: list[Pair]) -> float:
    """Mean cosine of a foreign sentence under the student and its English side under the teacher."""
    ours = student.encode_queries([pair.foreign for pair in pairs])
    theirs = teacher.encode_queries([pair.english for pair in pairs])
    return float((ours * theirs).sum(1).mean())


def test_the_loss_falls_and_foreign_vectors_come_nearer_to_their_english(
    minilm: Path, ot_student: Path, pairs: list[Pair]
) -> None:
    losses = [value for _, value in read_manifest(ot_student)["losses"]]
    assert len(losses) == 24
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    teacher = load_encoder(str(minilm))
    before, after = (nearness(load_encoder(str(folder)), teacher, pairs) for folder in (minilm, ot_student))
    assert after > before + 0.2


@pytest.mark.parametrize("loss", [MeanSquaredError(), Contrastive(temperature=0.05)])
def test_the_other_losses_teach_too(minilm: Path, train: Train, pairs: list[Pair], loss: Any) -> None:
    student, teacher = load_encoder(str(train(loss.name, loss=loss))), load_encoder(str(minilm))
    ours = student.encode_queries([pair.foreign for pair in pairs])
    theirs = teacher.encode_queries([pair.english for pair in pairs])
    untrained = teacher.encode_queries([pair.foreign for pair in pairs])
    rank_of_own = lambda vectors: float(np.mean((vectors @ theirs.T).argmax(1) == np.arange(len(pairs))))  # noqa: E731
    assert rank_of_own(ours) > rank_of_own(untrained) + 0.1


def test_only_what_is_not_frozen_has_moved(minilm: Path, ot_student: Path) -> None:
    from safetensors.torch import load_file

    before, after = load_file(minilm / "model.safetensors"), load_file(ot_student / WEIGHTS)
    moved = {name for name, values in after.items() if not torch.equal(values, before[name])}
    assert moved and all(name.startswith(("encoder.layer.4.", "encoder.layer.5.")) for name in moved)


def test_documents_stay_the_teachers(minilm: Path, ot_student: Path, pairs: list[Pair]) -> None:
    texts = [pair.english for pair in pairs[:10]]
    student, teacher = load_encoder(str(ot_student)), load_encoder(str(minilm))
    np.testing.assert_array_equal(student.encode_documents(texts), teacher.encode_documents(texts))
    assert student.fingerprint("document") == teacher.fingerprint("document")
    assert np.abs(student.encode_queries(texts) - teacher.encode_queries(texts)).max() > 0.01


def test_sentence_transformers_reads_the_student_alike(ot_student: Path, pairs: list[Pair]) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [pair.foreign for pair in pairs[:10]]
    student = load_encoder(str(ot_student))
    theirs = SentenceTransformer(str(ot_student), device="cpu", local_files_only=True)
    np.testing.assert_allclose(theirs.encode_query(texts), student.encode_queries(texts), atol=1e-5)
    np.testing.assert_allclose(theirs.encode_document(texts), student.encode_documents(texts), atol=1e-5)


def test_the_manifest_says_what_made_the_student(minilm: Path, ot_student: Path) -> None:
    made = json.loads((ot_student / "meta.json").read_text())
    assert (made["kind"], made["steps"], made["pairs"], made["languages"]) == ("student", 24, 64, ["sw"])
    assert [term["loss"]["name"] for term in made["recipe"]["loss"]["terms"]] == ["ot", "mse"]
    student = load_encoder(str(ot_student))
    assert made["fingerprints"] == {side: student.fingerprint(side) for side in ("query", "document")}
    assert made["cost"]["student flops"] > made["cost"]["teacher flops"] > 0
    assert sorted(path.name for path in ot_student.parent.iterdir()) == ["ot"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(train: Train, ot_student: Path) -> None:
    loss = as_written("ot+mse")
    again, other = train("ot-again", loss=loss), train("ot-other", loss=loss, seed=2)
    assert sha256_of_file(again / WEIGHTS) == sha256_of_file(ot_student / WEIGHTS)
    assert sha256_of_file(other / WEIGHTS) != sha256_of_file(ot_student / WEIGHTS)


def test_shuffled_targets_teach_less(minilm: Path, train: Train, ot_student: Path, pairs: list[Pair]) -> None:
    control = train("shuffled", loss=as_written("ot+mse"), shuffle_targets=True)
    teacher = load_encoder(str(minilm))

    def margin(folder: Path) -> float:
        """How much nearer a sentence is to its own English than to the English of the others."""
        student = load_encoder(str(folder))
        turned_round = [
            pair._replace(english=other.english) for pair, other in zip(pairs, pairs[5:] + pairs[:5], strict=True)
        ]
        return nearness(student, teacher, pairs) - nearness(student, teacher, turned_round)

    assert margin(ot_student) > margin(control) + 0.03
    assert sha256_of_file(control / WEIGHTS) != sha256_of_file(ot_student / WEIGHTS)


def test_a_teacher_in_another_space_gets_a_head(turned: Path, train: Train, pairs: list[Pair]) -> None:
    from sentence_transformers import SentenceTransformer

    folder = train("foreign", teacher=str(turned), steps=6, learning_rate=1e-5)
    student, teacher = load_encoder(str(folder)), load_encoder(str(turned))
    english = [pair.english for pair in pairs]
    warm = (student.encode_queries(english) * teacher.encode_queries(english)).sum(1)
    assert warm.min() > 0.9
    np.testing.assert_array_equal(student.encode_documents(english), teacher.encode_documents(english))
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    np.testing.assert_allclose(theirs.encode_query(english), student.encode_queries(english), atol=1e-5)
    np.testing.assert_allclose(theirs.encode_document(english), student.encode_documents(english), atol=1e-5)
    assert tower_encoder(str(folder)).spec("query").heads


def test_the_embeddings_and_the_lowest_layers_can_be_kept(minilm: Path) -> None:
    def trained(embeddings: bool, layers: int) -> set[str]:
        tower = load_tower(read_folder(minilm, "query"))
        freeze(tower, embeddings, layers)
        return {name for name, parameter in tower.named_parameters() if parameter.requires_grad}

    everything = trained(False, 0)
    assert everything - trained(True, 0) == {"transformer.embeddings.word_embeddings.weight"}
    assert {name.split(".")[3] for name in trained(True, 4) if "layer" in name} == {"4", "5"}
    assert not [name for name in trained(True, 4) if "embeddings" in name]
    with pytest.raises(UsageError, match="freeze_layers: 7 is more than the student's layers"):
        trained(True, 7)
    with pytest.raises(UsageError, match="freeze_layers: 6 are all layers of the student"):
        trained(True, 6)


@pytest.mark.parametrize("loss", ["contrastive", "token-contrastive", "late-interaction", "mse"])
@pytest.mark.parametrize("solver", ["sinkhorn", "exact"])
def test_losses_compare_in_float32_whatever_the_student_computes_in(
    minilm: Path, pairs: list[Pair], loss: str, solver: str
) -> None:
    terms = [{"name": "ot", "solver": solver}, {"name": loss}]
    recipe = Recipe(teacher=str(minilm), student=str(minilm), loss=terms, batch_size=4)
    tower, chosen = load_tower(read_folder(minilm, "query")), pairs[:4]
    with torch.no_grad():
        tokens = tower.pad(tower.rows([pair.foreign for pair in chosen], "", 24))
        taught = Targets(**vars(tower(tower.pad(tower.rows([pair.english for pair in chosen], "", 24)))))
        distiller = Distiller(tower, recipe.loss, False)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = distiller(tokens, taught)["loss"]
            states = tower(tokens)
        full = dataclasses.replace(states, tokens=states.tokens.float(), sentence=states.sentence.float())
        expected = recipe.loss(full, taught)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_a_model_of_other_modules_can_be_no_teacher(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    modules = [Transformer(str(minilm)), Pooling(384), Dense(384, 8)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "tanh"), create_model_card=False)
    with pytest.raises(UsageError, match="cannot be a teacher or student"):
        tower_encoder(str(tmp_path / "tanh"))


def test_other_widths_without_a_head_are_wrong_use(minilm: Path, pairs: list[Pair], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    modules = [Transformer(str(minilm)), Pooling(384), Dense(384, 8, activation_function=None)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "narrow"), create_model_card=False)
    recipe = Recipe(teacher=str(tmp_path / "narrow"), student=str(minilm), head="none", batch_size=8)
    with pytest.raises(UsageError, match=r"has 8 dimensions and student .* 384: set head to linear"):
        distil(recipe, pairs, tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_a_trimmed_student_reads_the_bitext_and_says_what_it_kept(train: Train, pairs: list[Pair]) -> None:
    whole = train("whole", steps=3)
    trimmed = train("trimmed", steps=3, trim_vocabulary="characters")
    ours, theirs = load_encoder(str(trimmed)), load_encoder(str(whole))
    texts = [pair.foreign for pair in pairs[:8]]
    # Word embeddings are not trained here, so training is the same with fewer of them.
    np.testing.assert_allclose(ours.encode_queries(texts), theirs.encode_queries(texts), atol=1e-5)
    np.testing.assert_array_equal(ours.encode_documents(texts), theirs.encode_documents(texts))
    made = read_manifest(trimmed)["vocabulary"]
    assert 0 < made["tokens kept"] < made["tokens before"] and "vocabulary" not in read_manifest(whole)
