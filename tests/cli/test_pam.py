"""Logins by voice, decided by Linux-PAM itself."""

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Installation, write_secret
from tests.pam_stack import NEEDED, PASSWORD, SERVICE, Account, Stack, is_possible
from tests.pulse import PulseServer

pytestmark = pytest.mark.skipif(not is_possible(), reason=NEEDED)

ALICE = Account("alice")
FALL_THROUGH = "auth required pam_unix.so nodelay"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, people):
    """Alice and Bob are enrolled, and their owner has a voice alone log them in."""
    installation = Installation(tmp_path_factory.mktemp("pam"))
    assert installation.run("init").exit_code == 0
    for name in ("alice", "bob"):
        assert installation.enroll(name, people[name][:4]).exit_code == 0
    accepted = installation.run("model", "accept", "--allow-sole-factor", "--yes")
    assert accepted.exit_code == 0, accepted.output
    return installation


@pytest.fixture
def installation(prepared, tmp_path):
    """A copy, for attempts are counted in it."""
    copy = Installation(tmp_path)
    shutil.copytree(prepared.home, copy.home)
    shutil.copytree(prepared.keys, copy.keys)
    config = copy.home / "config.toml"
    config.write_text(f'keyfile = "{copy.keyfile}"\n')
    config.chmod(0o600)
    return copy


@pytest.fixture
def stack():
    with Stack(ALICE, Account("bob", 1001), Account("carol", 1002)) as stack:
        yield stack


def line(stack, installation, *options, control="sufficient", set_up=""):
    """The line of deploy/pam."""
    command = stack.command("--home", installation.home, "pam", *options, set_up=set_up)
    return f"auth {control} pam_exec.so quiet stdout seteuid type=auth {' '.join(command)}"


def inputs(*paths):
    return [part for path in paths for part in ("--input", path)]


def test_the_voice_of_who_logs_in_is_enough(stack, installation, people):
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    answer = stack.log_in("alice", lines)
    assert answer.let_in and not answer.asked_for_password
    assert "Say a whole sentence for alice" in answer.shown
    assert "accepted: alice" in answer.shown
    assert "alice at edge-unlock-test: accepted" in answer.log


def test_another_voice_falls_through_to_the_password(stack, installation, people):
    lines = [line(stack, installation, *inputs(people["bob"][4])), FALL_THROUGH]
    for password in ("wrong", PASSWORD):
        answer = stack.log_in("alice", lines, password=password)
        assert answer.asked_for_password
        assert answer.let_in == (password == PASSWORD)
        assert "This voice is not recognized." in answer.shown
        assert "alice at edge-unlock-test: rejected" in answer.log


def test_three_tries_and_no_more(stack, installation, people):
    bob = people["bob"]
    three = inputs(bob[2], bob[3], bob[4])
    lines = [line(stack, installation, *three, *inputs(people["alice"][4])), FALL_THROUGH]
    answer = stack.log_in("alice", lines)
    assert not answer.let_in and answer.asked_for_password
    assert answer.shown.count("This voice is not recognized.") == 3
    lines = [line(stack, installation, *inputs(bob[2], people["alice"][4])), FALL_THROUGH]
    assert stack.log_in("alice", lines).let_in


def test_a_person_who_is_locked_out_is_not_heard(stack, installation, people):
    lines = [line(stack, installation, *inputs(*people["bob"][2:5])), FALL_THROUGH]
    logs = [stack.log_in("alice", lines).log for _ in range(2)]
    assert "rejected" in logs[0] and "locked out" in logs[1]
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    locked = stack.log_in("alice", lines)
    assert not locked.let_in and "locked out" in locked.shown and "locked out" in locked.log
    lines = [line(stack, installation, *inputs(people["bob"][4])), FALL_THROUGH]
    assert stack.log_in("bob", lines).let_in  # the lockout is not everybody's


def test_the_voice_of_another_who_is_enrolled_is_none(stack, installation, people):
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    answer = stack.log_in("bob", lines)
    assert not answer.let_in and "bob at edge-unlock-test: rejected" in answer.log


def test_who_is_enrolled_is_not_told(stack, installation, people):
    lines = [line(stack, installation, *inputs(*people["bob"][2:5])), FALL_THROUGH]
    told = [stack.log_in(name, lines).shown.replace(name, "NAME") for name in ("alice", "carol")]
    assert told[0] == told[1]
    assert told[0].count("This voice is not recognized.") == 3


