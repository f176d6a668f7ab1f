"""clir: teach a multilingual query encoder an English retriever's language, and prove what it is worth."""

__version__ = "0.1.0"
