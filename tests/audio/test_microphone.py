"""The microphone, through a real PulseAudio server, real ALSA and real PortAudio."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyaudio
import pytest
import soundfile

from edge_unlock.audio import Microphone, Samples, list_devices
from edge_unlock.audio.device import Device, find_device
from edge_unlock.audio.microphone import PA_DEVICE_UNAVAILABLE, PA_INPUT_OVERFLOW
from edge_unlock.errors import DeviceError
from tests.pulse import ALSA_CONFIG, PulseServer
from tests.speech import utterances


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseServer]:
    with PulseServer() as server:
        yield server


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Samples]:
    samples = utterances(1)[0][:32000]
    path = tmp_path_factory.mktemp("speech") / "spoken.wav"
    soundfile.write(path, samples, 16000)
    return path, samples


def record_while_speaking(
    pulse: PulseServer, microphone: Microphone, spoken: tuple[Path, Samples]
) -> Samples:
    """Record until what is spoken has come through, or far too long."""
    path, samples = spoken
    heard: list[Samples] = []
    with pulse.start_speaking(path):
        for block in microphone.blocks():
            heard.append(block)
            loud_s = sum(b.size for b in heard if np.abs(b).max() > 0) / 16000
            if sum(b.size for b in heard) > 10 * 16000 or (
                loud_s > 0.8 * samples.size / 16000 and np.abs(block).max() == 0
            ):
                break
    return np.concatenate(heard)


def faithful(pulse: PulseServer, spoken: tuple[Path, Samples], tries: int = 4) -> bool:
    """Whether what is spoken comes through as it is; of a few times once.

    The server plays in real time, and where others eat the processor it leaves gaps.
    """
    for _ in range(tries):
        with Microphone() as microphone:
            heard = record_while_speaking(pulse, microphone, spoken)
        assert heard.dtype == np.float32
        if similarity(heard, spoken[1]) > 0.95:
            return True
    return False


def similarity(heard: Samples, spoken: Samples) -> float:
    """The largest normalised cross-correlation, -1..1."""
    size = heard.size + spoken.size
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(spoken, size))
    peak = np.fft.irfft(spectrum, size).max()
    return float(peak / (np.linalg.norm(heard) * np.linalg.norm(spoken)))


def test_what_is_spoken_is_heard(pulse: PulseServer, spoken: tuple[Path, Samples]) -> None:
    assert faithful(pulse, spoken)


def refuse_16_khz_mono(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Make PortAudio refuse the way a 44.1 kHz stereo sound card does; return what was asked."""
    asked = []
    really_open = pyaudio.PyAudio.open

    def refusing(self: Any, rate: int, channels: int, *args: Any, **options: Any) -> Any:
        asked.append((rate, channels))
        if rate == 16000:
            raise OSError(-9997, "Invalid sample rate")
        if channels == 1:
            raise OSError(-9998, "Invalid number of channels")
        return really_open(self, rate, channels, *args, **options)

    monkeypatch.setattr(pyaudio.PyAudio, "open", refusing)
    return asked


