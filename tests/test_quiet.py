import errno
import logging
import os
import subprocess
import sys
import threading

import pytest

from edge_unlock.quiet import quiet_stderr


def test_chatter_is_kept_for_debugging_and_our_own_stderr_survives(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    os.write(2, b"before\n")
    with pytest.raises(OSError), quiet_stderr():
        os.write(2, b"ALSA lib: chatter\n")
        raise OSError(errno.EBUSY, "busy")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"
    assert "ALSA lib: chatter" in caplog.messages


def test_quiet_from_several_threads(capfd: pytest.CaptureFixture[str]) -> None:
    def chat() -> None:
        for _ in range(50):
            with quiet_stderr():
                os.write(2, b"chatter\n")

    threads = [threading.Thread(target=chat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


CLOSED = """
import os, sys
for descriptor in {descriptors}:
    os.close(descriptor)
{more}
from edge_unlock.quiet import quiet_stderr
with quiet_stderr():
    os.listdir("/")
os.write(1, b"done") if 1 not in {descriptors} else None
"""


@pytest.mark.parametrize("descriptors", [(2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("more", ["", "sys.stderr.close()", "sys.stderr = None"])
def test_without_a_standard_error_there_is_nothing_to_divert(
    descriptors: tuple[int, ...], more: str
) -> None:
    program = CLOSED.format(descriptors=descriptors, more=more if 2 in descriptors else "")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout == (b"" if 1 in descriptors else b"done")
