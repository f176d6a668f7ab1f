"""Our encoders as Pyserini query encoders, for its FaissSearcher and whatever else takes one.

Importing this module imports pyserini (seconds) and starts the JVM that pyserini needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clir.encoding.encoder import Encoder, Vectors, load_encoder
from clir.support.jvm import pyserini_module

_Base: Any = pyserini_module("pyserini.encode").QueryEncoder


class ClirQueryEncoder(_Base):  # type: ignore[misc]
    """A student (or any model that clir loads) as a `pyserini.encode.QueryEncoder`.

    `encoder` is an Encoder or a name for `load_encoder`; `device` and other options go to it.
    """

    def __init__(self, encoder: Encoder | str, **options: Any) -> None:
        # By position: the parameter's name changed between Pyserini's releases.
        super().__init__(None)
        self.has_model = True
        self.encoder: Encoder = load_encoder(encoder, **options) if isinstance(encoder, str) else encoder

    def encode(self, query: str, **_: Any) -> Vectors:
        """The (d,) float32 vector of one query."""
        return self.encoder.encode_queries([query])[0]

    def encode_batch(self, queries: Sequence[str], **_: Any) -> Vectors:
        """The (n, d) float32 vectors of several queries, encoded together."""
        return self.encoder.encode_queries(list(queries))
