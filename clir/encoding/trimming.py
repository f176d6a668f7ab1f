"""Vocabulary trimming: a tower with the word embeddings of some texts' tokens only, exact on those texts.

After Abdaoui et al., "Load What You Need: Smaller Versions of Multilingual BERT" (2020): most of a small
multilingual model is the embeddings of languages that its student will never read.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clir.encoding.tokenizer import cut_at
from clir.encoding.tower import Tower
from clir.support.errors import UsageError, unknown

Ids = NDArray[np.int64]
Unseen = Literal["characters", "script_characters", "pieces"]

UNSEEN: tuple[Unseen, ...] = ("characters", "script_characters", "pieces")
MODELS = ("Unigram", "WordPiece")
TEXTS_AT_ONCE = 10_000
FP32_BYTES = 4
# A script is one of the texts' own from this share of their letters on; below it is a stray quotation.
SCRIPT_SHARE = 0.001
BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
# Up to here the ids at and below the padding id all stay: RoBERTa-like models and MPNet count positions from it.
PADDING_IDS = 16


@dataclasses.dataclass(frozen=True)
class Trimmed:
    """A trimmed tower and what it cost: `kept[new id]` is the old id (n, ascending); rows and fp32 bytes of before."""

    tower: Tower
    kept: Ids
    rows_before: int
    bytes_before: int

    @property
    def bytes_after(self) -> int:
        """Bytes of the trimmed tower's weights in fp32."""
        return _fp32_bytes(self.tower)

    def report(self) -> dict[str, int]:
        """What a manifest says of the trimming: tokens kept of how many, fp32 bytes of the tower's weights."""
        return {
            "tokens kept": len(self.kept),
            "tokens before": self.rows_before,
            "fp32 bytes": self.bytes_after,
            "fp32 bytes before": self.bytes_before,
        }


@dataclasses.dataclass(frozen=True)
class Changes:
    """How far a trimmed tower reads texts otherwise: of `tokens` in `texts` texts so many are not the same ones."""

    tokens: int
    tokens_changed: int
    texts: int
    texts_changed: int

    @property
    def token_share(self) -> float:
        """Share of the untrimmed tower's tokens that the trimmed one does not have at the same characters."""
        return self.tokens_changed / self.tokens if self.tokens else 0.0

    @property
    def text_share(self) -> float:
        """Share of the texts with such a token."""
        return self.texts_changed / self.texts if self.texts else 0.0


def trim(tower: Tower, texts: Iterable[str], prompts: Sequence[str] = (), unseen: Unseen = "characters") -> Trimmed:
    """A copy of `tower` whose vocabulary is what it needs to read `texts`; on these its vectors are the same.

    Kept are the tokens of every text (read once, never cut) alone and behind each of `prompts` and the tower's
    own prompt, and special, added and byte tokens. `unseen` says what stays for words that are not in `texts`:

    - `characters`: every piece of one character, so that they are read, in smaller pieces than before;
    - `script_characters`: of these only what is no letter or of a script of the texts; others become unknown;
    - `pieces`: besides all characters every piece of the texts' scripts: other words of these are read as before.

    Order stays, ids become dense. The copy shares no weights with `tower`; head, device, frozen parameters and
    mode are carried over. Its `spec` still names the whole model's folder.

    Raises UsageError for a tokenizer that is neither Unigram nor WordPiece (only with those the best reading of a
    text over all pieces stays the best over fewer), and for a transformer with an output layer over the vocabulary.
    """
    if unseen not in UNSEEN:
        raise unknown("way to keep pieces for unseen words", unseen, UNSEEN)
    settings = json.loads(tower.tokenizer.to_str())
    model = settings["model"]
    if model.get("type") not in MODELS:
        kind = model.get("type") or "nameless"
        raise UsageError(f"cannot trim the vocabulary of a {kind} tokenizer, only of {' and '.join(MODELS)}")
    if tower.transformer.get_output_embeddings() is not None:  # type: ignore[operator]
        raise UsageError("cannot trim a transformer with an output layer over its vocabulary")
    pieces = _pieces(model)
    used, letters = _used(tower, model, pieces, texts, ["", tower.spec.prompt, *prompts])
    used |= _always(tower, settings, pieces)
    used |= _for_unseen(model, pieces, used, unseen, _frequent(letters))
    kept = np.array(sorted(used), dtype=np.int64)
    new_ids = {int(old): new for new, old in enumerate(kept)}
    return Trimmed(
        tower=_rebuilt(tower, kept, new_ids, _renumbered(settings, new_ids)),
        kept=kept,
        rows_before=tower.vocabulary,
        bytes_before=_fp32_bytes(tower),
    )


def changes(before: Tower, trimmed: Trimmed, texts: Sequence[str], prompt: str = "") -> Changes:
    """Compare the content tokens of `texts` (held out, say) in `before`, which was trimmed, and in `trimmed`."""
    old, new = _placed(before, texts, prompt), _placed(trimmed.tower, texts, prompt)
    tokens = tokens_changed = texts_changed = 0
    for theirs, ours in zip(old, new, strict=True):
        same = {(int(trimmed.kept[token]), begin, end) for token, begin, end in ours}
        missing = sum(token not in same for token in theirs)
        tokens += len(theirs)
        tokens_changed += missing
        texts_changed += missing > 0
    return Changes(tokens, tokens_changed, len(texts), texts_changed)