def test_a_card_without_16_khz_mono_is_resampled(
    pulse: PulseServer, spoken: tuple[Path, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refuse_16_khz_mono(monkeypatch)
    assert faithful(pulse, spoken)
    assert asked[:2] == [(44100, 1), (44100, 2)]


def test_devices_are_listed_and_opened_by_name_or_index(pulse: PulseServer) -> None:
    devices = list_devices()
    assert {d.name: d.is_default for d in devices} == {"default": True, "second": False}
    second = next(d for d in devices if d.name == "second")
    for wanted in ("second", "SECO", second.index, str(second.index)):
        with Microphone(wanted) as microphone:
            assert microphone.name == "second"
            assert next(microphone.blocks()).size > 0


@pytest.mark.parametrize("wanted", ["trumpet", 99, "-1"])
def test_an_unknown_device_is_refused_with_those_known(
    pulse: PulseServer, wanted: str | int
) -> None:
    with pytest.raises(DeviceError, match="no microphone") as caught:
        Microphone(wanted)
    assert "default" in caught.value.hint
    assert "second" in caught.value.hint


def test_a_name_must_be_unique_unless_exact() -> None:
    usb = [
        Device(i, name, 1, 48000, i == 0) for i, name in enumerate(["USB", "USB Audio", "x USB"])
    ]
    assert find_device(usb, "usb").index == 0
    assert find_device(usb, "audio").index == 1
    with pytest.raises(DeviceError, match="several"):
        find_device(usb, "us")


def test_a_busy_device_is_named(pulse: PulseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_args: Any, **_options: Any) -> None:
        raise OSError(PA_DEVICE_UNAVAILABLE, "Device unavailable")

    monkeypatch.setattr(pyaudio.PyAudio, "open", busy)
    with pytest.raises(DeviceError, match="'default' is busy") as caught:
        Microphone()
    assert caught.value.hint


def test_portaudio_constants_are_right() -> None:
    assert pyaudio.paDeviceUnavailable == PA_DEVICE_UNAVAILABLE
    assert pyaudio.paInputOverflow == PA_INPUT_OVERFLOW
    assert (pyaudio.paInt16, pyaudio.paContinue) == (8, 0)


def test_a_reader_that_is_too_slow_loses_input_and_knows(pulse: PulseServer) -> None:
    with Microphone(queue_s=0.1) as microphone:
        time.sleep(1)
        assert microphone.overruns == 0  # what was queued before the gap comes first
        for _ in zip(microphone.blocks(), range(200), strict=False):
            if microphone.overruns:
                break
        assert microphone.overruns > 0


def test_a_loss_in_the_driver_is_counted(pulse: PulseServer) -> None:
    with Microphone() as microphone:
        microphone._receive(bytes(1024), 512, None, PA_INPUT_OVERFLOW)
        for _ in zip(microphone.blocks(), range(200), strict=False):
            if microphone.overruns:
                break
        assert microphone.overruns == 1


INTERRUPTED = """
import random, signal, threading, time
from edge_unlock.audio import Microphone

signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupts, ended = 0, threading.Event()

def deliver():
    while not ended.is_set():
        microphone._receive(bytes(1024), 512, None, 0)
        time.sleep(0)

with Microphone() as microphone:
    threading.Thread(target=deliver, daemon=True).start()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        try:
            # again, should one be swallowed within a library
            signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4), 0.1)
            for _ in microphone.blocks():
                pass
        except KeyboardInterrupt:
            interrupts += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    ended.set()
print(interrupts)
"""


def test_ctrl_c_at_any_moment_leaves_it_able_to_close(pulse: PulseServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_close_is_idempotent_and_ends_the_blocks(pulse: PulseServer) -> None:
    microphone = Microphone()
    microphone.close()
    microphone.close()
    assert list(microphone.blocks()) == []


def test_a_device_that_vanishes_is_an_error_in_time() -> None:
    with PulseServer() as server, Microphone(timeout_s=1.0) as microphone:
        blocks = microphone.blocks()
        next(blocks)
        server.stop()
        started = time.monotonic()
        with pytest.raises(DeviceError, match="delivered nothing for 1 s"):
            for _ in blocks:
                pass
        assert time.monotonic() - started < 5


def in_child(program: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        cwd=Path(__file__).parents[2],  # works without an installation
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_no_microphone_at_all_and_no_chatter(tmp_path: Path) -> None:
    (tmp_path / "asound.conf").write_text(ALSA_CONFIG)  # leads to a server that is not there
    program = (
        "from edge_unlock.audio import Microphone, list_devices\n"
        "from edge_unlock.errors import DeviceError\n"
        "assert list_devices() == []\n"
        "try: Microphone()\n"
        "except DeviceError as error: print(error, bool(error.hint))"
    )
    nowhere = {
        "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"),
        "PULSE_SERVER": f"unix:{tmp_path}/none",
    }
    env = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), **nowhere}
    child = in_child(program, env)
    assert (child.stdout, child.stderr) == ("no microphone found True\n", "")


def test_a_subprocess_can_use_the_server_quietly(pulse: PulseServer) -> None:
    program = (
        "from edge_unlock.audio import Microphone\n"
        "with Microphone() as m: print(m.name, next(m.blocks()).size > 0)"
    )
    child = in_child(program, pulse.env)
    assert (child.stdout, child.stderr) == ("default True\n", "")


def test_pyaudio_is_loaded_only_when_used_and_its_absence_explained() -> None:
    program = (
        "import sys\n"
        "from edge_unlock.audio import Microphone\n"
        "from edge_unlock.errors import DeviceError\n"
        "assert 'pyaudio' not in sys.modules\n"
        "sys.modules['pyaudio'] = None\n"
        "try: Microphone()\n"
        "except DeviceError as error: print(error.hint)"
    )
    assert "portaudio19-dev" in in_child(program, dict(os.environ)).stdout
