"""What keeps keys and templates in memory from reaching the disk, or another process.

Of swap this says nothing: encrypt it, or have none.
"""

import ctypes
import resource
from contextlib import suppress

PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def refuse_dumps() -> None:
    """Ask the system for no core dump of this process, nor let others of its user trace it.

    The limit alone would not keep a crash from a program that core(5) pipes to. Where the
    system knows neither, nothing is said: it is a second line. Children get the limit, too, and
    may raise it again.
    """
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with suppress(OSError, AttributeError):  # of a C library without prctl
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
