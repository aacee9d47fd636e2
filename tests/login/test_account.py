"""Which accounts may be logged in to; tests/cli/test_pam.py asks the real databases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_unlock.errors import LoginError
from edge_unlock.login.account import check_account, check_shadow

TODAY = 20_000
HASH = "$y$j9T$abc$def"


@pytest.mark.parametrize(
    "line",
    [
        f"anna:{HASH}:19000:0:99999:7:::",
        f"anna:{HASH}:19000::::::",
        f"anna:{HASH}:::::::",
        f"anna:{HASH}:19999:0:1:7::20001:",
        f"anna:{HASH}:19000:0:-1:7::-1:",
        f"anna:{HASH}:20001:0:90:7:::",  # changed tomorrow: the clock was wrong
    ],
)
def test_an_account_in_order_is_open(line):
    check_shadow(line, "anna", TODAY)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "nothing is known"),
        ("anna", "nothing is known"),
        (f"berta:{HASH}:19000:0:99999:7:::", "nothing is known"),
        (f"anna:{HASH}:19000:0:99999:7:::\nanna:{HASH}:19000:0:99999:7:::", "nothing is known"),
        ("anna::19000:0:99999:7:::", "no password"),
        ("anna:*:19000:0:99999:7:::", "locked"),
        ("anna:!:19000:0:99999:7:::", "locked"),
        (f"anna:!{HASH}:19000:0:99999:7:::", "locked"),
        (f"anna:{HASH}:19000:0:99999:7::20000:", "expired"),
        (f"anna:{HASH}:19000:0:99999:7::0:", "expired"),
        (f"anna:{HASH}:0:0:99999:7:::", "to be changed"),
        (f"anna:{HASH}:19000:0:90:7:::", "to be changed"),
        (f"anna:{HASH}:soon:0:90:7:::", "not understood"),
        (f"anna:{HASH}:19000:0:90:7::never:", "not understood"),
    ],
)
def test_any_other_is_not(line, reason):
    with pytest.raises(LoginError, match=reason):
        check_shadow(line, "anna", TODAY)


@given(st.text() | st.lists(st.text(":!*0123456789-", max_size=6)).map(":".join))
def test_a_line_of_anything_is_told_in_words(line):
    try:
        check_shadow(line, "anna", TODAY)
    except LoginError as error:
        assert str(error).isprintable()
    else:
        assert line.startswith("anna:")


def test_accounts_of_this_system_that_are_no_persons_are_refused():
    for name in ("root", "daemon", "nobody"):
        with pytest.raises(LoginError, match=r"below 1000|no login shell"):
            check_account(name)
    with pytest.raises(LoginError, match="no login shell"):
        check_account("daemon", 0)
    with pytest.raises(LoginError, match="there is no account"):
        check_account("nobody-of-this-name")
