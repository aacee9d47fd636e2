import errno
import logging
import os
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
