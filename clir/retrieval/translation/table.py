"""Translation tables: words with their translations and probabilities, learned from bitext, kept as text."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from clir.corpora.bitext import Pair
from clir.corpora.languages import language as canonical
from clir.corpora.languages import same_language
from clir.corpora.tables import is_quoted, unquoted
from clir.retrieval.translation.model1 import ITERATIONS, Floats, Integers, Model1, learn_model1
from clir.retrieval.translation.words import keyed, keys
from clir.support.compression import packing, without_ending
from clir.support.errors import ClirError, UsageError
from clir.support.files import atomic_file, open_text
from clir.support.manifest import manifest_beside, manifest_path, read_manifest

KIND = "translation table"
HEADER = ("source", "target", "probability")
ENDING = ".tsv"
"""How a table's name ends; behind it may stand how the file is compressed."""
# A translation that is less likely than this is not kept, nor are more than this many of a word.
THRESHOLD = 1e-4
MOST = 64
# Pairs with a longer side than this teach little about words, and take the most time.
LONGEST = 100


class Alternative(NamedTuple):
    """A translation of a word, and its probability."""

    word: str
    probability: float


@dataclasses.dataclass(frozen=True, eq=False)
class TranslationTable:
    """Translations of words of one language into another; words are in lower case, as `words.keys` cuts them.

    `frame` has the columns source, target (String) and probability (Float64), sorted by source, then by falling
    probability, then by target; no pair twice, 0 < probability <= 1. `about` is what its manifest says.
    """

    frame: pl.DataFrame
    source: str
    target: str
    about: Mapping[str, Any]

    def __len__(self) -> int:
        """How many words have translations."""
        return len(self._rows)

    def __contains__(self, word: str) -> bool:
        return word in self._rows

    def __getitem__(self, word: str) -> list[Alternative]:
        """The translations of `word` (in lower case), the most probable first; none of a word that is not known."""
        begin, end = self._rows.get(word, (0, 0))
        return self._alternatives[begin:end]

    @functools.cached_property
    def _alternatives(self) -> list[Alternative]:
        """Every row without its source."""
        return [Alternative(*row) for row in self.frame.select("target", "probability").iter_rows()]

    @functools.cached_property
    def _rows(self) -> dict[str, tuple[int, int]]:
        """The words, and where each one's translations begin and end."""
        runs = self.frame["source"].rle().struct.unnest()
        ends = runs["len"].cum_sum().to_list()
        return {word: bounds for word, bounds in zip(runs["value"], zip([0, *ends], ends, strict=False), strict=True)}


def learn_table(
    pairs: Sequence[Pair],
    *,
    from_english: bool = False,
    iterations: int = ITERATIONS,
    symmetric: bool = True,
    threshold: float = THRESHOLD,
    most: int = MOST,
) -> TranslationTable:
    """A table from the foreign language of `pairs` into English, or `from_english` into it, by IBM Model 1.

    `symmetric`: probabilities are the geometric mean of p(target | source) and p(source | target), divided by its
    sum over a source word's translations (of the product instead: Wang and Oard, "Combining bidirectional
    translation and synonymy for cross-language information retrieval", SIGIR 2006); otherwise p(target | source)
    alone. Translations below `threshold` and beyond the `most` probable ones of a word are left out, and the rest is
    not scaled up. Pairs with a side of more than 100 words are passed over.

    Raises UsageError if there are no pairs, if they are of several languages, or if no word is left.
    """
    languages = sorted({pair.language for pair in pairs})
    if len(languages) != 1:
        raise UsageError(f"a translation table is learned from pairs of one language, not {len(languages)}")
    split = [(keys(pair.foreign), keys(pair.english)) for pair in pairs]
    split = [sides for sides in split if max(map(len, sides)) <= LONGEST]
    source, target = [one for one, _ in split], [other for _, other in split]
    names = (languages[0], "en")
    if from_english:
        source, target, names = target, source, ("en", languages[0])
    forward = learn_model1(source, target, iterations=iterations)
    sources, targets, probabilities = _without_null(forward)
    likelihoods = {"p(target | source)": forward.log_likelihoods}
    if symmetric:
        backward = learn_model1(target, source, iterations=iterations)
        likelihoods["p(source | target)"] = backward.log_likelihoods
        probabilities = np.sqrt(probabilities * _turned(backward))
        probabilities /= np.bincount(sources, probabilities)[sources]
    frame = _kept(forward, sources, targets, probabilities, threshold, most)
    about = {
        "kind": KIND,
        "source": names[0],
        "target": names[1],
        "method": learning(iterations, symmetric, threshold, most),
        "log likelihoods": likelihoods,
        "data": {"pairs": len(pairs), "pairs sha256": pairs_digest(pairs)},
        "words": frame["source"].n_unique(),
        "translations": len(frame),
    }
    return TranslationTable(frame, *names, about)


def learning(
    iterations: int = ITERATIONS, symmetric: bool = True, threshold: float = THRESHOLD, most: int = MOST
) -> dict[str, Any]:
    """What a manifest says of how a table is learned."""
    return {
        "model": "IBM Model 1", "iterations": iterations, "symmetric": symmetric, "threshold": threshold,
        "most": most, "longest": LONGEST,
    }  # fmt: skip


def _without_null(model: Model1) -> tuple[Integers, Integers, Floats]:
    """The table's rows but for those of the empty word, which has no place in a query."""
    rows = model.sources > 0
    return model.sources[rows], model.targets[rows], model.probabilities[rows]


