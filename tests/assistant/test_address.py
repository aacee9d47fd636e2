import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_unlock.assistant.address import Address
from edge_unlock.errors import ConfigError


@pytest.mark.parametrize(
    ("uri", "is_local"),
    [
        ("tcp://127.0.0.1:10320", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("unix:///run/edge-unlock/wyoming", True),
        ("tcp://0.0.0.0:1", False),
        ("tcp://[::]:1", False),
        ("tcp://192.168.0.7:1", False),
        ("tcp://localhost.example.org:1", False),
    ],
)
def test_who_can_connect(uri, is_local):
    address = Address.parse(uri)
    assert address.is_local == is_local
    assert str(address) == uri


@given(st.text() | st.text().map("tcp://{}:1".format) | st.text().map("unix://{}".format))
def test_anything_else_is_refused(uri):
    try:
        address = Address.parse(uri)
    except ConfigError:
        return
    assert address.host or address.path.startswith("/")
