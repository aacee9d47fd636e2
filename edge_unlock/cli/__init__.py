"""The ``edge-unlock`` command: wires the modules together and prints what they say."""

from edge_unlock.cli.main import main

__all__ = ["main"]
