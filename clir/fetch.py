"""`python -m clir.fetch`: bring the data of a collection to this machine, from upstream or a local copy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clir.support.command import Parser, run_door

EXAMPLES = """
python -m clir.fetch                          what there is, how large, under which licence, and whether it is here
python -m clir.fetch afriqa ntrex             from upstream, by HTTPS with checksums; run it again to go on
python -m clir.fetch afriqa --from ~/copies   from a local copy (the data set's folder or its parent)
"""


def parser() -> Parser:
    """The options of the door."""
    made = Parser("fetch", "Bring data sets to this machine; without a name, list them.", EXAMPLES)
    made.add_argument("names", nargs="*", metavar="NAME", help="a data set; without a name all are listed")
    made.add_argument("--from", dest="origin", metavar="DIR", type=Path, help="copy from there and use no network")
    made.add_argument(
        "--output", metavar="DIR", type=Path, help="where data sets lie (default: $CLIR_DATA, or a folder in ~/.cache)"
    )
    return made


def work(options: argparse.Namespace) -> None:
    """Fetch or list."""
    from clir.corpora import sources

    root = options.output or sources.data_root()
    if not options.names:
        _list(root)
        return
    for name in options.names:
        sources.source(name)
    for name in options.names:
        _bring(name, root, options.origin)


def _bring(name: str, root: Path, origin: Path | None) -> None:
    from clir.corpora import sources
    from clir.support.locks import alone
    from clir.support.manifest import write_manifest

    what = sources.source(name)
    with alone(root / name, "fetching into", wait=True):
        count = sources.copy(name, root, origin) if origin else sources.fetch(name, root)
        if count:
            write_manifest(
                root / name,
                data={
                    "what": what.what,
                    "licence": what.licence,
                    "repository": f"https://github.com/{what.repository}",
                    "revision": what.revisions[0],
                    "from": str(origin) if origin else "upstream",
                    "files": {file.path: {"sha256": file.sha256} for file in what.present(root)},
                },
            )
    print(f"{name}: {count} files fetched, {len(what.present(root))} of {len(what.files)} there, in {root / name}")
    if what.elsewhere:
        print(f"{name}: {what.elsewhere}")


def _list(root: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from clir.corpora import sources

    table = Table("name", "what", "size", "licence", "here")
    for name in sources.SOURCES:
        what = sources.source(name)
        there = len(what.present(root))
        here = "yes" if there == len(what.files) else f"{there} of {len(what.files)} files" if there else "no"
        table.add_row(name, what.what, f"{what.size / 1e6:.1f} MB", what.licence, here)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(f"data sets lie in {root}", soft_wrap=True, highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())
