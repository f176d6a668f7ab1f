"""Losses on sentence vectors against their formulas in plain numpy."""

import numpy as np
import pytest
import torch
from loss_states import complete, log_softmax, replaced, states, unit

from clir.distillation.losses import Contrastive, Cosine, MeanSquaredError, Relevance


def test_mse_is_the_squared_distance_summed_over_dimensions() -> None:
    student, teacher = states([1] * 4, seed=3), states([1] * 4, seed=4)
    expected = np.mean(np.sum((student.sentence.numpy() - teacher.sentence.numpy()) ** 2, axis=1))
    assert float(MeanSquaredError()(student, teacher)) == pytest.approx(expected, rel=1e-12)


def test_cosine_is_one_minus_the_cosine_and_half_of_mse_for_unit_vectors() -> None:
    student, teacher = states([1] * 4, seed=3), states([1] * 4, seed=4)
    cosines = (unit(student.sentence) * unit(teacher.sentence)).sum(1)
    assert float(Cosine()(student, teacher)) == pytest.approx(np.mean(1 - cosines), rel=1e-12)
    normal = [replaced(side, sentence=torch.from_numpy(unit(side.sentence))) for side in (student, teacher)]
    assert float(MeanSquaredError()(*normal)) == pytest.approx(2 * float(Cosine()(student, teacher)), rel=1e-12)


def test_contrastive_is_the_softmax_over_the_batch() -> None:
    student, teacher = states([1] * 5, seed=5), states([1] * 5, seed=6)
    scores = unit(student.sentence) @ unit(teacher.sentence).T / 0.1
    expected = -np.mean([log_softmax(scores[i])[i] for i in range(5)])
    assert float(Contrastive(temperature=0.1)(student, teacher)) == pytest.approx(expected, rel=1e-9)


def test_contrastive_leaves_out_negatives_that_are_the_same_sentence() -> None:
    student, teacher = states([1] * 4, seed=7), states([1] * 4, seed=8)
    teacher.sentence[3] = 2 * teacher.sentence[1]
    scores = unit(student.sentence) @ unit(teacher.sentence).T / 0.1
    others = {0: [0, 1, 2, 3], 1: [1, 0, 2], 2: [2, 0, 1, 3], 3: [3, 0, 2]}
    there = -np.mean([log_softmax(scores[i, others[i]])[others[i].index(i)] for i in range(4)])
    assert float(Contrastive(temperature=0.1)(student, teacher)) == pytest.approx(there, rel=1e-9)
    # In the other direction, sentence 1 may be found by student 1 or 3: the other of them is left out.
    back = -np.mean([log_softmax(scores.T[i, others[i]])[others[i].index(i)] for i in range(4)])
    both = Contrastive(temperature=0.1, symmetric=True)(student, teacher)
    assert float(both) == pytest.approx((there + back) / 2, rel=1e-9)


def test_symmetric_contrastive_also_finds_the_foreign_side_but_not_in_the_queue() -> None:
    student, teacher = states([1] * 4, seed=7), states([1] * 4, seed=8)
    teacher = replaced(teacher, queue=states([1] * 6, seed=9).sentence)
    targets, queue = unit(teacher.sentence), unit(teacher.queue)
    scores = unit(student.sentence) @ np.concatenate([targets, queue]).T / 0.1
    there = -np.mean([log_softmax(scores[i])[i] for i in range(4)])
    back = -np.mean([log_softmax(scores[:, :4].T[i])[i] for i in range(4)])
    found = Contrastive(temperature=0.1, symmetric=True, queue=6)(student, teacher)
    assert float(found) == pytest.approx((there + back) / 2, rel=1e-9)


def test_the_queue_holds_further_negatives_the_newest_of_them() -> None:
    student, teacher = states([1] * 4, seed=10), states([1] * 4, seed=11)
    queue = states([1] * 6, seed=12).sentence
    # An English side of this batch that stood in an earlier one as well is no negative of its own pair.
    queue[5] = teacher.sentence[2]
    teacher = replaced(teacher, queue=queue)
    for size in (6, 3):
        scores = unit(student.sentence) @ unit(np.concatenate([teacher.sentence, queue[-size:]])).T / 0.1
        scores[2, -1] = -np.inf
        expected = -np.mean([log_softmax(scores[i])[i] for i in range(4)])
        found = Contrastive(temperature=0.1, queue=size)(student, teacher)
        assert float(found) == pytest.approx(expected, rel=1e-9)
    assert (Contrastive(queue=7).queued(), Contrastive().queued()) == (7, 0)
    with pytest.raises(ValueError, match="these targets have no queue"):
        Contrastive(queue=2)(student, replaced(teacher, queue=None))


def test_before_there_is_a_queue_the_batch_is_all() -> None:
    student, teacher = states([1] * 4, seed=10), states([1] * 4, seed=11)
    begun = Contrastive(queue=8)(student, replaced(teacher, queue=torch.empty(0, 5, dtype=torch.float64)))
    assert float(begun) == float(Contrastive()(student, teacher))


def test_relevance_is_the_divergence_over_passages() -> None:
    student, teacher = states([1] * 3, seed=13), states([1] * 3, seed=14)
    teacher = complete(student, teacher, passages=6)
    assert teacher.passages is not None and teacher.relevance is not None
    expected = []
    for row in range(3):
        q = log_softmax(unit(teacher.passages[row]) @ unit(student.sentence[row]) / 0.3)
        p = log_softmax(teacher.relevance[row].numpy() / 0.7)
        expected.append((np.exp(p) * (p - q)).sum())
    loss = Relevance(temperature=0.3, teacher_temperature=0.7)
    # Scores are kept in float32.
    assert float(loss(student, teacher)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_student_as_sure_as_the_teacher_has_no_relevance_to_learn() -> None:
    student, teacher = states([1] * 3, seed=13), states([1] * 3, seed=14)
    teacher = complete(student, teacher)
    cosines = unit(teacher.passages) @ unit(student.sentence)[:, :, None]
    agreed = replaced(teacher, relevance=torch.from_numpy(cosines[:, :, 0]))
    assert float(Relevance()(student, agreed)) == pytest.approx(0, abs=1e-6)
    assert float(Relevance()(student, teacher)) > 0.1


def test_relevance_asks_for_passages() -> None:
    assert Relevance().asks() == {"passages", "relevance"}
    with pytest.raises(ValueError, match="these targets have no passages"):
        Relevance()(states([1]), states([1]))


def test_a_perfect_student_has_nothing_to_learn() -> None:
    teacher = states([4, 2, 6], seed=19)
    assert float(MeanSquaredError()(teacher, teacher)) == 0
    assert float(Cosine()(teacher, teacher)) == pytest.approx(0, abs=1e-12)
    assert float(Contrastive()(teacher, teacher)) < float(Contrastive()(states([4, 2, 6], seed=20), teacher))
