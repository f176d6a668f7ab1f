"""A trained student as one sentence-transformers folder: queries through the student, documents through the teacher."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib.metadata
import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from clir.distillation.start import tower_encoder
from clir.encoding.encoder import TowerEncoder, load_encoder, token_encoder
from clir.encoding.folder import SIDES, Side, read_folder
from clir.encoding.quiet import quiet_transformers
from clir.encoding.tokenizer import tokenizer_files
from clir.encoding.tower import Tower, load_tower
from clir.encoding.trimming import Unseen, transformers_tokenizer, trim
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_folder, cache_root, scratch_folder, write_json
from clir.support.manifest import manifest_path, read_manifest, write_manifest

# Read back after saving: a folder that gives other vectors than the trained model must not appear.
PROBES = ("How far is it to the next town?", "maji", "3,5 kg")
TOLERANCE = 1e-4


def save_student(tower: Tower, start: TowerEncoder, teacher: TowerEncoder, output: Path) -> None:
    """Write the student `tower`, which began as the query side of `start`, with the teacher's document side.

    The folder is a sentence-transformers model with a Router: `encode_query` and `encode_document`
    take their own tower. Of a model trained for late interaction it is a MultiVectorEncoder with a Router.
    Both sides are in float32, and have the tokenizer files of the models they come from, byte for byte (unless the
    student's vocabulary was trimmed). Raises ClirError if the folder, read back, does not give the same vectors, or
    would not be searched in the teacher's indexes.
    """
    quiet_transformers()
    if tower.spec.reading is not None:
        _save_token_student(tower, start, teacher, output)
    else:
        _save_sentence_student(tower, start, teacher, output)
    _take_tokenizer_over(tower, start, "query", output)
    _take_tokenizer_over(None, teacher, "document", output)
    _check(tower, start.spec("query").prompt, teacher, output)


def check_savable(tower: Tower, start: TowerEncoder, teacher: TowerEncoder, beside: Path) -> None:
    """Save the student as it is before its first step, read it back, and remove it: raises what `save_student` does.

    What was found to be in order once, for models of these fingerprints, is not tried again.
    """
    releases = [importlib.metadata.version(name) for name in ("transformers", "sentence-transformers")]
    models = [encoder.fingerprint(side) for encoder in (start, teacher) for side in SIDES]
    told = json.dumps([releases, models, tower.vocabulary, tower.dimension, tower.head is not None])
    entry = cache_root() / "savable" / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"
    if entry.exists():
        return
    device = next(tower.parameters()).device
    try:
        with scratch_folder(beside) as scratch:
            save_student(tower, start, teacher, scratch / "student")
    except ClirError as error:
        raise ClirError(f"{start.name} cannot be taught: {error}") from error
    finally:
        tower.to(device)
    with contextlib.suppress(ClirError):
        write_json(entry, {"student": start.name, "teacher": teacher.name})


def _save_sentence_student(tower: Tower, start: TowerEncoder, teacher: TowerEncoder, output: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    router = Router.for_query_document(
        query_modules=_query_modules(tower, start), document_modules=_modules(teacher, "document")
    )
    prompts = {"query": start.spec("query").prompt, "document": teacher.spec("document").prompt}
    SentenceTransformer(modules=[router], prompts=prompts, device="cpu").save(str(output), create_model_card=False)


def _save_token_student(tower: Tower, start: TowerEncoder, teacher: TowerEncoder, output: Path) -> None:
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Router

    document = _modules(teacher, "document")
    # Which tokens count, and their length, is said once for both sides, behind the Router.
    shared = [module for module in document if type(module).__name__ in ("MultiVectorMask", "Normalize")]
    router = Router.for_query_document(
        query_modules=[_query_transformer(tower, start), *_head_modules(tower)],
        document_modules=[module for module in document if module not in shared],
    )
    prompts = {"query": _leading(start, "query"), "document": _leading(teacher, "document")}
    MultiVectorEncoder(modules=[router, *shared], prompts=prompts, device="cpu").save(
        str(output), create_model_card=False
    )


def trim_student(
    folder: str | Path, texts: Iterable[str], output: str | Path, unseen: Unseen = "characters"
) -> dict[str, int]:
    """Write the model in `folder` to `output` with its query side trimmed to the vocabulary of `texts`.

    Its document side stays whole. `texts` and `unseen` are those of `clir.encoding.trimming.trim`, whose
    report is given back and stands in the manifest, beside the one of `folder`. Raises UsageError if something
    stands at `output` already or the tokenizer cannot be trimmed, ClirError if the written folder gives other
    vectors.
    """
    folder, output = Path(folder), Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"{output} exists: choose another output, or remove it")
    start = tower_encoder(str(folder))
    trimmed = trim(load_tower(start.spec("query")), texts, unseen=unseen)
    with atomic_folder(output) as partial:
        save_student(trimmed.tower, start, start, partial)
        saved = load_encoder(str(partial))
        write_manifest(
            partial,
            kind="student",
            vocabulary=trimmed.report(),
            fingerprints={side: saved.fingerprint(side) for side in SIDES},
            **{"trimmed from": read_manifest(folder) if manifest_path(folder).exists() else str(folder)},
        )
    return trimmed.report()


def _take_tokenizer_over(tower: Tower | None, model: TowerEncoder, side: Side, output: Path) -> None:
    """Put the tokenizer files of a side of `model` in place of those written for it, and say what they do not.

    The library writes a tokenizer as it has built it: another file, and without what it was built from. A `tower`
    with a vocabulary of its own keeps what was written, as does a model with a marker before its texts, which
    sentence-transformers has to know as a token.
    """
    saved, source = read_folder(output, side).transformer, model.spec(side)
    limit = {"max_seq_length": source.max_tokens} if source.reading is None else {}
    lower = {"do_lower_case": True} if source.lower_case else {}
    settings = saved / "sentence_bert_config.json"
    write_json(settings, _json(settings) | limit | lower)
    trimmed = tower is not None and tower.vocabulary != _json(source.transformer / "config.json").get("vocab_size")
    if trimmed or (source.reading is not None and source.reading.prefix):
        return
    for path in tokenizer_files(saved):
        path.unlink()
    for path in tokenizer_files(source.transformer):
        shutil.copyfile(path, saved / path.name)


def _json(path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return settings


def _query_modules(tower: Tower, start: TowerEncoder) -> list[Any]:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    modules = [_query_transformer(tower, start), *_head_modules(tower)]
    pooling = Pooling(tower.dimension, pooling_mode=tower.spec.pooling, include_prompt=tower.spec.pool_prompt)
    return [*modules, pooling, *([Normalize()] if tower.spec.normalize else [])]


def _head_modules(tower: Tower) -> list[Any]:
    """The tower's head as sentence-transformers has it."""
    from sentence_transformers.sentence_transformer.modules import Dense

    head = tower.head
    if head is None:
        return []
    return [
        Dense(
            head.in_features,
            head.out_features,
            bias=head.bias is not None,
            activation_function=None,
            init_weight=head.weight.detach(),
            init_bias=None if head.bias is None else head.bias.detach(),
            module_input_name="token_embeddings",
        )
    ]


def _query_transformer(tower: Tower, start: TowerEncoder) -> Any:
    """The start's own transformer module with the tower's weights, and with its tokenizer where that was trimmed."""
    transformer = _modules(start, "query")[0]
    if transformer.auto_model.config.vocab_size == tower.vocabulary:
        transformer.auto_model.load_state_dict(tower.transformer.state_dict())
    else:
        transformer.model = copy.deepcopy(tower.transformer).cpu().float()
        transformer.processor = transformers_tokenizer(tower, transformer.tokenizer)
    return transformer


def _modules(encoder: TowerEncoder, side: Side) -> list[Any]:
    """sentence-transformers' own modules of one side of a model folder, newly loaded."""
    model = _model(encoder)
    modules: list[Any] = []
    for module in model.children():
        modules.extend(module.sub_modules[side] if type(module).__name__ == "Router" else [module])
    return modules


def _model(encoder: TowerEncoder) -> Any:
    import torch
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

    # That it reads a folder of PyLate's as its own kind of model is what is wanted, and no warning.
    logging.getLogger("sentence_transformers.base.model").setLevel(logging.ERROR)
    kind = SentenceTransformer if encoder.spec("query").reading is None else MultiVectorEncoder
    # A model kept in half precision is computed, taught and saved in float32.
    precision = {"dtype": torch.float32}
    return kind(str(encoder.folder), device="cpu", local_files_only=True, model_kwargs=precision).float()


def _check(tower: Tower, prompt: str, teacher: TowerEncoder, output: Path) -> None:
    saved = load_encoder(str(output))
    tower = tower.cpu().eval()
    import torch

    with torch.inference_mode():
        states = tower(tower.tokenize(PROBES, prompt))
    exact = TowerEncoder(teacher.name, teacher.folder)
    if tower.spec.reading is None:
        trained = states.sentence.numpy()
        wrong = {
            "query": _difference(saved.encode_queries(PROBES), trained),
            "document": _difference(saved.encode_documents(PROBES), exact.encode_documents(PROBES)),
        }
    else:
        tokens = token_encoder(saved)
        unit = torch.nn.functional.normalize(states.tokens, dim=-1) if tower.spec.reading.normalize else states.tokens
        wrong = {
            "query": _difference(tokens.encode_query_tokens(PROBES).values, unit[states.mask].numpy()),
            "document": _difference(
                tokens.encode_document_tokens(PROBES).values, exact.encode_document_tokens(PROBES).values
            ),
        }
    for side, difference in wrong.items():
        if not difference <= TOLERANCE:
            raise ClirError(
                f"the saved student's {side} side differs by {difference:.2g} from the trained one: it is not kept"
            )
    if saved.fingerprint("document") != teacher.fingerprint("document"):
        raise ClirError(
            f"the saved student would not be searched in the indexes of {teacher.name}: sentence-transformers writes "
            "its document side otherwise (weights, configuration or tokenizer)"
        )


def _leading(encoder: TowerEncoder, side: Side) -> str:
    """What stands before a text: sentence-transformers writes a marker as the beginning of the prompt."""
    spec = encoder.spec(side)
    return (spec.reading.prefix if spec.reading else "") + spec.prompt


def _difference(found: Any, expected: Any) -> float:
    """The greatest difference between two arrays, of the largest number where that is above 1; infinite where their
    shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))