REFUSED = "edge-unlock: error: a voice does not decide this login"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"items": ["rhost=door.example"]}, "PAM_RHOST is set"),
        ({"items": ["rhost=127.0.0.1"]}, "PAM_RHOST is set"),
        ({"items": ["tty=ssh"]}, "PAM_TTY is"),
        ({"items": ["tty=localhost:10.0"]}, "PAM_TTY is"),
        ({"items": ["ruser=a\x1b[2Jb"]}, "PAM_RUSER is no text"),
        ({"environment": ["SSH_CONNECTION=10.0.0.1 50000 10.0.0.2 22"]}, "SSH_CONNECTION is set"),
        ({"environment": ["SSH_TTY=/dev/pts/0"]}, "SSH_TTY is set"),
        ({"environment": ["EDGE_UNLOCK_MODEL=/tmp/model"]}, "--model comes from"),
        ({"environment": ["EDGE_UNLOCK_CONFIG=/tmp/config.toml"]}, "--config comes from"),
    ],
)
def test_a_login_over_a_network_or_of_a_strange_program_is_refused(
    stack, installation, people, how, reason
):
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    refused = stack.log_in("alice", lines, **how)
    assert not refused.let_in and refused.asked_for_password
    assert REFUSED in refused.shown and "Say" not in refused.shown
    assert reason in refused.log and reason not in refused.shown


def test_a_session_over_ssh_that_pam_does_not_tell_of_is_refused(stack, installation, people):
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    stack.be_in_session("3", "echo yes")  # as of sudo in it
    answer = stack.log_in("alice", lines)
    assert not answer.let_in and "session 3 is not known to be at this computer" in answer.log
    stack.be_in_session("3", '[ "$*" = "show-session 3 --property=Remote --value" ] && echo no')
    assert stack.log_in("alice", lines).let_in


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (ALICE._replace(lock="!"), "is locked"),
        (ALICE._replace(lock="*"), "is locked"),
        (ALICE._replace(expires="19001"), "has expired"),
        (ALICE._replace(changed="0"), "has to be changed"),
        (ALICE._replace(shell="/usr/sbin/nologin"), "no login shell"),
        (ALICE._replace(shell="/bin/false"), "no login shell"),
        (ALICE._replace(shell="/tmp/sh"), "no login shell"),
        (ALICE._replace(uid=0), "user id 0, below 1000"),
        (ALICE._replace(uid=999), "user id 999, below 1000"),
        (ALICE._replace(name="dora"), "there is no account alice"),
    ],
)
def test_an_account_that_is_not_to_be_logged_in_to_is_refused(
    stack, installation, people, account, reason
):
    stack.set_accounts(account)
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    refused = stack.log_in("alice", lines)
    assert not refused.let_in and REFUSED in refused.shown
    assert reason in refused.log and reason not in refused.shown


def test_root_is_let_in_where_the_line_says_so(stack, installation, people):
    stack.set_accounts(ALICE._replace(uid=0))
    voice = inputs(people["alice"][4])
    lines = [line(stack, installation, "--first-uid", 0, *voice), FALL_THROUGH]
    assert stack.log_in("alice", lines).let_in


def test_a_voice_alone_lets_nobody_in_unless_that_is_sealed(stack, installation, people):
    assert installation.run("model", "accept", "--no-sole-factor", "--yes").exit_code == 0
    voice = inputs(people["alice"][4])
    lines = [line(stack, installation, *voice), FALL_THROUGH]
    refused = stack.log_in("alice", lines)
    assert not refused.let_in and "no voice alone" in refused.log
    lines = [FALL_THROUGH, line(stack, installation, "--second-factor", *voice, control="required")]
    assert stack.log_in("alice", lines, password=PASSWORD).let_in
    assert not stack.log_in("alice", lines, password="wrong").let_in
    other = inputs(people["bob"][4])
    lines = [FALL_THROUGH, line(stack, installation, "--second-factor", *other, control="required")]
    assert not stack.log_in("alice", lines, password=PASSWORD).let_in


