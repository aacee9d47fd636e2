import os
import signal

import pytest

from edge_unlock.service.ending import SIGNALS, Ending


@pytest.fixture(autouse=True)
def signals_end_programs():
    """Whoever started the tests may have had signals ignored (nohup)."""
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def test_the_first_signal_ends_and_later_ones_break_off_nothing():
    with Ending() as ending:
        ending.check()
        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGHUP)
        assert ended.value.code == 129
        os.kill(os.getpid(), signal.SIGTERM)  # while it puts things in order
        os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_end_that_was_dropped_comes_again():
    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    with Ending() as ending, pytest.raises(SystemExit) as ended:
        Dropping()  # Python drops what is raised here
        ending.check()
    assert ended.value.code == 143


def test_before_and_after_signals_do_what_they_did():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Ending() as ending:
        assert [signal.getsignal(number) for number in SIGNALS] != before
    ending.close()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Ending():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
