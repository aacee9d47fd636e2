"""What pam_exec says is believed only as far as it can do no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_unlock.errors import LoginError
from edge_unlock.login.pam import REMOTE_VARIABLES, Login
from edge_unlock.vault.names import validate_user_name

LOCAL = {"PAM_TYPE": "auth", "PAM_USER": "alice", "PAM_SERVICE": "sudo", "PAM_TTY": "/dev/pts/1"}

# as Python hands over bytes that are no UTF-8; the environment has no NUL
bytes_ = st.binary(max_size=300).map(lambda data: data.replace(b"\0", b""))
values = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])
) | bytes_.map(lambda data: data.decode(errors="surrogateescape"))
names = st.sampled_from(
    ["PAM_USER", "PAM_RUSER", "PAM_SERVICE", "PAM_TTY", "PAM_TYPE", *REMOTE_VARIABLES]
)


def test_a_login_at_this_computer_is_read():
    login = Login.from_environment(LOCAL | {"PAM_RUSER": "bob", "PAM_RHOST": ""})
    assert login == Login("alice", "sudo", "/dev/pts/1", "bob")
    assert str(login) == "alice at sudo"
    least = Login.from_environment({"PAM_TYPE": "auth", "PAM_USER": "alice"})
    assert least == Login("alice")


@pytest.mark.parametrize("tty", ["", ":0", ":1.0", "tty1", "/dev/tty1", "/dev/pts/12", "pts/3"])
def test_terminals_and_displays_of_this_computer_are_its_own(tty):
    assert Login.from_environment(LOCAL | {"PAM_TTY": tty}).tty == tty


@pytest.mark.parametrize("tty", ["ssh", "localhost:10.0", "door.example:0", "[::1]:0"])
def test_those_of_others_are_not(tty):
    with pytest.raises(LoginError, match="over a network"):
        Login.from_environment(LOCAL | {"PAM_TTY": tty})


@pytest.mark.parametrize("name", REMOTE_VARIABLES)
@given(value=values.filter(bool))
def test_whatever_tells_of_a_network_is_refused(name, value):
    with pytest.raises(LoginError, match="over a network"):
        Login.from_environment(LOCAL | {name: value})


@given(kind=values.filter(lambda kind: kind != "auth"))
def test_no_other_question_than_who_it_is_is_answered(kind):
    with pytest.raises(LoginError):
        Login.from_environment(LOCAL | {"PAM_TYPE": kind})


@pytest.mark.parametrize("missing", ["PAM_TYPE", "PAM_USER"])
def test_what_says_too_little_is_refused(missing):
    with pytest.raises(LoginError):
        Login.from_environment({name: LOCAL[name] for name in LOCAL if name != missing})


@given(name=values)
def test_a_name_is_taken_as_it_is_spelled_or_not_at_all(name):
    try:
        login = Login.from_environment(LOCAL | {"PAM_USER": name})
    except LoginError as error:
        assert str(error).isascii() and str(error).isprintable()
    else:
        assert login.user == name == validate_user_name(name)


@given(changes=st.dictionaries(names, values))
def test_a_hostile_environment_makes_a_login_that_is_clean_or_none(changes):
    environment = LOCAL | changes
    try:
        login = Login.from_environment(environment)
    except LoginError as error:
        assert str(error).isprintable()
        return
    assert environment["PAM_TYPE"] == "auth" and login.user == environment["PAM_USER"]
    assert not any(environment.get(name) for name in REMOTE_VARIABLES)
    for value in (login.user, login.service, login.tty, login.requester):
        assert len(value) <= 256 and value.isprintable()
