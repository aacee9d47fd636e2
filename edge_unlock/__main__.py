"""The ``edge-unlock`` command, and ``python -m edge_unlock``, from its first moment on.

Nothing slow is imported at the top: Ctrl-C must find somebody who expects it.
"""

import os


def main() -> None:
    """Load the command and run it; Ctrl-C while it loads ends it as it does later."""
    # before numpy loads: between blocks of silence the others of its threads would spin, on a core
    # of their own, and what we multiply is too small to be shared among them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from edge_unlock.secrecy import refuse_dumps  # noqa: PLC0415

        refuse_dumps()
        from edge_unlock.cli import main as command  # noqa: PLC0415
        from edge_unlock.cli.streams import prepared  # noqa: PLC0415

        with prepared():
            command(prog_name="edge-unlock")
    except KeyboardInterrupt:
        raise SystemExit("Aborted!") from None  # the words and the status 1 of click


if __name__ == "__main__":
    main()
