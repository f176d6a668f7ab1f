"""Records out of XML, streaming: the elements of one name, one after the other, with entities refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from clir.support.errors import ClirError
from clir.support.unzipping import BROKEN, open_unzipped


def xml_records(path: Path, name: str) -> Iterator[Element]:
    """The elements of `name`, whatever their namespace, of a file, gzipped or not; each is forgotten after its turn.

    Raises ClirError for XML that is broken (with its line), declares entities, or cannot be decoded.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    try:
        with open_unzipped(path) as handle:
            parents: list[Element] = []
            # A DOCTYPE is usual in TMX and TEI, and harmless as long as it brings no entity.
            for event, element in iterparse(handle, events=("start", "end"), forbid_dtd=False):
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
    except (LookupError, UnicodeError, *BROKEN) as error:
        raise ClirError(f"{path} cannot be read as XML: {error}") from error


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
