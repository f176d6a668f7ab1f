"""Documents, topics and bitext: readers, the collections known by an id, downloads, cleaning, the demo collection."""
