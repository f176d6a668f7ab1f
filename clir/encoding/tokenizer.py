"""A folder's tokenizer as the transformers library reads it, which is not always as its `tokenizer.json` is written.

The library builds the tokenizers of some models (XLM-R, BERT, T5) anew from their vocabulary, and models are used, by
sentence-transformers too, with what it builds. Importing it takes longer than a search does: what it makes of a
folder's files is kept in the cache, under their contents and its release.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.encoding.quiet import quiet_transformers
from clir.support.errors import ClirError
from clir.support.files import atomic_file, cache_root

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The files that a tokenizer is read from.
PATTERNS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "*.model", "*.spm", "*.tiktoken", "tekken.json", "chat_template.*",
)  # fmt: skip
# What the library looks at in config.json to choose a tokenizer's class.
CHOOSING = ("model_type", "model_name", "tokenizer_class", "_name_or_path", "auto_map")
# In the cache, where the folder's own tokenizer.json is read as it is written.
AS_WRITTEN = "as written"
Settings = dict[str, Any]


def tokenizer_files(folder: Path) -> list[Path]:
    """The files in a transformers folder that its tokenizer is read from, in order of name."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})


def read_tokenizer(folder: Path, lower_case: bool = False) -> Tokenizer:
    """The tokenizer of a transformers folder, neither padding nor truncating.

    `lower_case` puts the texts into lower case first, as sentence-transformers does. Raises ClirError if the
    folder has no tokenizer that can be read.
    """
    from tokenizers import Tokenizer

    try:
        entry = cache_root() / "tokenizers" / f"{tokenizer_key(folder)}.json"
        tokenizer = _kept(entry, folder)
        if tokenizer is None:
            tokenizer = _as_the_library_reads(folder)
            own = folder / "tokenizer.json"
            same = own.exists() and normal_form(_whole(Tokenizer.from_file(str(own)))) == normal_form(tokenizer)
            _keep(entry, AS_WRITTEN if same else tokenizer.to_str())
        settings = _json(folder / "tokenizer_config.json")
        tokenizer.encode_special_tokens = bool(settings.get("split_special_tokens", False))
        side = "left" if settings.get("truncation_side") == "left" else "right"
    # The tokenizers library raises bare Exception for a file it cannot parse, the transformers library whatever it met.
    except Exception as error:
        raise ClirError(f"cannot load the tokenizer in {folder}: {' '.join(str(error).split())}") from error
    # The side stays with it when a limit is set.
    _whole(tokenizer).enable_truncation(1 << 31, direction=side)
    if lower_case:
        _put_into_lower_case(tokenizer)
    return tokenizer


def cut_at(tokenizer: Tokenizer, limit: int) -> None:
    """Have the tokenizer truncate at `limit` tokens, special tokens counted, from the side it does."""
    direction = (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.enable_truncation(limit, direction=direction)


def marker_id(tokenizer: Tokenizer, prefix: str) -> int | None:
    """The id of a marker that the tokenizer knows, with or without the space behind it."""
    found: int | None = tokenizer.token_to_id(prefix) if prefix else None
    return tokenizer.token_to_id(prefix.strip()) if found is None and prefix.strip() else found


def normal_form(tokenizer: Tokenizer) -> Settings:
    """All that decides which ids a tokenizer that does not pad gives for a text, alike for whoever wrote its file.

    Left out is what decides nothing (decoder, truncation, pairs of texts) and how it is written: scores are of
    float32, as sentencepiece has them, since readers differ in the last digit of float64.
    """
    settings: Settings = json.loads(tokenizer.to_str())
    model = settings["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        model["vocab"] = [[piece, struct.pack("<f", score).hex()] for piece, score in vocabulary]
    added = sorted((token for token in settings["added_tokens"]), key=lambda token: token["id"])
    return {
        "model": _without_defaults(model),
        "normalizer": _steps(settings["normalizer"], "normalizers"),
        "pre_tokenizer": _steps(settings["pre_tokenizer"], "pretokenizers"),
        "added_tokens": [_without_defaults(token) for token in added],
        "around": [tokenizer.encode(text).ids for text in ("", "a")],
        "bare": tokenizer.encode("a", add_special_tokens=False).ids,
    }


def _steps(part: Settings | None, members: str) -> list[Settings]:
    """A normalizer or pre-tokenizer as the list of its steps: one in another, or alone in one, is the same."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for member in part[members] for step in _steps(member, members)]
    return [_without_defaults(part)]


def _without_defaults(part: Settings) -> Settings:
    """Without settings that are off: a release that does not know one yet does not write it.

    That accents stay is something else than nothing said of them: then they go where letters become lower case.
    """
    off = {key for key, value in part.items() if value is None or value is False or value == ""}
    if part.get("strip_accents") is False:
        off.discard("strip_accents")
    return {key: value for key, value in part.items() if key not in off}


def _as_the_library_reads(folder: Path) -> Tokenizer:
    quiet_transformers()
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    backend = getattr(made, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(f"{type(made).__name__} is no fast tokenizer")
    return _whole(backend)


def _whole(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without the padding and truncation that its last user left in it."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def tokenizer_key(folder: Path) -> str:
    """What the tokenizer depends on, as 32 hexadecimal digits."""
    config = _json(folder / "config.json")
    releases = [importlib.metadata.version(name) for name in ("transformers", "tokenizers")]
    files = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in tokenizer_files(folder)]
    told = [releases, files, {name: config.get(name) for name in CHOOSING}]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def _kept(entry: Path, folder: Path) -> Tokenizer | None:
    """The tokenizer that a cache entry says: its own settings, or that the folder's file is right as it is."""
    from tokenizers import Tokenizer

    try:
        text = entry.read_text("utf-8")
    except OSError:
        return None
    if text == AS_WRITTEN:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    try:
        return Tokenizer.from_str(text)
    # As above: a damaged entry is made anew.
    except Exception:
        return None


def _keep(entry: Path, text: str) -> None:
    # A read-only home only costs the time to import the library again.
    with contextlib.suppress(ClirError), atomic_file(entry, "w") as handle:
        handle.write(text)


def _put_into_lower_case(tokenizer: Tokenizer) -> None:
    """Lower case before all else, unless it is a step already: sentence-transformers' own rule."""
    from tokenizers.normalizers import Lowercase, Sequence

    present: Any = tokenizer.normalizer
    inner: Any = present if isinstance(present, Sequence) else [] if present is None else [present]
    steps = list(inner)
    if not any(isinstance(step, Lowercase) for step in steps):
        lowered: Any = Sequence([Lowercase(), *steps])
        tokenizer.normalizer = lowered


def _json(path: Path) -> Settings:
    value = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return value if isinstance(value, dict) else {}
