"""Documents and topics from files: what other packages and people's programs import."""

from clir.corpora.documents import count_documents, document_files, document_of, read_documents
from clir.corpora.topic_records import field_name
from clir.corpora.topics import read_topics

__all__ = ["count_documents", "document_files", "document_of", "field_name", "read_documents", "read_topics"]