def test_what_the_vault_needs_and_the_line_lacks_is_refused(stack, installation, people):
    voice = inputs(people["alice"][4])
    named = f"EDGE_UNLOCK_HOME={installation.home}"
    nowhere = f"auth sufficient pam_exec.so stdout seteuid {' '.join(stack.command('pam', *voice))}"
    answer = stack.log_in("alice", [nowhere, FALL_THROUGH], environment=[named])
    assert not answer.let_in and "is not named in the PAM line" in answer.log
    lines = [line(stack, installation, "--input", "-"), FALL_THROUGH]
    assert "no microphone" in stack.log_in("alice", lines).log
    lines = [line(stack, installation, "--input", installation.home / "missing.wav"), FALL_THROUGH]
    answer = stack.log_in("alice", lines)
    assert not answer.let_in and "missing.wav" in answer.log and "missing.wav" not in answer.shown
    (installation.home / "audit.log").write_text("")
    answer = stack.log_in("alice", [line(stack, installation, *voice), FALL_THROUGH])
    assert not answer.let_in and "refused" in answer.log
    shutil.rmtree(installation.home)
    answer = stack.log_in("alice", [line(stack, installation, *voice), FALL_THROUGH])
    assert not answer.let_in and "refused" in answer.log


def test_a_vault_that_opens_by_a_passphrase_is_no_vault_for_logins(stack, installation, people):
    phrase = write_secret(installation.home.parent / "phrase", "four unrelated words here")
    rekeyed = installation.run("rekey", "--key-source", "passphrase", **phrase)
    assert rekeyed.exit_code == 0, rekeyed.output
    lines = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
    answer = stack.log_in("alice", lines)
    assert not answer.let_in and "passphrase" in answer.log


def test_another_question_than_who_it_is_is_none_for_a_voice(stack, installation, people):
    command = " ".join(
        stack.command("--home", installation.home, "pam", *inputs(people["alice"][4]))
    )
    (stack.services / SERVICE).write_text(
        f"auth required pam_permit.so\naccount required pam_exec.so stdout seteuid {command}\n"
    )
    answer = stack.finish(stack.run(["pamtester", SERVICE, "alice", "acct_mgmt"]))
    assert not answer.let_in and "PAM_TYPE is 'account'" in answer.log


SHORT = "pam.TIME_S, pam.HANG_S = {time_s}, {hang_s}"


def test_when_the_time_is_up_the_password_decides(stack, installation, people):
    short = SHORT.format(time_s=1e-9, hang_s=60)
    lines = [line(stack, installation, *inputs(people["alice"][4]), set_up=short), FALL_THROUGH]
    answer = stack.log_in("alice", lines, password=PASSWORD)
    assert answer.let_in and answer.asked_for_password
    assert "alice at edge-unlock-test: retry" in answer.log


@pytest.mark.parametrize("before", ["", "trap '' ALRM CHLD INT TERM"])
def test_what_hangs_is_ended_whatever_signals_the_caller_ignores(stack, installation, before):
    pipe = installation.home / "pipe"
    os.mkfifo(pipe)
    hanging = f"import os; os.getuid = lambda: open({str(pipe)!r})"  # before anything is decided
    short = SHORT.format(time_s=30, hang_s=0.5) + "; " + hanging
    lines = [line(stack, installation, set_up=short), FALL_THROUGH]
    answer = stack.log_in("alice", lines, before=before, password=PASSWORD)
    assert answer.let_in and answer.asked_for_password and not answer.log
    assert not stack.log_in("alice", lines, before=before).let_in


@pytest.mark.parametrize("redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_closed_and_full_streams_part_no_decision_from_its_exit_status(
    stack, installation, people, redirected
):
    said = "PAM_TYPE=auth PAM_USER=alice PAM_SERVICE=sudo"
    for name, status in (("alice", 0), ("bob", 3)):
        command = stack.command("--home", installation.home, "pam", *inputs(people[name][4]))
        process = stack.run(["sh", "-c", f'exec env {said} "$@" {redirected}', "sh", *command])
        process.communicate(b"\n", timeout=120)
        assert process.returncode == status


