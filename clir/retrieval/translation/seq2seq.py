"""Translation by a sequence-to-sequence model of transformers: NLLB, M2M-100, OPUS-MT, MADLAD and their like."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clir.corpora.collection import Topic
from clir.encoding.encoder import HUB_ID, HUB_PATTERNS, check_device
from clir.encoding.fingerprint import fingerprint_of_files
from clir.encoding.refusals import refuse_code
from clir.encoding.weights import refuse_incomplete, weight_files
from clir.retrieval.translation.codes import LanguageTokens, language_tokens
from clir.support.errors import ClirError, UsageError
from clir.support.progress import Progress

BEAMS = 4
BATCH_SIZE = 16
MAX_TOKENS = 256


class Seq2SeqTranslator:
    """Topics from `source` to `target` (BCP-47 codes, or the model's own) by the model that `name` says.

    `name` is a folder or a hub id. The best of `beams` hypotheses, of up to `max_tokens` tokens; longer input is cut
    there too. Texts of similar length go through the model together, `batch_size` at a time: the translations
    depend on it by rounding alone. Weights are safetensors, and no code comes from the model's repository; they are
    loaded by the first translation.

    Raises UsageError if there is no such model or device, and for numbers below 1; ClirError if the model has no
    safetensors.
    """

    def __init__(
        self,
        name: str,
        source: str,
        target: str,
        *,
        beams: int = BEAMS,
        batch_size: int = BATCH_SIZE,
        max_tokens: int = MAX_TOKENS,
        device: str = "cpu",
    ) -> None:
        for what, value in (("beams", beams), ("texts in a batch", batch_size), ("tokens", max_tokens)):
            if value < 1:
                raise UsageError(f"translating needs at least 1 of {what}, not {value}")
        self.name, self.source, self.target = name, source, target
        self.beams, self.batch_size, self.max_tokens, self.device = beams, batch_size, max_tokens, device
        self.folder = translation_model_folder(name)
        weight_files(self.folder)

    def __call__(self, topics: Sequence[Topic]) -> list[Topic]:
        """The translations, in the topics' order; UsageError if the model lacks one of the languages."""
        texts = [topic.text for topic in topics]
        translations = [""] * len(texts)
        with Progress("translating", len(texts), "topics") as progress:
            for rows in self._batches(texts):
                for row, translation in zip(rows, self._translate([texts[row] for row in rows]), strict=True):
                    translations[row] = translation
                progress.advance(len(rows))
        return [Topic(topic.qid, text) for topic, text in zip(topics, translations, strict=True)]

    def provenance(self) -> dict[str, Any]:
        """The model's fingerprint, the languages and the search's parameters."""
        return {
            "kind": "seq2seq", "model": self.name, "fingerprint": fingerprint_of_files(self.folder),
            "source": self.source, "target": self.target, "beams": self.beams, "max tokens": self.max_tokens,
        }  # fmt: skip

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
        for begin in range(0, len(order), self.batch_size):
            yield order[begin : begin + self.batch_size]

    def _translate(self, texts: list[str]) -> list[str]:
        import torch

        tokenizer, model, tokens = self._loaded
        if tokens.place == "prefix":
            texts = [f"{tokens.target} {text}" for text in texts]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        first = tokenizer.convert_tokens_to_ids(tokens.target) if tokens.place == "forced" else None
        forced = {} if first is None else {"forced_bos_token_id": first}
        with torch.inference_mode():
            made = model.generate(
                **batch.to(self.device), num_beams=self.beams, do_sample=False, max_new_tokens=self.max_tokens, **forced
            )
        if first is not None:
            # Not every tokenizer counts its languages among the special tokens, which are left out of the text.
            made = made.masked_fill(made == first, tokenizer.pad_token_id)
        return [text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True)]

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any, LanguageTokens]:
        """Tokenizer, model and language tokens."""
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from clir.encoding.quiet import quiet_transformers

        check_device(self.device)
        quiet_transformers()
        refuse_code(self.folder)
        try:
            with warnings.catch_warnings():
                # OPUS-MT's tokenizer recommends a package for punctuation.
                warnings.simplefilter("ignore")
                tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
                # Half precision, as some models are kept, is slow on a processor.
                model, report = AutoModelForSeq2SeqLM.from_pretrained(
                    self.folder, trust_remote_code=False, use_safetensors=True,
                    dtype=torch.float32 if self.device == "cpu" else "auto",
                    output_loading_info=True, ignore_mismatched_sizes=True,
                )  # fmt: skip
        # The library raises many kinds of errors for folders that are not what it expects.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ClirError(f"{self.name} cannot be loaded as a translation model: {reason}") from error
        refuse_incomplete(self.folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"])
        tokens = language_tokens(tokenizer, self.source, self.target, self.name)
        if tokens.place == "forced":
            tokenizer.src_lang = tokens.source
        return tokenizer, model.to(self.device).eval(), tokens


def translation_model_folder(name: str) -> Path:
    """The folder of a model: `name` itself, or the hub's snapshot of it (safetensors, settings, vocabularies)."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"{folder} holds no model (no config.json)")
        return folder
    if folder.exists() or not HUB_ID.match(name):
        raise UsageError(f"no translation model at {name!r}: not a folder, not a hub id (org/model)")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*HUB_PATTERNS, "*.spm"]))
    # The hub's errors share no base class but Exception's (OSError, ValueError, its own).
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"no model folder {name}, and it could not be downloaded from the model hub: {reason}"
        ) from error
