"""The sentence pairs of a training: read, cleaned, and free of what will be tested on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clir.corpora.bitext import Pair, read_bitext_with_report
from clir.corpora.cleaning import clean, remove_leaks
from clir.corpora.collection import Collection
from clir.corpora.registry import open_collection
from clir.support.errors import UsageError

Reports = dict[str, dict[str, int]]


def training_pairs(
    specs: Sequence[str], language_codes: Sequence[str] = (), *, held_out: Sequence[str] = (), cleaning: bool = True
) -> tuple[list[Pair], Reports]:
    """The pairs of the bitext `specs` and, by step, how many were kept and dropped for which reason.

    `held_out` are ids of collections: pairs with a side that is, or nearly is, one of their topics (in
    any language) or a sentence of their documents are removed. Raises UsageError if nothing is left.
    """
    pairs, read = read_bitext_with_report(specs, language_codes)
    reports: Reports = {"read": dict(read)}
    if cleaning:
        pairs, dropped = clean(pairs)
        reports["cleaning"] = dict(dropped)
    if held_out:
        pairs, leaked = remove_leaks(pairs, held_out_texts([open_collection(name) for name in held_out]))
        reports["leakage"] = dict(leaked)
    if not pairs:
        raise UsageError("no sentence pair is left after reading and cleaning the bitext")
    return pairs, reports


def held_out_texts(collections: Iterable[Collection]) -> Iterator[str]:
    """Topics in every language, and documents; documents that collections share come once."""
    seen: set[str] = set()
    for collection in collections:
        for language in collection.topic_languages:
            yield from (topic.text for topic in collection.topics(language))
        for document in collection.documents():
            if document.contents not in seen:
                seen.add(document.contents)
                yield document.contents
