"""How many tokens of a text a model reads: the limit that sentence-transformers takes from the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clir.encoding.settings import read_settings

# More tokens than any transformer reads.
UNLIMITED = 1 << 40
# Where sentence-transformers has kept a transformer's settings; it reads the first that says anything.
SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Positions that RoBERTa-like models reserve before the first token (padding_idx + 1).
RESERVED_POSITIONS = {
    "roberta": 2, "xlm-roberta": 2, "camembert": 2, "xlm-roberta-xl": 2, "mpnet": 2, "roberta-prelayernorm": 2,
    "data2vec-text": 2, "xmod": 2, "longformer": 2,
}  # fmt: skip
# Architectures with a table of positions, beyond which they cannot read (others compute positions).
WITH_TABLE = {
    "bert", "distilbert", "albert", "electra", "ernie", "gpt2", "opt", "mobilebert", "convbert", "nezha", "big_bird",
    *RESERVED_POSITIONS,
}  # fmt: skip


def transformer_settings(transformer: Path) -> dict[str, Any]:
    """What sentence-transformers keeps beside a transformer (limit, lower case): its first file that says anything."""
    read = (read_settings(transformer / name) for name in SETTINGS)
    return next((settings for settings in read if settings), {})


def max_tokens(transformer: Path, said: int | None = None) -> int:
    """How many tokens of a text are read, special tokens counted.

    `said` is the limit that sentence-transformers' own settings name, which it keeps to even beyond the tokenizer's;
    without one the tokenizer's counts, or the architecture's, if that is less.
    """
    config = read_settings(transformer / "config.json")
    if said is None:
        tokenizer = read_settings(transformer / "tokenizer_config.json")
        limits = tokenizer.get("model_max_length", tokenizer.get("max_len")), config.get("max_position_embeddings")
        said = min((int(limit) for limit in limits if limit and 0 < limit < UNLIMITED), default=UNLIMITED)
    return min(said, table(config))


def table(config: dict[str, Any]) -> int:
    """How many tokens the transformer of this `config.json` has positions for, if it keeps a table of them."""
    kind, positions = str(config.get("model_type")), config.get("max_position_embeddings")
    if kind not in WITH_TABLE or not positions:
        return UNLIMITED
    return int(positions) - RESERVED_POSITIONS.get(kind, 0)
