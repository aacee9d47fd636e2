import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, async_read_event

from edge_unlock.assistant.connection import MAX_HEADER_BYTES, Connection
from edge_unlock.errors import AssistantError


def read(data, reading=None):
    """Read one event of these bytes; with the package's own reader if that is given."""

    async def once():
        reader = asyncio.StreamReader(limit=MAX_HEADER_BYTES)
        reader.feed_data(data)
        reader.feed_eof()
        return await (reading(reader) if reading else Connection(reader, None).read())

    return asyncio.run(once())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    kind=st.text(min_size=1, max_size=50),
    first=st.dictionaries(st.text(), JSON, max_size=3),
    second=st.dictionaries(st.text(), JSON, max_size=3),
    payload=st.binary(max_size=100),
)
def test_good_events_are_read_as_the_package_reads_them(kind, first, second, payload):
    more = json.dumps(second).encode()
    header = {"type": kind, "data": first, "data_length": len(more), "payload_length": len(payload)}
    data = json.dumps(header | {"version": "1.5"}).encode() + b"\n" + more + payload
    assert read(data) == read(data, async_read_event)
    assert read(data) == Event(kind, first | second, payload or None)


@given(st.binary(max_size=300))
def test_anything_else_is_an_error_or_the_end(data):
    try:
        event = read(data)
    except AssistantError:
        return
    assert event is None or isinstance(event.data, dict)


@pytest.mark.parametrize(
    "data",
    [
        b"[]\n",
        b'"ping"\n',
        b'{"data": {}}\n',
        b'{"type": 7}\n',
        b'{"type": ""}\n',
        b'{"type": "ping", "data": []}\n',
        b'{"type": "ping", "data_length": -1}\n',
        b'{"type": "ping", "data_length": 2}\n[]',
        b'{"type": "ping", "data_length": 4}\nnull',
        b'{"type": "ping", "data_length": 1e3}\n{}',
        b'{"type": "ping", "payload_length": true}\n',
        b'{"type": "ping", "payload_length": 1048577}\n',
        b'{"type": "ping", "data": {"rate": NaN}}\n',
        b'{"type": "ping", "data":' + b"[" * 50_000 + b"\n",
        b"x" * (2 * MAX_HEADER_BYTES),
    ],
)
def test_bad_events_are_errors(data):
    with pytest.raises(AssistantError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [b"", b'{"type": "ping", "data_length": 9}\n{', b'{"type": "a", "payload_length": 9}\n1'],
)
def test_the_end_is_told_also_within_an_event(data):
    assert read(data) is None


def test_null_stands_for_nothing():
    null = b'{"type": "ping", "data": null, "data_length": null, "payload_length": null}\n'
    assert read(null) == Event("ping", {})
