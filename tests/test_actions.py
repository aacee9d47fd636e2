import sys
import time

import pytest

from edge_unlock.actions import Command
from edge_unlock.errors import ActionError
from edge_unlock.recognizer import Decision

ACCEPTED = Decision(decision="accepted", user="alice; rm -rf /", score=0.7, threshold=0.5)


def test_the_command_gets_its_arguments_as_they_are_and_learns_who_it_was(tmp_path):
    out = tmp_path / "out"
    script = (
        "import os,sys; open(sys.argv[1],'w').write("
        "'|'.join([sys.argv[2], os.environ['EDGE_UNLOCK_USER'], os.environ['EDGE_UNLOCK_SCORE'],"
        " sys.stdin.read()]))"
    )
    Command([sys.executable, "-c", script, str(out), "$HOME `id` ;"], timeout_s=20).run(ACCEPTED)
    assert out.read_text() == "$HOME `id` ;|alice; rm -rf /|0.7000|"


@pytest.mark.parametrize("decision", ["rejected", "retry", "locked out"])
def test_nothing_runs_but_on_an_acceptance(decision, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ActionError):
        Command(["touch", str(out)], timeout_s=5).run(Decision(decision=decision, score=0.9))
    assert not out.exists()


def test_a_missing_failing_or_hanging_command_is_an_error():
    with pytest.raises(ActionError, match="nowhere"):
        Command(["/nowhere/unlock"], timeout_s=5).run(ACCEPTED)
    with pytest.raises(ActionError, match="status 7"):
        Command([sys.executable, "-c", "raise SystemExit(7)"], timeout_s=20).run(ACCEPTED)
    start = time.monotonic()
    with pytest.raises(ActionError, match="stopped after"):
        Command(["sleep", "60"], timeout_s=0.2).run(ACCEPTED)
    assert time.monotonic() - start < 30
