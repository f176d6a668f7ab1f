"""What early stopping on a collection measures: the search that the finished student would do."""

from pathlib import Path

import pytest
import torch

from clir.corpora.registry import open_collection
from clir.distillation.recipe import Recipe
from clir.distillation.start import check_late_interaction, tower_encoder
from clir.distillation.validation import EarlyStopping
from clir.evaluation.measures import evaluate
from clir.experiments.search import collection_sides, search
from clir.experiments.validation import validation
from clir.support.errors import UsageError


@pytest.mark.parametrize("method", ["dense", "late"])
def test_it_is_the_score_of_the_search(minilm: Path, tmp_path: Path, method: str) -> None:
    stopping = EarlyStopping(by="demo/en", search=method)
    validate = validation(stopping, str(minilm), str(minilm), indexes=tmp_path)
    assert validate is not None
    start, collection = tower_encoder(str(minilm)), open_collection("demo/en")
    tower = start.tower("query")
    run = search(method, collection_sides(collection, method, start, root=tmp_path), start, hits=100)
    assert validate(tower) == pytest.approx(evaluate(run, collection.qrels(), ["AP"]).average["AP"], abs=1e-6)
    with torch.no_grad():
        # Another tower, another score: it is the tower that is asked.
        for parameter in tower.transformer.encoder.layer[-1].parameters():
            parameter.zero_()
    assert validate(tower) < 0.5


def test_by_bitext_there_is_nothing_to_search(minilm: Path) -> None:
    assert validation(EarlyStopping(), str(minilm), str(minilm)) is None
    with pytest.raises(ValueError, match="search: late needs a collection"):
        EarlyStopping(search="late")


def test_models_without_sentence_vectors_stop_by_tokens(minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = tower_encoder(str(minilm))
    spec = type(start).spec

    def trained_late(self: object, side: str) -> object:
        import dataclasses

        from clir.encoding.folder import TokenReading

        return dataclasses.replace(spec(start, side), reading=TokenReading())  # type: ignore[arg-type]

    monkeypatch.setattr(type(start), "spec", trained_late)
    common = {"teacher": str(minilm), "student": str(minilm), "loss": {"name": "late-interaction"}}
    by_tokens = Recipe(**common, early_stopping=EarlyStopping(by="demo/sw", search="late"))
    check_late_interaction(by_tokens, start, start)
    for stopping in (EarlyStopping(), EarlyStopping(by="demo/sw")):
        with pytest.raises(UsageError, match="stop early by a collection, with --stop-search late"):
            check_late_interaction(Recipe(**common, early_stopping=stopping), start, start)
