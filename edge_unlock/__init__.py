"""Offline voice unlock: ``Encoder`` turns speech into speaker embeddings."""

from edge_unlock.encoder import Encoder

__all__ = ["Encoder"]
