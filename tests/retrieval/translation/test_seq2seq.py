"""Translation by models of transformers: two families, trained here on a few sentences."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from clir.corpora.collection import Topic
from clir.retrieval.translation.codes import LanguageTokens, language_tokens
from clir.retrieval.translation.seq2seq import Seq2SeqTranslator
from clir.support.errors import ClirError, UsageError

# Of different lengths, so that sorting changes their order.
TOPICS = [Topic("001", "mto mrefu sana"), Topic("NA", "paka mdogo"), Topic("1", "nyumba mpya")]


def test_m2m_is_told_both_languages(tiny_m2m: Path) -> None:
    english = Seq2SeqTranslator(str(tiny_m2m), "swa", "eng", batch_size=2)(TOPICS)
    assert english == [Topic("001", "very long river"), Topic("NA", "small cat"), Topic("1", "new house")]
    french = Seq2SeqTranslator(str(tiny_m2m), "sw", "fr")(TOPICS)
    assert french == [Topic("001", "fleuve très long"), Topic("NA", "petit chat"), Topic("1", "maison neuve")]


def test_opus_with_one_pair_of_languages(tiny_marian: Callable[[bool], Path]) -> None:
    english = Seq2SeqTranslator(str(tiny_marian(False)), "sw", "en", beams=1)(TOPICS)
    assert [topic.text for topic in english] == ["very long river", "small cat", "new house"]


def test_opus_into_several_languages_is_told_which(tiny_marian: Callable[[bool], Path]) -> None:
    folder = str(tiny_marian(True))
    assert [topic.text for topic in Seq2SeqTranslator(folder, "sw", "en")(TOPICS)][1:] == ["small cat", "new house"]
    assert [topic.text for topic in Seq2SeqTranslator(folder, "sw", "fr")(TOPICS)][1:] == ["petit chat", "maison neuve"]


def test_languages_of_a_model(tiny_m2m: Path, tiny_marian: Callable[[bool], Path]) -> None:
    with pytest.raises(UsageError, match=r"has no target language 'dz' \(it has: af, am, ar, "):
        Seq2SeqTranslator(str(tiny_m2m), "sw", "dz")(TOPICS)
    with pytest.raises(UsageError, match=r"has no target language 'ha' \(it has: eng, fra\)$"):
        Seq2SeqTranslator(str(tiny_marian(True)), "sw", "ha")(TOPICS)
    with pytest.raises(UsageError, match=r" translates from swa to eng, not from 'en' to 'sw'$"):
        Seq2SeqTranslator(str(tiny_marian(False)), "en", "sw")(TOPICS)


def test_nllb_names_languages_with_their_script() -> None:
    from transformers import NllbTokenizer

    tokenizer = NllbTokenizer()
    assert language_tokens(tokenizer, "sw", "en", "NLLB") == LanguageTokens("forced", "swh_Latn", "eng_Latn")
    assert language_tokens(tokenizer, "zho_Hant", "fa", "NLLB") == LanguageTokens("forced", "zho_Hant", "pes_Arab")
    assert language_tokens(tokenizer, "tl", "zh", "NLLB") == LanguageTokens("forced", "tgl_Latn", "zho_Hans")
    with pytest.raises(UsageError, match=r"^NLLB has no source language 'br' \(it has: ace_Arab, ace_Latn, "):
        language_tokens(tokenizer, "br", "en", "NLLB")


def test_madlad_is_told_the_target_before_the_text() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: at for at, token in enumerate(["<unk>", "<2en>", "<2sw>", "samaki"])}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(vocabulary, "<unk>")), unk_token="<unk>")
    assert language_tokens(tokenizer, "ha", "en", "MADLAD") == LanguageTokens("prefix", None, "<2en>")


def test_what_no_model_is_made_of(tiny_m2m: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no translation model at 'nowhere': not a folder, not a hub id"):
        Seq2SeqTranslator("nowhere", "sw", "en")
    with pytest.raises(
        UsageError, match=r"^no model folder no/model, and it could not be downloaded from the model hub: "
    ):
        Seq2SeqTranslator("no/model", "sw", "en")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(ClirError, match=r"has no safetensors weights \(pickled weights are not loaded\)$"):
        Seq2SeqTranslator(str(tmp_path), "sw", "en")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ClirError, match=r"cannot be loaded as a translation model: "):
        Seq2SeqTranslator(str(tmp_path), "sw", "en")(TOPICS)
    with pytest.raises(UsageError, match=r"^translating needs at least 1 of beams, not 0$"):
        Seq2SeqTranslator(str(tiny_m2m), "sw", "en", beams=0)
    with pytest.raises(UsageError, match=r"^device 'cuda:99' cannot be used here: "):
        Seq2SeqTranslator(str(tiny_m2m), "sw", "en", device="cuda:99")(TOPICS)


def test_half_a_model_is_refused_by_the_names_of_what_it_lacks(tiny_m2m: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(tiny_m2m, folder)
    weights = load_file(folder / "model.safetensors")
    without = {name: values for name, values in weights.items() if "decoder.layers.0.fc1" not in name}
    save_file(without, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ClirError, match=r"half: its weights lack model.decoder.layers.0.fc1.bias, model.decoder"):
        Seq2SeqTranslator(str(folder), "sw", "en")(TOPICS)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"auto_map": {"AutoModel": "own.Model"}}))
    with pytest.raises(ClirError, match=r"half needs code from its own repository .AutoModel in its config"):
        Seq2SeqTranslator(str(folder), "sw", "en")(TOPICS)


def test_the_fingerprint_knows_vocabularies(tiny_marian: Callable[[bool], Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_marian(False), folder)
    before = Seq2SeqTranslator(str(folder), "sw", "en").provenance()
    assert before == {
        "kind": "seq2seq", "model": str(folder), "fingerprint": before["fingerprint"], "source": "sw", "target": "en",
        "beams": 4, "max tokens": 256,
    }  # fmt: skip
    (folder / "source.spm").write_bytes((folder / "target.spm").read_bytes())
    assert Seq2SeqTranslator(str(folder), "sw", "en").provenance()["fingerprint"] != before["fingerprint"]
