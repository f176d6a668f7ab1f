"""How translation models name languages: by tokens of their tokenizer, each family in its own way."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any, Literal

from clir.corpora import languages
from clir.support.errors import UsageError

Place = Literal["forced", "prefix", "none"]

# sw, swh_Latn (NLLB), sw_KE (mBART), __sw__ (M2M-100); >>swh<< (OPUS-MT into several languages); <2sw> (MADLAD-400).
_BOS = re.compile(r"(?:__)?([a-z]{2,3}(?:_[A-Za-z]{2,4})?)(?:__)?")
_PREFIX = re.compile(r">>([a-z]{2,3}(?:_[A-Za-z]{2,4})?)<<|<2([a-z]{2,3}(?:_[A-Za-z]{2,4})?)>")


@dataclasses.dataclass(frozen=True)
class LanguageTokens:
    """How a model is told the languages.

    `forced`: the source is the tokenizer's `src_lang`, the target's token begins the output; `prefix`: the target's
    token begins the input; `none`: the model has one pair of languages.
    """

    place: Place
    source: str | None = None
    target: str | None = None


def language_tokens(tokenizer: Any, source: str, target: str, model: str) -> LanguageTokens:
    """The tokens for translating from `source` into `target` with the model whose tokenizer this is.

    Languages are BCP-47 codes, or the model's own (`swh_Latn`). Raises UsageError for a language that the model
    does not have, with those that it has, and for a model of another pair of languages.
    """
    forced = getattr(tokenizer, "lang_code_to_token", None) or _codes(_special_tokens(tokenizer), _BOS)
    if forced and hasattr(tokenizer, "src_lang"):
        begin, end = (_one(forced, code, role, model) for code, role in ((source, "source"), (target, "target")))
        return LanguageTokens("forced", begin, forced[end])
    prefixes = _codes(tokenizer.get_vocab(), _PREFIX)
    if prefixes:
        return LanguageTokens("prefix", None, prefixes[_one(prefixes, target, "target", model)])
    for role, code in (("source", source), ("target", target)):
        said = getattr(tokenizer, f"{role}_lang", None)
        if said and _other(said, code):
            made = f"from {tokenizer.source_lang} to {tokenizer.target_lang}"
            raise UsageError(f"{model} translates {made}, not from {source!r} to {target!r}")
    return LanguageTokens("none")


def _special_tokens(tokenizer: Any) -> list[str]:
    named = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token]
    return [str(token) for token in tokenizer.all_special_tokens if str(token) not in named]


def _codes(tokens: Iterable[str], shape: re.Pattern[str]) -> dict[str, str]:
    """The language codes among tokens, and the token of each, in the tokens' order."""
    found = {}
    for token in tokens:
        if match := shape.fullmatch(token):
            found[next(group for group in match.groups() if group)] = token
    return found


def _one(codes: dict[str, str], language: str, role: str, model: str) -> str:
    if language in codes:
        return language
    found = languages.code_for(language, codes)
    if found is None:
        raise UsageError(f"{model} has no {role} language {language!r} (it has: {', '.join(sorted(codes))})")
    return found


def _other(said: str, code: str) -> bool:
    """Whether a model says that it is for another language than `code`; a group of languages says nothing."""
    try:
        return languages.language(said) != "mul" and not languages.same_language(said, code)
    except UsageError:
        return False