def _turned(backward: Model1) -> Floats:
    """The other direction's probabilities in the order of this direction's rows: the same words met."""
    targets, sources, probabilities = _without_null(backward)
    return probabilities[np.lexsort((targets, sources))]


def _kept(
    model: Model1, sources: Integers, targets: Integers, probabilities: Floats, threshold: float, most: int
) -> pl.DataFrame:
    likely = probabilities >= threshold
    frame = pl.DataFrame(
        {
            "source": pl.Series(model.source_words, dtype=pl.String).gather(sources[likely]),
            "target": pl.Series(model.target_words, dtype=pl.String).gather(targets[likely]),
            "probability": probabilities[likely],
        }
    )
    frame = _sorted(frame).filter(pl.int_range(pl.len()).over("source") < most)
    if frame.is_empty():
        raise UsageError(f"no translation has a probability of {threshold} or more: there is no table")
    return frame


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("source", "probability", "target", descending=[False, True, False])


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """A checksum of the pairs in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps(pair).encode("ascii") + b"\n")
    return digest.hexdigest()


def write_table(table: TranslationTable, path: str | Path) -> None:
    """Write `table` as lines `source<TAB>target<TAB>probability` under a header, and its manifest beside it.

    `path` ends in .tsv, or in .tsv.gz or another way of compression. Both appear whole or not at all.
    """
    if not _is_named_like_table(path):
        raise UsageError(f"{path}: a translation table is a .tsv or .tsv.gz file")
    text = table.frame.write_csv(separator="\t", quote_style="never").encode("utf-8")
    with manifest_beside(path, **table.about), atomic_file(path) as handle, packing(handle, path) as packed:
        packed.write(text)


def _is_named_like_table(path: str | Path) -> bool:
    return without_ending(path).lower().endswith(ENDING)


def is_table(path: str | Path) -> bool:
    """Whether `path` is a file whose first line is a translation table's header."""
    return _first_line(path) == HEADER


def lacks_header(path: str | Path) -> bool:
    """Whether `path` is a file that begins like a table of probabilities, but without the header."""
    first = _first_line(path)
    try:
        return len(first) == len(HEADER) and 0 < float(first[2]) <= 1
    except ValueError:
        return False


def _first_line(path: str | Path) -> tuple[str, ...]:
    """The cells of the first line of a file that is named like a table; none of any other."""
    if not os.path.isfile(path) or not _is_named_like_table(path):
        return ()
    with open_text(path, "translation table") as lines:
        return _cells(lines.readline(), quoted=True)


def _cells(line: str, *, quoted: bool) -> tuple[str, ...]:
    cells = line.rstrip("\r\n").split("\t")
    return tuple(unquoted(cell) if quoted else cell for cell in cells)


def _is_quoted(path: str | Path) -> bool:
    """Whether the cells of a table are in quotes, as CSV has them: its header's are, or some show it."""
    with open_text(path, "translation table") as lines:
        return next(lines, "").startswith('"') or is_quoted(lines)


def read_table(path: str | Path, source: str, target: str = "en") -> TranslationTable:
    """The table from the language `source` into `target` in the file `path`, clir's or of anyone's making.

    The first line is the header `source<TAB>target<TAB>probability`. Words are looked up in lower case.
    Raises UsageError if the file is missing or its manifest names other languages; ClirError with file and line
    for a line without its three columns, an empty word, a probability that is not above 0 and at most 1, and a
    pair that is there twice.
    """
    about: dict[str, Any] = read_manifest(path) if manifest_path(path).is_file() else {}
    source, target = canonical(source), canonical(target)
    for role, asked in (("source", source), ("target", target)):
        said = about.get(role)
        if said is not None and not same_language(said, asked):
            made = f"from {about['source']} to {about['target']}"
            raise UsageError(f"{path} translates {made}, not from {source!r} to {target!r}")
    quoted = os.path.isfile(path) and _is_quoted(path)
    rows: list[tuple[str, str, float]] = []
    seen: set[tuple[str, str]] = set()
    with open_text(path, "translation table") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                _check_header(_cells(line, quoted=quoted), path)
                continue
            row = _row(_cells(line, quoted=quoted), f"{path}:{number}")
            if row[:2] in seen:
                raise ClirError(f"{path}:{number}: {row[0]} with the translation {row[1]} is there twice")
            seen.add(row[:2])
            rows.append(row)
    if not rows:
        raise ClirError(f"{path} has no translations")
    frame = pl.DataFrame(rows, schema=dict(zip(HEADER, (pl.String, pl.String, pl.Float64), strict=True)), orient="row")
    return TranslationTable(_sorted(frame), source, target, about)


def _check_header(cells: tuple[str, ...], path: str | Path) -> None:
    if cells != HEADER:
        raise ClirError(f"{path}:1: the first line of a translation table is: {', tab, '.join(HEADER)}")


def _row(columns: tuple[str, ...], where: str) -> tuple[str, str, float]:
    if len(columns) != len(HEADER) or not columns[0].strip() or not columns[1].strip():
        raise ClirError(f"{where}: a line of a translation table is: {', tab, '.join(HEADER)}")
    try:
        probability = float(columns[2])
    except ValueError as error:
        raise ClirError(f"{where}: the probability {columns[2]!r} is not a number") from error
    if not 0 < probability <= 1:
        raise ClirError(f"{where}: the probability {columns[2]} is not above 0 and at most 1")
    # As the words of a text are looked up.
    return keyed(columns[0]), columns[1], probability
