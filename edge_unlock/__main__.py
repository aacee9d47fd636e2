"""``python -m edge_unlock`` is the ``edge-unlock`` command."""

from edge_unlock.cli import main

main(prog_name="edge-unlock")
