"""Raw samples on standard input."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edge_unlock.audio import Stdin
from edge_unlock.errors import AudioError

RAMP = np.arange(-1500, 1500, dtype="<i2")


def read(data: bytes) -> np.ndarray:
    with Stdin(io.BytesIO(data)) as source:
        return np.concatenate(list(source.blocks()))


def test_samples_are_scaled_to_full_scale() -> None:
    samples = read(RAMP.tobytes())
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples * 32768, RAMP)
    assert read(b"\x00\x80")[0] == -1.0


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert read(RAMP.tobytes() + b"\x01").size == RAMP.size


@pytest.mark.parametrize("data", [b"", b"\x01"])
def test_nothing_is_an_error(data: bytes) -> None:
    with pytest.raises(AudioError, match="no audio") as caught:
        read(data)
    assert "arecord" in caught.value.hint


@pytest.mark.parametrize("magic", [b"RIFF", b"fLaC", b"OggS"])
def test_a_file_on_standard_input_is_refused(magic: bytes) -> None:
    with pytest.raises(AudioError, match="not raw samples"):
        read(magic + RAMP.tobytes())


def test_a_terminal_is_refused() -> None:
    leader, follower = os.openpty()
    with (
        os.fdopen(follower, "rb", buffering=0) as terminal,
        pytest.raises(AudioError, match="terminal"),
    ):
        Stdin(terminal)
    os.close(leader)


def test_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AudioError, match="closed"):
        Stdin()


def test_close_ends_the_stream_but_leaves_it_open() -> None:
    stream = io.BytesIO(RAMP.tobytes())
    source = Stdin(stream)
    next(source.blocks())
    source.close()
    source.close()
    assert list(source.blocks()) == []
    assert not stream.closed


def test_a_real_pipe_cut_anywhere() -> None:
    program = (
        "from edge_unlock.audio import Stdin\n"
        "with Stdin() as s: print(sum(b.size for b in s.blocks()))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin and child.stdout
        for start in range(0, 6000, 777):  # odd writes split samples
            child.stdin.write(RAMP.tobytes()[start : start + 777])
            child.stdin.flush()
        child.stdin.close()
        assert child.stdout.read() == b"3000\n"


@pytest.fixture
def pipe() -> Iterator[tuple[Stdin, int]]:
    """A source that hears a pipe, and the pipe's other end."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, Stdin(stream) as source:
        yield source, writer
        with suppress(OSError):  # some tests have closed it
            os.close(writer)


def test_what_arrived_is_not_held_back_until_a_block_is_full(pipe: tuple[Stdin, int]) -> None:
    source, writer = pipe
    os.write(writer, RAMP[:5].tobytes() + b"\x07")
    blocks = source.blocks()
    assert next(blocks).size == 5
    os.write(writer, b"\x00")  # the other half of a sample
    assert next(blocks).tolist() == [7 / 32768]


def test_a_silent_pipe_yields_empty_blocks_and_goes_on(pipe: tuple[Stdin, int]) -> None:
    source, writer = pipe
    blocks = source.blocks()
    assert next(blocks).size == 0
    assert next(blocks).size == 0
    os.write(writer, RAMP[:512].tobytes())
    assert next(blocks).size == 512
    os.close(writer)
    assert list(blocks) == []


def test_a_file_is_refused_however_its_first_bytes_arrive(pipe: tuple[Stdin, int]) -> None:
    source, writer = pipe
    blocks = source.blocks()
    os.write(writer, b"RI")
    assert next(blocks).size == 0
    os.write(writer, b"FF....")
    with pytest.raises(AudioError, match="a WAV file"):
        next(blocks)


def test_a_regular_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(RAMP.tobytes())
    with path.open("rb") as stream, Stdin(stream) as source:
        assert sum(block.size for block in source.blocks()) == RAMP.size
