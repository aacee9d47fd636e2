"""Training of the speaker encoder: needs the extra ``train`` (PyTorch)."""
