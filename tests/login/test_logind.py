"""Whose sessions are at this computer. A program stands in for loginctl, for logind runs nowhere
but on a whole system; what it prints is as loginctl(1) says."""

import pytest

from edge_unlock.errors import LoginError
from edge_unlock.login import logind

SESSION = "0::/user.slice/user-1000.slice/session-{}.scope\n"
TERMINAL = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-terminal.scope\n"
HYBRID = "4:memory:/\n1:name=systemd:/user.slice/user-1000.slice/session-{}.scope\n0::/\n"


@pytest.fixture
def sessions(tmp_path, monkeypatch):
    """Has loginctl know these sessions: whether each is remote; and that user 1000 has them."""
    program = tmp_path / "loginctl"
    monkeypatch.setattr(logind, "LOGINCTL", str(program))

    def know(**remote):
        cases = "".join(f'"show-session {s}") echo {r};;\n' for s, r in remote.items())
        names = " ".join(remote)
        program.write_text(
            "#!/bin/sh\n"
            '[ "$4" = --value ] || exit 1\n'
            f'case "$1 $2" in\n"show-user 1000") echo {names};;\n{cases}'
            f"*) echo \"Failed to get session: No session '$2' known\" >&2; exit 1;;\nesac\n"
        )
        program.chmod(0o755)

    return know


@pytest.mark.parametrize("cgroup", [SESSION, HYBRID])
def test_a_session_is_at_this_computer_or_over_a_network(sessions, cgroup):
    sessions(c2="no", s3="yes")
    logind.check_session(cgroup.format("c2"))
    with pytest.raises(LoginError, match="s3"):
        logind.check_session(cgroup.format("s3"))


def test_a_session_that_is_not_known_counts_as_one_over_a_network(sessions):
    sessions(c2="no")
    with pytest.raises(LoginError, match="s9"):
        logind.check_session(SESSION.format("s9"))


def test_a_terminal_of_a_desktop_may_belong_to_any_session_of_its_user(sessions):
    sessions(c2="no", c4="no")
    logind.check_session(TERMINAL)
    sessions(c2="no", s3="yes")
    with pytest.raises(LoginError, match="s3"):
        logind.check_session(TERMINAL)
    sessions()
    with pytest.raises(LoginError, match="has no session"):
        logind.check_session(TERMINAL)


@pytest.mark.parametrize("cgroup", ["0::/system.slice/gdm.service\n", "0::/\n", ""])
def test_what_belongs_to_nobodys_session_needs_no_logind(cgroup, monkeypatch):
    monkeypatch.setattr(logind, "LOGINCTL", "/nowhere")
    logind.check_session(cgroup)


def test_without_loginctl_no_session_is_at_this_computer(monkeypatch):
    monkeypatch.setattr(logind, "LOGINCTL", "/nowhere")
    with pytest.raises(LoginError, match="does not tell"):
        logind.check_session(SESSION.format("c2"))
