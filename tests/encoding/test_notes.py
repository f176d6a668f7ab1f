"""What a folder leaves unsaid is told once, on stderr, and kept in the manifest of an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from layouts import NORMALIZE, bert, modular, pooling, qwen3, xlmr

from clir.corpora.collection import Document
from clir.encoding.encoder import TowerEncoder, load_encoder
from clir.indexing.dense import build_dense_index

Layout = Callable[[Path], Path]
MEAN, LAST, E5, PASSAGE = "it is the mean of its tokens'", "it is the last token's", "seems to be an E5", "'passage'"
PROMPTS = {"query": "query: ", "document": "passage: "}
CASES: dict[str, tuple[Layout, str, tuple[str, ...]]] = {
    "plain": (bert, "mcontriever", (MEAN,)),
    "causal": (lambda to: qwen3(to, "Qwen3ForCausalLM"), "qwen", (LAST,)),
    "plain E5": (xlmr, "multilingual-e5-small", (MEAN, E5)),
    "E5 without prompts": (lambda to: modular(xlmr(to), pooling(), NORMALIZE), "multilingual-e5-base", (E5,)),
    "a child of E5": (lambda to: modular(xlmr(to), pooling(), NORMALIZE), "AfriE5-large", (E5,)),
    "E5 with prompts": (lambda to: modular(xlmr(to), pooling(), NORMALIZE, prompts=PROMPTS), "e5-base", ()),
    "no E5": (lambda to: modular(xlmr(to), pooling(), NORMALIZE), "e57-site5b", ()),
    "a prompt that nothing reads": (
        lambda to: modular(xlmr(to), pooling(), prompts={"query": "query: ", "passage": "passage: "}), "x", (PASSAGE,)),
    "two prompts for documents": (
        lambda to: modular(xlmr(to), pooling(), prompts=PROMPTS | {"passage": "passage: "}), "x", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_folder_does_not_say_is_told_once(case: str, tmp_path: Path, capfd: Any) -> None:
    make, name, expected = CASES[case]
    folder = make(tmp_path / name)
    capfd.readouterr()
    encoder = load_encoder(str(folder))
    load_encoder(str(folder))
    told = capfd.readouterr().err.splitlines()
    assert isinstance(encoder, TowerEncoder)
    assert told == [f"note: {folder}: {note}" for note in encoder.notes]
    assert len(told) == len(expected)
    assert all(part in line for part, line in zip(expected, told, strict=True))


def test_an_index_keeps_the_notes_on_its_model(tmp_path: Path) -> None:
    documents = [Document("a", "maji safi"), Document("b", "The rain")]
    for name, kept in (("e5", True), ("said", False)):
        folder = xlmr(tmp_path / name)
        if not kept:
            modular(folder, pooling(), prompts=PROMPTS)
        build_dense_index(lambda: documents, load_encoder(str(folder)), tmp_path / f"{name}-index")
        made = json.loads((tmp_path / f"{name}-index" / "meta.json").read_text())
        assert ("encoder notes" in made) == kept
        if kept:
            assert [MEAN in made["encoder notes"][0], E5 in made["encoder notes"][1]] == [True, True]
            assert str(tmp_path) not in "".join(made["encoder notes"])
