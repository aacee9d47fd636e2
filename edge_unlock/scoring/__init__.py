"""From embeddings to decisions: whose voice it is, and how sure that is."""
