"""The fingerprint of a stream of documents, by which an index is known to hold them."""

from __future__ import annotations

import hashlib
import json

from clir.corpora.collection import Document


def chained_digest(earlier: str, document: Document) -> str:
    """The digest (hexadecimal SHA-256) of the documents whose digest was `earlier` ("" for none) and `document`.

    Depends on docids, contents and order; it can go on from any document, so that resumed work has it too.
    """
    line = json.dumps([earlier, document.docid, document.contents]).encode("ascii")
    return hashlib.sha256(line).hexdigest()