def test_ignored_children_and_small_limits_let_nobody_in(stack, installation, people):
    for before, let_in in (
        ("trap '' CHLD", True),  # getent's answer counts, not its exit status
        ("ulimit -f 0", False),
        ("ulimit -n 8", False),
        ("ulimit -v 200000", False),
    ):
        right = [line(stack, installation, *inputs(people["alice"][4])), FALL_THROUGH]
        assert stack.log_in("alice", right, before=before).let_in == let_in, before
        wrong = [line(stack, installation, *inputs(people["bob"][4])), FALL_THROUGH]
        assert not stack.log_in("alice", wrong, before=before).let_in, before


@pytest.mark.parametrize(
    "user",
    [
        b"--help",
        b"-h",
        b"--input",
        b"alice\n",
        b"alice\x01",
        b"\x1b[2Jalice",
        b"alice/../bob",
        b"\xff\xfealice",
        "\u0430lice".encode(),  # a Cyrillic a
        "a\u0301lice".encode(),
        b"a" * 5000,
        b" alice",
        b"alice ",
        b"ALICE",
        b"0",
        b"1000",
        b"$(id)",
        b"%s%n",
    ],
)
def test_a_strange_name_is_nobodys(stack, installation, people, user):
    lines = [line(stack, installation, *inputs(people["alice"][4])), "auth required pam_deny.so"]
    answer = stack.log_in(user, lines)
    assert not answer.let_in
    assert REFUSED in answer.shown
    assert len(answer.log.splitlines()) == 1 and answer.log.isprintable()


SNIPPETS = Path(__file__).parents[2] / "deploy" / "pam"
INSTALLED = "/opt/edge-unlock/bin/python -I -m edge_unlock --home /var/lib/edge-unlock-login"


@pytest.mark.parametrize("name", ["sudo", "polkit-1", "gdm-password", "lightdm"])
def test_the_lines_of_deploy_do_what_they_say(stack, installation, people, name):
    text = (SNIPPETS / name).read_text()
    assert "WARNING" in text and "README.md" in text and text.count(INSTALLED) == 2
    command = " ".join(stack.command("--home", installation.home))
    active = [one for one in text.splitlines() if not one.startswith("#")]
    waiting = [one[1:] for one in text.splitlines() if one.startswith(("#auth", "#    "))]
    assert len(active) == len(waiting) == 3

    def log_in(user, lines, voice, password=""):
        said = [one.replace(INSTALLED, command) for one in lines]
        said = [f"{one} --input {people[voice][4]}" if command in one else one for one in said]
        return stack.log_in(user, said, password=password)

    second = ["@include common-auth", *active]
    assert log_in("alice", second, "alice", PASSWORD).let_in
    unheard = log_in("alice", second, "alice", "wrong")
    assert not unheard.let_in and not unheard.log
    assert not log_in("alice", second, "bob", PASSWORD).let_in
    sole = [*waiting, "@include common-auth"]
    assert log_in("alice", sole, "alice").let_in
    assert not log_in("alice", sole, "bob").let_in
    assert log_in("alice", sole, "bob", PASSWORD).let_in
    for lines in (second, sole):  # who is not in the group
        answer = log_in("carol", lines, "alice", PASSWORD)
        assert answer.let_in and not answer.log
        assert not log_in("carol", lines, "alice").let_in


ALSA = """
<{original}>
pcm.!default {{ type pulse server "unix:{home}/native" device "speaker.monitor" }}
"""


def test_a_microphone_is_heard_after_the_person_was_told_what_to_say(
    stack, installation, people, tmp_path
):
    original = Path("/usr/share/alsa/alsa.conf")
    copy, changed = tmp_path / "alsa.conf", tmp_path / "changed.conf"
    shutil.copy(original, copy)
    with PulseServer() as pulse:
        # the command has no environment that could lead it to this sound server
        changed.write_text(ALSA.format(original=copy, home=pulse.home))
        stack.mounts.append((changed, str(original)))
        lines = [line(stack, installation), FALL_THROUGH]
        for name, said in (("bob", people["bob"][2:5]), ("alice", people["alice"][4:])):
            login = stack.start("alice", lines)
            assert b"Say a whole sentence" in login.stdout.readline()
            for path in said:
                pulse.speak(path)
            answer = stack.finish(login)
            assert answer.let_in == (name == "alice"), answer
            assert answer.shown.count("not recognized") == (0 if answer.let_in else 3)
