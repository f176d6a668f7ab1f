"""Records out of XML, streaming: the elements of one name, one after the other, with entities refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from clir.support.compression import BrokenCompression, open_unpacked
from clir.support.errors import ClirError

# Of a tag or comment that is not whole the parser reads all again with every block that comes.
MARKUP = 1 << 20


def xml_records(path: Path, name: str) -> Iterator[Element]:
    """The elements of `name`, whatever their namespace, of a file, compressed or not; each is forgotten after its turn.

    Raises ClirError for XML that is broken (with its line), declares entities, has markup without end, or cannot be
    decoded.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, iterparse

    try:
        with open_unpacked(path) as handle:
            parents: list[Element] = []
            # A DOCTYPE is usual in TMX and TEI, and harmless as long as it brings no entity.
            parser = DefusedXMLParser(target=TreeBuilder(), forbid_dtd=False)
            for event, element in iterparse(_Watched(path, handle, parser.parser), ("start", "end"), parser):
                if event == "start":
                    parents.append(element)
                    continue
                parents.pop()
                if local_name(element) == name:
                    yield element
                    if parents:
                        parents[-1].remove(element)
    except ParseError as error:
        raise ClirError(f"{path}:{error.position[0]}: broken XML: {error}") from error
    except DefusedXmlException as error:
        raise ClirError(f"{path}: XML with entities or external references is refused: {error}") from error
    except (LookupError, UnicodeError, BrokenCompression) as error:
        raise ClirError(f"{path} cannot be read as XML: {error}") from error


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


class _Watched:
    """A file that is read as long as its parser keeps up."""

    def __init__(self, path: Path, handle: IO[bytes], parser: Any) -> None:
        self._path, self._handle, self._parser, self._given = path, handle, parser, 0

    def read(self, size: int = -1, /) -> bytes:
        if self._given - self._parser.CurrentByteIndex > MARKUP:
            raise ClirError(f"{self._path}:{self._parser.CurrentLineNumber}: broken XML: a tag or comment without end")
        data = self._handle.read(size)
        self._given += len(data)
        return data
