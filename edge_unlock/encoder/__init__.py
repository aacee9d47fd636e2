"""From samples to embeddings, by a model package and what it says of its scores."""
