"""The warm start: tokens meet by the characters they cover, and the head recovers the teacher's space."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clir.corpora.bitext import Pair
from clir.distillation.head import _overlap, warm_start
from clir.encoding.encoder import load_encoder
from clir.encoding.folder import read_folder
from clir.encoding.tower import Tower, load_tower
from clir.support.errors import ClirError

HELD_OUT = ["Where does the bus to the city stop?", "Goats eat the young maize.", "The well is dry since May."]


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(1) / norms


def vectors(tower: Tower, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return tower(tower.tokenize(texts)).sentence.numpy()


def english(pairs: list[Pair]) -> list[str]:
    # The ridge has 384 unknowns a row: 64 sentences and as many turned round give 800 tokens.
    sides = [pair.english for pair in pairs]
    return [*sides, *(" ".join(reversed(side.split())) for side in sides)]


def test_overlap_counts_shared_characters() -> None:
    # "waterpump" as one token, against water|pump and a token elsewhere
    ours, theirs = np.array([[0, 9], [10, 12]]), np.array([[0, 5], [5, 9], [20, 22]])
    assert _overlap(ours, theirs).tolist() == [[5, 4, 0], [0, 0, 0]]


def test_the_head_recovers_a_teacher_in_another_space(minilm: Path, turned: Path, pairs: list[Pair]) -> None:
    student, teacher = load_tower(read_folder(minilm, "query")), load_tower(read_folder(turned, "query"))
    before = cosines(vectors(student, HELD_OUT), vectors(teacher, HELD_OUT))
    head, _ = warm_start(student, teacher, english(pairs), "", "", max_tokens=32)
    student.attach_head(head, normalize=True)
    after = cosines(vectors(student, HELD_OUT), vectors(teacher, HELD_OUT))
    assert before.max() < 0.3
    assert after.min() > 0.9
    assert (student.dimension, student.spec.normalize) == (384, True)
    np.testing.assert_allclose(np.linalg.norm(vectors(student, HELD_OUT), axis=1), 1, atol=1e-5)


def test_a_head_that_the_student_has_already_is_passed_over(minilm: Path, turned: Path, pairs: list[Pair]) -> None:
    texts = english(pairs)[:20]
    student, teacher = load_tower(read_folder(minilm, "query")), load_tower(read_folder(turned, "query"))
    bare, _ = warm_start(student, teacher, texts, "", "", max_tokens=32)
    student.attach_head(nn.Linear(384, 8), normalize=True)
    again, _ = warm_start(student, teacher, texts, "", "", max_tokens=32)
    torch.testing.assert_close(again.weight, bare.weight)


class Characters:
    """A tokenizer of single characters with MiniLM's interface; ids are those of MiniLM's letters."""

    truncation: dict[str, Any] | None = None

    def __init__(self, real: Any) -> None:
        self.real = real

    def enable_truncation(self, length: int, direction: str = "right") -> None:
        pass

    def encode_batch(self, texts: list[str]) -> list[Any]:
        from types import SimpleNamespace

        made = []
        for text in texts:
            places = [at for at, letter in enumerate(text) if not letter.isspace()]
            ids = [self.real.token_to_id(text[at].lower()) or 100 for at in places]
            made.append(
                SimpleNamespace(
                    ids=[101, *ids, 102],
                    offsets=[(0, 0), *((at, at + 1) for at in places), (0, 0)],
                    special_tokens_mask=[1, *[0] * len(ids), 1],
                )
            )
        return made


def test_another_tokenizer_meets_the_teacher_by_characters(minilm: Path, pairs: list[Pair]) -> None:
    student, teacher = load_tower(read_folder(minilm, "query")), load_tower(read_folder(minilm, "query"))
    student.tokenizer = Characters(student.tokenizer)
    texts = english(pairs)
    student.attach_head(warm_start(student, teacher, texts, "ask: ", "", max_tokens=64)[0], normalize=True)
    with torch.inference_mode():
        ours = student(student.tokenize(texts, "ask: ")).sentence.numpy()
    theirs = vectors(teacher, texts)
    own = cosines(ours, theirs)
    others = cosines(ours, np.roll(theirs, 5, axis=0))
    assert own.mean() > others.mean() + 0.3


def test_texts_without_a_common_token_are_refused(minilm: Path) -> None:
    tower = load_tower(read_folder(minilm, "query"))
    with pytest.raises(ClirError, match="no token of the student covers the same characters as one of the teacher"):
        warm_start(tower, tower, ["", " "], "", "", max_tokens=16)


def test_the_prompts_of_both_sides_are_read_but_not_aligned(minilm: Path, pairs: list[Pair]) -> None:
    student = load_tower(read_folder(minilm, "query"))
    texts = english(pairs)[:30]
    with_prompts, _ = warm_start(student, student, texts, "query: ", "query: ", max_tokens=32)
    student.attach_head(with_prompts, normalize=True)
    direct = load_encoder(str(minilm)).encode_queries(["query: " + text for text in texts])
    with torch.inference_mode():
        ours = student(student.tokenize(texts, "query: ")).sentence.numpy()
    assert cosines(ours, direct).min() > 0.9
