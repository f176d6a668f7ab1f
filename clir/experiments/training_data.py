"""The sentence pairs of a training: read, cleaned, and free of what will be tested on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clir.corpora.bitext import Pair, Report, parse_specs, read_bitext_with_report
from clir.corpora.cleaning import clean, remove_leaks
from clir.corpora.held_out import held_out_texts
from clir.support.errors import UsageError
from clir.support.files import atomic_file, check_output

Reports = dict[str, Report]
"""What each step, in its order, kept and dropped; and, under TEXT, what was mended in the text that was read."""
TEXT = "text"


def training_pairs(
    specs: Sequence[str],
    language_codes: Sequence[str] = (),
    *,
    held_out: Sequence[str] = (),
    cleaning: bool = True,
    language_guess: bool = True,
    dropped: str | Path | None = None,
) -> tuple[list[Pair], Reports]:
    """The pairs of the bitext `specs` and, by step, how many were kept and dropped for which reason.

    Under `text` stands how many had escapes, tags and the like (`Report.mended`), if any.
    `language_guess` is a part of the `cleaning`. `held_out` are ids of collections, or files: pairs with
    a side that is, or nearly is, one of their topics (in any language) or a sentence of their documents
    are removed. `dropped` is a file to write what was dropped to (`write_dropped`).
    Raises UsageError if nothing is left; the file is written even then.
    """
    if dropped is not None:
        sources = parse_specs(specs, language_codes)
        check_output(dropped, [path for source in sources for path in source.paths], "--dropped")
    pairs, read = read_bitext_with_report(specs, language_codes)
    reports: Reports = {"read": read}
    if read.mended:
        reports[TEXT] = Report(read.mended)
    if cleaning:
        pairs, reports["cleaning"] = clean(pairs, language_guess=language_guess)
    if held_out:
        pairs, reports["leakage"] = remove_leaks(pairs, held_out_texts(held_out))
    if dropped is not None:
        write_dropped(reports, dropped)
    if not pairs:
        raise UsageError("no sentence pair is left after reading and cleaning the bitext")
    return pairs, reports


def write_dropped(reports: Reports, path: str | Path) -> None:
    """All dropped pairs as a table, in the order of the steps: reason, language, english, foreign, under a header.

    Tabs and line ends do not occur in the sides of a pair. The file can be read again as bitext
    (`sw=FILE.tsv:english,foreign`). It appears whole or not at all.
    """
    with atomic_file(path, "w") as handle:
        handle.write("reason\tlanguage\tenglish\tforeign\n")
        for report in reports.values():
            for reason, pair in report.dropped:
                handle.write(f"{reason}\t{pair.language}\t{pair.english}\t{pair.foreign}\n")
