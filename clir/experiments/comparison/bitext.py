"""The sentence pairs of a comparison: cleaned and freed of every collection's text once, then kept."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clir.corpora.bitext import Pair, parse_specs
from clir.corpora.languages import language
from clir.distillation.validation import BITEXT
from clir.experiments.comparison.plan import Plan
from clir.experiments.training_data import training_pairs
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_file, sha256_of_file
from clir.support.manifest import read_manifest, write_manifest

# By step of the cleaning, how many pairs were kept and dropped for which reason.
Reports = dict[str, dict[str, int]]
KEPT = "bitext.jsonl.gz"


def comparison_pairs(plan: Plan, folder: Path) -> tuple[list[Pair], Reports]:
    """The pairs that all students of `plan` learn from, and what was dropped of the bitext; kept in `folder`.

    Read again where the files, the cleaning or the collections are others than when they were kept. Raises
    UsageError if a language of the plan has no pairs.
    """
    kept = folder / KEPT
    key = bitext_key(plan)
    made = _made(kept)
    if made.get("key") == key:
        return read_kept(kept), made["pairs by step"]
    pairs, found = training_pairs(plan.bitext, held_out=_held_out(plan), cleaning=plan.cleaning)
    reports = {step: dict(report) for step, report in found.items()}
    if plan.languages is not None:
        pairs = _only(pairs, [language(code) for code in plan.languages])
        reports["languages"] = {"kept": len(pairs)}
    with atomic_file(kept) as handle, gzip.GzipFile("", "wb", fileobj=handle, mtime=0) as packed:
        for pair in pairs:
            packed.write(json.dumps(list(pair), ensure_ascii=False).encode() + b"\n")
    write_manifest(kept, kind="bitext", key=key, **{"pairs by step": reports})
    return pairs, reports


def check_bitext(plan: Plan) -> None:
    """Raise UsageError for bitext that is not there or has no language, and for languages that it does not have."""
    found = {source.language for source in parse_specs(plan.bitext, [])}
    for code in plan.languages or ():
        if language(code) not in found:
            raise UsageError(f"languages: the bitext has no pairs of {language(code)}")


def kept_reports(folder: Path) -> Reports:
    """What was dropped of the pairs that lie in `folder`; empty if none do."""
    return dict(_made(folder / KEPT).get("pairs by step", {}))


def _held_out(plan: Plan) -> list[str]:
    """The collections that are reported, and the one that training stops by."""
    by = (plan.training.get("early_stopping") or {}).get("by", BITEXT)
    return list(dict.fromkeys([*plan.collections, *([] if by == BITEXT else [by])]))


def _only(pairs: Sequence[Pair], languages: Sequence[str]) -> list[Pair]:
    for code in languages:
        if not any(pair.language == code for pair in pairs):
            raise UsageError(f"languages: the bitext has no pairs of {code}")
    return [pair for pair in pairs if pair.language in languages]


def bitext_key(plan: Plan) -> str:
    """SHA-256 of what the pairs of a comparison come from: files, languages, cleaning, and what is held out."""
    return _key(plan.bitext, plan.languages, plan.cleaning, tuple(sorted(_held_out(plan))))


@functools.cache
def _key(specs: tuple[str, ...], languages: tuple[str, ...] | None, cleaning: bool, held_out: tuple[str, ...]) -> str:
    files = [
        [source.language, [sha256_of_file(path) for path in source.paths], source.columns]
        for source in parse_specs(specs)
    ]
    return hashlib.sha256(json.dumps([files, languages, cleaning, held_out]).encode("ascii")).hexdigest()


def _made(kept: Path) -> Mapping[str, Any]:
    try:
        return read_manifest(kept) if kept.exists() else {}
    except ClirError:
        return {}


def read_kept(kept: Path) -> list[Pair]:
    """The pairs that a comparison kept, from its `bitext.jsonl.gz`."""
    with gzip.open(kept, "rt", encoding="utf-8") as handle:
        return [Pair(*json.loads(line)) for line in handle]
