"""The embedded demo collection."""
