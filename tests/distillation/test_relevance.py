"""Passages for the relevance loss: the teacher's nearest and others, scored by the teacher or by a cross-encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clir.corpora.bitext import Pair
from clir.distillation.recipe import Recipe
from clir.distillation.relevance import PassageOptions, relevant_passages
from clir.distillation.start import tower_encoder
from clir.distillation.teacher import TeacherStates, teacher_states
from clir.distillation.trainer import distil
from clir.encoding.encoder import TowerEncoder
from clir.support.errors import UsageError
from clir.support.manifest import read_manifest

WHERE = ("at the market", "behind the school", "near the river", "under the old bridge", "in the clinic")


@pytest.fixture
def corpus(tmp_path: Path, pairs: list[Pair]) -> Path:
    """40 passages about what the sentences tell."""
    path = tmp_path / "docs.jsonl"
    texts = [f"{pair.english.rstrip('.')} {where}." for pair in pairs[::8] for where in WHERE]
    path.write_text("".join(json.dumps({"id": f"d{at}", "text": text}) + "\n" for at, text in enumerate(texts)))
    return path


def prepared(minilm: Path, pairs: list[Pair], tmp_path: Path) -> tuple[TowerEncoder, list[str], TeacherStates]:
    teacher = tower_encoder(str(minilm))
    english = [pair.english for pair in pairs[:6]]
    return teacher, english, teacher_states(teacher, english, 32, root=tmp_path / "states")


def texts_of(corpus: Path) -> list[str]:
    return [json.loads(line)["text"] for line in corpus.read_text().splitlines()]


def test_half_are_the_nearest_and_all_differ(minilm: Path, pairs: list[Pair], corpus: Path, tmp_path: Path) -> None:
    teacher, english, states = prepared(minilm, pairs, tmp_path)
    found = relevant_passages(
        PassageOptions(corpus=str(corpus), count=8), teacher, english, states, 32, tmp_path / "kept"
    )
    similarity = teacher.encode_queries(english) @ teacher.encode_documents(texts_of(corpus)).T
    assert found.chosen.shape == found.scores.shape == (6, 8)
    for row in range(6):
        assert len(set(found.chosen[row])) == 8
        assert set(found.chosen[row, :4]) == set(np.argsort(-similarity[row])[:4])
    np.testing.assert_allclose(found.scores, np.take_along_axis(similarity, found.chosen, 1), atol=1e-3)
    vectors, scores = found.batch(np.array([2, 0]))
    np.testing.assert_allclose(vectors[1].numpy(), found.vectors[found.chosen[0]])
    np.testing.assert_array_equal(scores[0].numpy(), found.scores[2])


def test_what_is_kept_is_not_computed_again(
    minilm: Path, pairs: list[Pair], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = prepared(minilm, pairs, tmp_path)
    options = PassageOptions(corpus=str(corpus), count=4)
    first = relevant_passages(options, *given, 32, tmp_path / "kept")

    def refuse(*_: Any) -> Any:
        raise AssertionError("the teacher was asked again")

    monkeypatch.setattr(TowerEncoder, "_encode", refuse)
    again = relevant_passages(options, *given, 32, tmp_path / "kept")
    np.testing.assert_array_equal(again.chosen, first.chosen)
    np.testing.assert_array_equal(again.scores, first.scores)


def test_states_of_texts_cut_elsewhere_are_others(
    minilm: Path, pairs: list[Pair], corpus: Path, tmp_path: Path
) -> None:
    teacher, english, states = prepared(minilm, pairs, tmp_path)
    options = PassageOptions(corpus=str(corpus), count=4)
    relevant_passages(options, teacher, english, states, 32, tmp_path / "kept")
    cut = teacher_states(teacher, english, 8, root=tmp_path / "states")
    found = relevant_passages(options, teacher, english, cut, 8, tmp_path / "kept")
    own = np.stack(list(cut.sentences(np.arange(len(english))).numpy()))
    products = np.einsum("nd,nkd->nk", own / np.linalg.norm(own, axis=1, keepdims=True), found.vectors[found.chosen])
    np.testing.assert_allclose(found.scores, products, atol=1e-3)


def test_too_few_passages_are_wrong_use(minilm: Path, pairs: list[Pair], corpus: Path, tmp_path: Path) -> None:
    given = prepared(minilm, pairs, tmp_path)
    with pytest.raises(UsageError, match=r"docs\.jsonl has 40 passages, fewer than the 41 asked for"):
        relevant_passages(PassageOptions(corpus=str(corpus), count=41), *given, 32, tmp_path / "kept")


@pytest.mark.slow
def test_a_cross_encoder_scores_the_same_passages(
    minilm: Path, pairs: list[Pair], corpus: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(minilm), num_labels=1, local_files_only=True)
    model.save(str(tmp_path / "cross"))
    given = prepared(minilm, pairs, tmp_path)
    own, crossed = (
        relevant_passages(PassageOptions(corpus=str(corpus), count=4, scorer=scorer), *given, 32, tmp_path / "kept")
        for scorer in ("teacher", str(tmp_path / "cross"))
    )
    np.testing.assert_array_equal(own.chosen, crossed.chosen)
    texts = texts_of(corpus)
    expected = model.predict([(given[1][3], texts[at]) for at in crossed.chosen[3]], show_progress_bar=False)
    np.testing.assert_allclose(crossed.scores[3], expected, atol=1e-5)


@pytest.mark.slow
def test_a_student_learns_by_relevance(minilm: Path, pairs: list[Pair], corpus: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate({
        "teacher": str(minilm), "steps": 20, "batch_size": 8, "learning_rate": 3e-4, "freeze_layers": 4,
        "precision": "fp32", "max_tokens": 24, "loss": {"name": "relevance", "temperature": 0.1,
        "teacher_temperature": 0.1}, "passages": {"corpus": str(corpus), "count": 8},
    })  # fmt: skip
    losses = read_manifest(distil(recipe, pairs, tmp_path / "student"))["losses"]
    assert np.mean([loss for _, loss in losses[-4:]]) < 0.8 * np.mean([loss for _, loss in losses[:4]])
