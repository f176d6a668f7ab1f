"""What the folder of a model trained for late interaction (ColBERT) says of how its tokens are read.

Three writers are understood: PyLate, sentence-transformers' MultiVectorEncoder, and Stanford's ColBERT
(Khattab and Zaharia 2020, arXiv 2004.12832, section 3.2: markers, queries filled up with mask tokens,
punctuation of documents left out).
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping
from typing import Any, Literal

from clir.support.errors import ClirError

# What PyLate takes for a key that a folder does not have.
QUERY_LENGTH, DOCUMENT_LENGTH = 32, 180
QUERY_PREFIX, DOCUMENT_PREFIX = "[Q] ", "[D] "
# Stanford's markers where there is no artifact.metadata.
QUERY_MARKER, DOCUMENT_MARKER = "[unused0]", "[unused1]"
MODEL_TYPES = ("ColBERT", "MultiVectorEncoder")
PYLATE_KEYS = ("query_prefix", "document_prefix", "query_length", "document_length", "do_query_expansion")
STANFORD = "HF_ColBERT"
PUNCTUATION = tuple(string.punctuation)


@dataclasses.dataclass(frozen=True)
class TokenReading:
    """How a model reads one side of late interaction. All its tokens count, those it puts in itself too.

    prefix: the one token behind the text's first; where the tokenizer has no such token, text before the
    text. max_tokens: how many are read, prefix and special tokens counted (None: as many as the transformer
    takes). filled_to: queries are filled up to so many tokens with `filler` ("": the mask token), which
    other tokens see only if `attended`. skipped: tokens that do not count. normalize: to unit length.
    """

    prefix: str = ""
    max_tokens: int | None = None
    filled_to: int = 0
    filler: str = ""
    attended: bool = False
    skipped: tuple[str, ...] = ()
    normalize: bool = True


def is_colbert(settings: Mapping[str, Any], modules: list[str]) -> bool:
    """Whether a folder with these `config_sentence_transformers.json` and module names is a late-interaction model."""
    marked = settings.get("model_type") in MODEL_TYPES or any(key in settings for key in PYLATE_KEYS)
    return "MultiVectorMask" in modules or (marked and "Pooling" not in modules)


def pylate_reading(settings: Mapping[str, Any], side: Literal["query", "document"]) -> TokenReading:
    """The reading that PyLate's keys in `config_sentence_transformers.json` mean."""
    skipped = tuple(_given(settings, "skiplist_words", PUNCTUATION))
    if side == "document":
        length = int(_given(settings, "document_length", DOCUMENT_LENGTH))
        return TokenReading(str(_given(settings, "document_prefix", DOCUMENT_PREFIX)), length, skipped=skipped)
    length = int(_given(settings, "query_length", QUERY_LENGTH))
    filled = bool(_given(settings, "do_query_expansion", True))
    return TokenReading(
        str(_given(settings, "query_prefix", QUERY_PREFIX)), length, length if filled else 0,
        attended=filled and bool(settings.get("attend_to_expansion_tokens")),
    )  # fmt: skip


def sentence_transformers_reading(
    transformer: Mapping[str, Any], mask: Mapping[str, Any], normalize: bool, side: Literal["query", "document"]
) -> TokenReading:
    """The reading that the settings of a MultiVectorEncoder's modules mean; its markers are prompts, not prefixes.

    Raises ClirError for a choice of tokens that is not read here.
    """
    if mask.get("keep_only_token_ids"):
        raise ClirError("a model that keeps only the vectors of some token ids (of images) is not supported")
    skipped = tuple(mask.get("skiplist_words") or ()) if side in _given(mask, "skiplist_tasks", ["document"]) else ()
    length = transformer.get(f"{side}_length")
    expansion = transformer.get("query_expansion") if side == "query" else None
    if expansion is None:
        return TokenReading(max_tokens=length, skipped=skipped, normalize=normalize)
    filled = int(expansion["length"])
    return TokenReading(
        max_tokens=filled if expansion["strategy"] == "fixed" else length, filled_to=filled,
        filler=expansion.get("token") or "", attended=bool(expansion.get("attend")), skipped=skipped,
        normalize=normalize,
    )  # fmt: skip


def stanford_reading(metadata: Mapping[str, Any], side: Literal["query", "document"]) -> TokenReading:
    """The reading that Stanford's `artifact.metadata` means, with its own defaults."""
    if side == "document":
        skipped = PUNCTUATION if metadata.get("mask_punctuation", True) else ()
        marker = str(metadata.get("doc_token_id") or DOCUMENT_MARKER)
        return TokenReading(marker, metadata.get("doc_maxlen"), skipped=skipped)
    length = int(metadata.get("query_maxlen") or QUERY_LENGTH)
    marker = str(metadata.get("query_token_id") or QUERY_MARKER)
    return TokenReading(marker, length, length, attended=bool(metadata.get("attend_to_mask_tokens")))


def _given(settings: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    value = settings.get(key)
    return otherwise if value is None else value
