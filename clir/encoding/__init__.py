"""Texts to vectors: towers read from model folders, encoders for search, and Pyserini's query encoder."""
