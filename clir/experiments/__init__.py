"""From a collection and a model to runs and scores: indexes are built or reused, topics searched, runs scored."""
