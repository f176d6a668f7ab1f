"""A trained student as one sentence-transformers folder: queries through the student, documents through the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clir.encoding.encoder import TowerEncoder, load_encoder
from clir.encoding.folder import Side
from clir.encoding.quiet import quiet_transformers
from clir.encoding.tower import Tower
from clir.support.errors import ClirError

# Read back after saving: a folder that gives other vectors than the trained model must not appear.
PROBES = ("How far is it to the next town?", "maji", "3,5 kg")
TOLERANCE = 1e-4


def save_student(tower: Tower, start: TowerEncoder, teacher: TowerEncoder, output: Path) -> None:
    """Write the student `tower`, which began as the query side of `start`, with the teacher's document side.

    The folder is a sentence-transformers model with a Router: `encode_query` and `encode_document`
    take their own tower. Raises ClirError if the folder, read back, does not give the same vectors.
    """
    quiet_transformers()
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    router = Router.for_query_document(
        query_modules=_query_modules(tower, start), document_modules=_modules(teacher, "document")
    )
    prompts = {"query": start.spec("query").prompt, "document": teacher.spec("document").prompt}
    SentenceTransformer(modules=[router], prompts=prompts, device="cpu").save(str(output), create_model_card=False)
    _check(tower, prompts["query"], teacher, output)


def _query_modules(tower: Tower, start: TowerEncoder) -> list[Any]:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    transformer = _modules(start, "query")[0]
    transformer.auto_model.load_state_dict(tower.transformer.state_dict())
    modules = [transformer]
    if tower.head is not None:
        head = tower.head
        modules.append(
            Dense(
                head.in_features,
                head.out_features,
                bias=head.bias is not None,
                activation_function=None,
                init_weight=head.weight.detach(),
                init_bias=None if head.bias is None else head.bias.detach(),
                module_input_name="token_embeddings",
            )
        )
    pooling = Pooling(tower.dimension, pooling_mode=tower.spec.pooling, include_prompt=tower.spec.pool_prompt)
    return [*modules, pooling, *([Normalize()] if tower.spec.normalize else [])]


def _modules(encoder: TowerEncoder, side: Side) -> list[Any]:
    """sentence-transformers' own modules of one side of a model folder, newly loaded."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(encoder.folder), device="cpu", local_files_only=True)
    modules: list[Any] = []
    for module in model.children():
        modules.extend(module.sub_modules[side] if type(module).__name__ == "Router" else [module])
    return modules


def _check(tower: Tower, prompt: str, teacher: TowerEncoder, output: Path) -> None:
    saved = load_encoder(str(output))
    tower = tower.cpu().eval()
    import torch

    with torch.inference_mode():
        trained = tower(tower.tokenize(PROBES, prompt)).sentence.numpy()
    exact = TowerEncoder(teacher.name, teacher.folder)
    wrong = {
        "query": np.abs(saved.encode_queries(PROBES) - trained).max(),
        "document": np.abs(saved.encode_documents(PROBES) - exact.encode_documents(PROBES)).max(),
    }
    for side, difference in wrong.items():
        if not difference <= TOLERANCE:
            raise ClirError(f"the saved student's {side} side differs by {difference:.2g} from the trained one")
