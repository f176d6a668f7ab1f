"""A saved student is right on both sides, for us and for sentence-transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clir.corpora.bitext import Pair
from clir.distillation import student as module
from clir.distillation.recipe import parse_recipe
from clir.distillation.start import tower_encoder
from clir.distillation.student import check_savable, save_student, trim_student
from clir.distillation.trainer import distil
from clir.encoding.encoder import TowerEncoder, load_encoder
from clir.encoding.folder import Side
from clir.encoding.tower import Tower, load_tower
from clir.encoding.trimming import trim
from clir.support.errors import ClirError, UsageError
from clir.support.manifest import read_manifest

TEXTS = ["Maji safi yako wapi?", "", "The bus leaves at six, doesn't it?"]


def trained(minilm: Path) -> Tower:
    """MiniLM after some training: weights in every layer moved."""
    tower = load_tower(tower_encoder(str(minilm)).spec("query"))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in tower.transformer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    return tower


@pytest.mark.parametrize("with_head", [False, True])
def test_queries_are_the_students_and_documents_the_teachers(minilm: Path, tmp_path: Path, with_head: bool) -> None:
    from sentence_transformers import SentenceTransformer

    model = tower_encoder(str(minilm))
    tower = trained(minilm)
    if with_head:
        tower.attach_head(nn.Linear(384, 384), normalize=True)
    save_student(tower, model, model, tmp_path / "student")

    saved = load_encoder(str(tmp_path / "student"))
    with torch.inference_mode():
        own = tower(tower.tokenize(TEXTS)).sentence.numpy()
    np.testing.assert_allclose(saved.encode_queries(TEXTS), own, atol=1e-5)
    np.testing.assert_array_equal(saved.encode_documents(TEXTS), model.encode_documents(TEXTS))
    assert np.abs(saved.encode_queries(TEXTS) - saved.encode_documents(TEXTS)).max() > 0.01
    assert saved.fingerprint("document") == model.fingerprint("document") != saved.fingerprint("query")

    theirs = SentenceTransformer(str(tmp_path / "student"), device="cpu", local_files_only=True)
    np.testing.assert_allclose(theirs.encode_query(TEXTS), own, atol=1e-5)
    np.testing.assert_allclose(theirs.encode_document(TEXTS), model.encode_documents(TEXTS), atol=1e-5)
    (tokens,) = theirs.encode_query(TEXTS[:1], output_value="token_embeddings", convert_to_numpy=False)
    with torch.inference_mode():
        states = tower(tower.tokenize(TEXTS[:1]))
    torch.testing.assert_close(tokens[: states.tokens.shape[1]], states.tokens[0], atol=1e-5, rtol=1e-4)
    assert not list((tmp_path / "student").rglob("*.bin"))


def test_a_student_reads_documents_too_where_it_is_asked_to(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    model.prompts = {"query": "ask: ", "document": "passage: "}
    model.save(str(tmp_path / "prompted"), create_model_card=False)
    prompted, tower = tower_encoder(str(tmp_path / "prompted")), trained(minilm)
    save_student(tower, prompted, prompted, tmp_path / "student")
    taught = load_encoder(str(tmp_path / "student"))
    reading = load_encoder(str(tmp_path / "student"), documents_by="student")

    with torch.inference_mode():
        own = tower(tower.tokenize(TEXTS, "passage: ")).sentence.numpy()
    np.testing.assert_allclose(reading.encode_documents(TEXTS), own, atol=1e-5)
    np.testing.assert_array_equal(reading.encode_queries(TEXTS), taught.encode_queries(TEXTS))
    assert np.abs(reading.encode_documents(TEXTS) - taught.encode_documents(TEXTS)).max() > 0.01
    prints = {side: (reading.fingerprint(side), taught.fingerprint(side)) for side in ("query", "document")}
    assert prints["query"][0] == prints["query"][1] and prints["document"][0] != prints["document"][1]
    # Of a model whose sides are one there is nothing to choose.
    assert load_encoder(str(minilm), documents_by="student").fingerprint("document") == load_encoder(
        str(minilm)
    ).fingerprint("document")


def test_an_index_says_which_side_read_its_documents(minilm: Path, tmp_path: Path) -> None:
    from clir.corpora.collection import Document
    from clir.indexing.dense import build_dense_index, open_dense_index
    from clir.indexing.encoded import check_encoder

    model = tower_encoder(str(minilm))
    save_student(trained(minilm), model, model, tmp_path / "student")
    reading = load_encoder(str(tmp_path / "student"), documents_by="student")
    documents = [Document(f"d{at}", text) for at, text in enumerate(TEXTS)]
    build_dense_index(lambda: iter(documents), reading, tmp_path / "index")
    index = open_dense_index(tmp_path / "index")
    check_encoder(index, reading)
    with pytest.raises(ClirError, match=r"its documents were read by the student: --documents-by student$"):
        check_encoder(index, load_encoder(str(tmp_path / "student")))
    with pytest.raises(ClirError, match=r"encode the collection again with this model$"):
        check_encoder(index, load_encoder(str(minilm)))


def test_documents_are_read_by_one_of_two(minilm: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown reader of documents 'pupil'"):
        load_encoder(str(minilm), documents_by="pupil")
    with pytest.raises(UsageError, match="a class of your own decides itself how it encodes documents"):
        load_encoder("some.module:Encoder", documents_by="student")


def test_the_query_tower_alone_is_a_plain_transformers_folder(minilm: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    model, tower = tower_encoder(str(minilm)), trained(minilm)
    save_student(tower, model, model, tmp_path / "student")
    folder = tmp_path / "student" / "query_0_Transformer"
    transformer, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        states = transformer(**tokenizer(TEXTS[0], return_tensors="pt")).last_hidden_state
        expected = tower(tower.tokenize(TEXTS[:1])).tokens
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-4)


def test_prompts_of_both_sides_are_kept(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    model.prompts = {"query": "ask: ", "document": "passage: "}
    model.save(str(tmp_path / "prompted"), create_model_card=False)
    prompted = tower_encoder(str(tmp_path / "prompted"))
    save_student(load_tower(prompted.spec("query")), prompted, prompted, tmp_path / "student")
    again = tower_encoder(str(tmp_path / "student"))
    assert [again.spec(side).prompt for side in ("query", "document")] == ["ask: ", "passage: "]
    np.testing.assert_allclose(again.encode_queries(TEXTS), prompted.encode_queries(TEXTS), atol=1e-6)
    # A student of a student takes its query side on.
    save_student(load_tower(again.spec("query")), again, prompted, tmp_path / "second")
    second = load_encoder(str(tmp_path / "second"))
    np.testing.assert_allclose(second.encode_queries(TEXTS), prompted.encode_queries(TEXTS), atol=1e-6)


def test_a_folder_that_gives_other_vectors_is_refused(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tower_encoder(str(minilm))
    modules = module._query_modules
    # The last module normalises; without it the folder gives longer vectors.
    monkeypatch.setattr(module, "_query_modules", lambda *given: modules(*given)[:-1])
    with pytest.raises(ClirError, match="the saved student's query side differs by"):
        save_student(trained(minilm), model, model, tmp_path / "student")


def test_what_cannot_be_saved_is_refused_before_the_first_step(
    minilm: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "cache"))
    modules = module._query_modules
    monkeypatch.setattr(module, "_query_modules", lambda *given: modules(*given)[:-1])
    recipe = parse_recipe({"teacher": str(minilm), "steps": 1, "batch_size": 8, "precision": "fp32"}, "a test")
    with pytest.raises(ClirError, match="cannot be taught: the saved student's query side differs by"):
        distil(recipe, pairs, tmp_path / "out" / "student")
    assert not list((tmp_path / "out").iterdir())


def test_a_document_side_that_is_written_otherwise_is_refused(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "cache"))
    model, modules = tower_encoder(str(minilm)), module._modules

    def altered(encoder: TowerEncoder, side: Side) -> list[Any]:
        made = modules(encoder, side)
        # A weight that hardly any text reads.
        if side == "document":
            made[0].auto_model.embeddings.word_embeddings.weight.data[5] += 1
        return made

    monkeypatch.setattr(module, "_modules", altered)
    with pytest.raises(ClirError, match="would not be searched in the indexes of"):
        check_savable(load_tower(model.spec("query")), model, model, tmp_path / "student")
    monkeypatch.undo()
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "cache"))
    check_savable(load_tower(model.spec("query")), model, model, tmp_path / "student")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    # What is in order is not tried twice.
    monkeypatch.setattr(module, "_modules", altered)
    check_savable(load_tower(model.spec("query")), model, model, tmp_path / "student")


def test_a_trimmed_student_is_saved_with_its_own_tokenizer(minilm: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model, tower = tower_encoder(str(minilm)), trained(minilm)
    trimmed = trim(tower, TEXTS).tower
    trimmed.attach_head(nn.Linear(384, 384), normalize=True)
    tower.attach_head(trimmed.head, normalize=True)
    save_student(trimmed, model, model, tmp_path / "student")
    with torch.inference_mode():
        whole = tower(tower.tokenize(TEXTS)).sentence.numpy()
    saved = load_encoder(str(tmp_path / "student"))
    assert np.abs(saved.encode_queries(TEXTS) - whole).max() < 1e-6
    assert saved.fingerprint("document") == model.fingerprint("document")
    theirs = SentenceTransformer(str(tmp_path / "student"), device="cpu", local_files_only=True)
    assert np.abs(theirs.encode_query(TEXTS) - whole).max() < 1e-6
    np.testing.assert_allclose(theirs.encode_document(TEXTS), model.encode_documents(TEXTS), atol=1e-6)
    # The student of a trimmed student is as small.
    again = tower_encoder(str(tmp_path / "student"))
    save_student(load_tower(again.spec("query")), again, again, tmp_path / "second")
    second = load_encoder(str(tmp_path / "second"))
    assert np.abs(second.encode_queries(TEXTS) - whole).max() < 1e-6
    assert second.fingerprint("query") == saved.fingerprint("query")


def test_a_student_that_is_there_is_trimmed_on_its_query_side(minilm: Path, tmp_path: Path) -> None:
    model, student = tower_encoder(str(minilm)), tmp_path / "student"
    save_student(trained(minilm), model, model, student)
    before = tower_encoder(str(student))
    report = trim_student(student, TEXTS, tmp_path / "small")
    after = tower_encoder(str(tmp_path / "small"))
    assert np.abs(after.encode_queries(TEXTS) - before.encode_queries(TEXTS)).max() < 1e-6
    assert after.fingerprint("document") == before.fingerprint("document")
    assert after.tower("query").vocabulary == report["tokens kept"] < 3000
    assert after.tower("document").vocabulary == report["tokens before"] == 30522
    made = read_manifest(tmp_path / "small")
    assert (made["kind"], made["vocabulary"], made["trimmed from"]) == ("student", report, str(student))
    with pytest.raises(UsageError, match="small exists: choose another output, or remove it"):
        trim_student(student, TEXTS, tmp_path / "small")
