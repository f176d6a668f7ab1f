"""The encoder of a folder with modules that clir does not compute: sentence-transformers itself, made safe."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clir.encoding.folder import SIDES, Module, Side, UnsupportedModel, side_modules
from clir.encoding.precision import Precision, autocast
from clir.encoding.weights import weight_files
from clir.support.errors import ClirError

# Texts a forward pass.
BATCH_SIZE = 32


@dataclasses.dataclass
class SentenceTransformerEncoder:
    """The encoder of a folder with modules of its own, computed by sentence-transformers itself.

    `because` says what about it clir does not compute itself.
    """

    name: str
    folder: Path
    batch_size: int | None = None
    device: str = "cpu"
    precision: Precision = "fp32"
    because: str = ""

    @functools.cached_property
    def _model(self) -> Any:
        import torch

        from clir.encoding.head import linear_map
        from clir.encoding.transformer import load_transformer, reason

        _refuse_pickles(self.folder)
        # sentence-transformers would draw what a transformer lacks at random: here they are loaded to be checked alone.
        for name, check in (("Transformer", load_transformer), ("Dense", linear_map)):
            for folder in self._folders(name):
                check(folder)
        from sentence_transformers import SentenceTransformer

        try:
            return SentenceTransformer(
                str(self.folder), device=self.device, local_files_only=True, trust_remote_code=False,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )  # fmt: skip
        # Each kind of module raises errors of its own for files that are not what it expects.
        except Exception as error:
            raise ClirError(f"cannot load the model in {self.folder}: {reason(error)}") from error

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return int(self._model.get_embedding_dimension())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it; nothing that clir can tell."""
        return ()

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) float32 vectors of queries."""
        return self._encode(self._model.encode_query, texts, "query")

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) float32 vectors of documents."""
        return self._encode(self._model.encode_document, texts, "document")

    def fingerprint(self, side: Side) -> str:
        """Digest of all files of the folder."""
        from clir.encoding.fingerprint import fingerprint_of_files

        _refuse_pickles(self.folder)
        return fingerprint_of_files(self.folder)

    def _encode(self, encode: Any, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        from clir.encoding.transformer import reason

        # A lone surrogate (broken JSON escapes) cannot be tokenised.
        readable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        # What is cut after a Normalize would not be of unit length, and inner products then no cosines.
        last = [module.name for module in self._modules(side)][-1:]
        again = self._model.truncate_dim is not None and last == ["Normalize"]
        options = {"batch_size": self.batch_size or BATCH_SIZE, "show_progress_bar": False}
        try:
            with autocast(self.device, self.precision):
                vectors = encode(readable, normalize_embeddings=again, **options)
        except (IndexError, RuntimeError, ValueError) as error:
            raise ClirError(
                f"{self.name} cannot read these texts, says sentence-transformers: {reason(error)}"
            ) from error
        return np.asarray(vectors, dtype=np.float32)

    def _folders(self, name: str) -> list[Path]:
        """The folders of its modules of this name."""
        found = [module.folder for side in SIDES for module in self._modules(side) if module.name == name]
        return list(dict.fromkeys(found))

    def _modules(self, side: Side) -> list[Module]:
        try:
            return side_modules(self.folder, side)
        except UnsupportedModel:
            # A Router without this route: sentence-transformers has its own rules for it.
            return []


def _refuse_pickles(folder: Path) -> None:
    for pickled in folder.rglob("pytorch_model*.bin"):
        weight_files(pickled.parent)