def transformers_tokenizer(tower: Tower, like: Any) -> Any:
    """The tower's tokenizer as a transformers tokenizer that saves and loads as it is.

    `like`, the untrimmed model's own, gives the names of special tokens, the length limit and the inputs. The
    class is the generic one: those of single models (XLMRobertaTokenizer) make parts anew, with ids of their own.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tower.tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=like.model_max_length,
        model_input_names=like.model_input_names,
        padding_side=like.padding_side,
        truncation_side=like.truncation_side,
        **like.special_tokens_map,
    )


def _pieces(model: dict[str, Any]) -> dict[str, int]:
    """Every piece of the tokenizer's model with its id."""
    if model["type"] == "Unigram":
        return {piece: at for at, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _used(
    tower: Tower, model: dict[str, Any], pieces: dict[str, int], texts: Iterable[str], prompts: Sequence[str]
) -> tuple[set[int], Counter[str]]:
    """Ids of the tokens of `texts` behind each of `prompts`, and how many letters of each script are in the texts."""
    used: set[int] = set()
    counts: Counter[str] = Counter()
    tower.tokenizer.no_truncation()
    try:
        for prompt in dict.fromkeys(prompts):
            used.update(tower.token_ids([""], prompt)[0])
        remaining = iter(texts)
        while batch := list(itertools.islice(remaining, TEXTS_AT_ONCE)):
            counts.update(itertools.chain.from_iterable(batch))
            for prompt in dict.fromkeys(prompts):
                for text, ids in zip(batch, tower.token_ids(batch, prompt), strict=True):
                    used.update(ids)
                    if model["type"] == "WordPiece" and pieces.get(model["unk_token"]) in ids:
                        used.update(_before_unknown(tower, model, pieces, text, prompt))
    finally:
        cut_at(tower.tokenizer, tower.spec.max_tokens)
    letters: Counter[str] = Counter()
    for character, count in counts.items():
        if script := _script(character):
            letters[script] += count
    return used, letters


def _before_unknown(
    tower: Tower, model: dict[str, Any], pieces: dict[str, int], text: str, prompt: str
) -> Iterator[int]:
    """The pieces that longest match takes of each word, also of one that it then gives up as unknown.

    Without them it might take shorter ones and come through.
    """
    normalizer, splitter = tower.tokenizer.normalizer, tower.tokenizer.pre_tokenizer
    prepared = tower._prepared(text, prompt)
    normal = normalizer.normalize_str(prepared) if normalizer is not None else prepared
    words = [word for word, _ in splitter.pre_tokenize_str(normal)] if splitter is not None else [normal]
    for word in words:
        if len(word) > model["max_input_chars_per_word"]:
            continue
        begin = 0
        while begin < len(word):
            prefix = model["continuing_subword_prefix"] if begin else ""
            end = next((end for end in range(len(word), begin, -1) if prefix + word[begin:end] in pieces), None)
            if end is None:
                break
            yield pieces[prefix + word[begin:end]]
            begin = end


def _always(tower: Tower, settings: dict[str, Any], pieces: dict[str, int]) -> set[int]:
    """Ids that stay whatever the texts: special, added and byte tokens, and those that the configuration names."""
    model = settings["model"]
    found = {int(added["id"]) for added in settings["added_tokens"]} | set(_template_ids(settings["post_processor"]))
    found.update(range(tower.pad_id + 1) if tower.pad_id <= PADDING_IDS else (tower.pad_id,))
    for value in _configured_ids(tower).values():
        found.update(value if isinstance(value, list) else [value])
    found.update(at for piece, at in pieces.items() if BYTE_PIECE.fullmatch(piece))
    if model["type"] == "WordPiece":
        found.add(pieces[model["unk_token"]])
    else:
        # An unknown character scores a constant below the lowest score of the vocabulary.
        found.add(min(range(len(model["vocab"])), key=lambda at: model["vocab"][at][1]))
        if model["unk_id"] is not None:
            found.add(model["unk_id"])
    return {at for at in found if at < tower.vocabulary}


def _for_unseen(
    model: dict[str, Any], pieces: dict[str, int], used: set[int], unseen: Unseen, scripts: set[str]
) -> set[int]:
    """Ids of the pieces that stay for other words than those of the texts, whose scripts are `scripts`."""
    prefix = model.get("continuing_subword_prefix") or ""
    bare = {at: piece.removeprefix(prefix) for piece, at in pieces.items()}
    single = {at for at, piece in bare.items() if len(piece) == 1}
    if unseen == "characters":
        return single
    if unseen == "pieces":
        return single | {at for at, piece in bare.items() if _scripts(piece) <= scripts}
    met = set(itertools.chain.from_iterable(bare[at] for at in used if at in bare))
    return {at for at in single if bare[at] in met or _scripts(bare[at]) <= scripts}


def _scripts(piece: str) -> set[str]:
    return {script for script in map(_script, piece) if script}


def _script(character: str) -> str | None:
    """The script of a letter by its Unicode name (LATIN, DEVANAGARI, CJK); None for what is no letter.

    Nor are modifiers such as the apostrophe of Hausa's \u02bcyan: they are of no script.
    """
    category = unicodedata.category(character)
    if not category.startswith("L") or category == "Lm":
        return None
    return unicodedata.name(character, "").partition(" ")[0] or None


def _frequent(letters: Counter[str]) -> set[str]:
    """The scripts that are the texts' own."""
    return {script for script, count in letters.items() if count >= SCRIPT_SHARE * letters.total()}


def _renumbered(settings: dict[str, Any], new_ids: dict[int, int]) -> dict[str, Any]:
    """tokenizer.json with the ids of `new_ids` in place of the old, and without the pieces that it lacks."""
    model = dict(settings["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [entry for at, entry in enumerate(model["vocab"]) if at in new_ids]
        if model["unk_id"] is not None:
            model["unk_id"] = new_ids[model["unk_id"]]
    else:
        model["vocab"] = {piece: new_ids[at] for piece, at in model["vocab"].items() if at in new_ids}
    return settings | {
        "model": model,
        # A token without a row of embeddings, which some folders have, could not be read before either.
        "added_tokens": [
            added | {"id": new_ids[added["id"]]} for added in settings["added_tokens"] if added["id"] in new_ids
        ],
        "post_processor": _renumbered_template(settings["post_processor"], new_ids),
        "truncation": None,
        "padding": None,
    }


def _template_ids(processor: dict[str, Any] | None) -> Iterator[int]:
    """The ids that a post-processor puts around a text."""
    if processor is None:
        return
    for inner in processor.get("processors", []):
        yield from _template_ids(inner)
    for special in processor["special_tokens"].values() if processor["type"] == "TemplateProcessing" else ():
        yield from special["ids"]
    for name in ("cls", "sep"):
        if name in processor:
            yield processor[name][1]


def _renumbered_template(processor: dict[str, Any] | None, new_ids: dict[int, int]) -> dict[str, Any] | None:
    if processor is None:
        return None
    changed = dict(processor)
    if "processors" in processor:
        changed["processors"] = [_renumbered_template(inner, new_ids) for inner in processor["processors"]]
    if processor["type"] == "TemplateProcessing":
        changed["special_tokens"] = {
            name: special | {"ids": [new_ids[at] for at in special["ids"]]}
            for name, special in processor["special_tokens"].items()
        }
    for name in ("cls", "sep"):
        if name in processor:
            token, at = processor[name]
            changed[name] = [token, new_ids[at]]
    return changed


def _rebuilt(tower: Tower, kept: Ids, new_ids: dict[int, int], settings: dict[str, Any]) -> Tower:
    """A copy of `tower` with the rows `kept` of its word embeddings and the tokenizer of `settings`."""
    from tokenizers import Tokenizer

    embeddings: Any = tower.transformer.get_input_embeddings()  # type: ignore[operator]
    weight = embeddings.weight
    rows = weight.detach()[torch.from_numpy(kept).to(weight.device)].clone()
    # The copy finds the new rows wherever the old matrix stands, and so never holds that twice.
    memo = {id(weight): nn.Parameter(rows, requires_grad=weight.requires_grad)}
    transformer = copy.deepcopy(tower.transformer, memo)
    embeddings = transformer.get_input_embeddings()  # type: ignore[operator]
    embeddings.num_embeddings = len(kept)
    if embeddings.padding_idx is not None:
        embeddings.padding_idx = new_ids[embeddings.padding_idx]
    config: Any = transformer.config
    config.vocab_size = len(kept)
    for name, value in _configured_ids(tower).items():
        setattr(config, name, [new_ids[at] for at in value] if isinstance(value, list) else new_ids[value])
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.enable_truncation(tower.spec.max_tokens, direction=tower.tokenizer.truncation["direction"])
    return Tower(tower.spec, transformer, tokenizer, copy.deepcopy(tower.head)).train(tower.training)


def _configured_ids(tower: Tower) -> dict[str, int | list[int]]:
    """The token ids in the transformer's configuration that are ids of its vocabulary, by their keys."""
    config: Any = tower.transformer.config
    found: dict[str, int | list[int]] = {}
    for name, value in config.to_dict().items():
        ids = value if isinstance(value, list) else [value]
        if name.endswith("_token_id") and all(isinstance(at, int) and 0 <= at < tower.vocabulary for at in ids):
            found[name] = value
    return found


def _placed(tower: Tower, texts: Sequence[str], prompt: str) -> Iterator[list[tuple[int, int, int]]]:
    """For each text its content tokens as (id, begin, end)."""
    for row, spans in zip(tower.rows(texts, prompt), tower.spans(texts, prompt), strict=True):
        ids = np.asarray(row.ids)[row.content]
        yield [(int(at), int(begin), int(end)) for at, (begin, end) in zip(ids, spans, strict=True)]


def _fp32_bytes(tower: Tower) -> int:
    return FP32_BYTES * sum(parameter.numel() for parameter in tower.parameters())
