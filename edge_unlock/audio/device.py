"""The microphones there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge_unlock.errors import DeviceError
from edge_unlock.quiet import quiet_stderr


@dataclass(frozen=True)
class Device:
    """A microphone as PortAudio sees it."""

    index: int
    name: str
    channels: int
    default_rate_hz: int
    is_default: bool


def list_devices() -> list[Device]:
    """List the devices that can record; a device in use by another program may be absent.

    Raises:
        DeviceError: PyAudio or PortAudio is missing or cannot start.
    """
    with portaudio() as session:
        return devices_of(session)


@contextmanager
def portaudio() -> Iterator[Any]:
    """A ``pyaudio.PyAudio`` for the length of a ``with`` block."""
    session = start_portaudio()
    try:
        yield session
    finally:
        session.terminate()


def start_portaudio() -> Any:
    """Import PyAudio, which only microphones need, and start PortAudio.

    Raises:
        DeviceError: either is missing or fails.
    """
    try:
        with quiet_stderr():
            import pyaudio  # noqa: PLC0415 - files and pipes must work without it

            return pyaudio.PyAudio()
    except ImportError as error:
        raise DeviceError(
            f"PyAudio cannot be loaded: {error}",
            "Install it: sudo apt install portaudio19-dev && pip install pyaudio",
        ) from error
    except OSError as error:
        raise DeviceError(f"PortAudio cannot start: {error}", "Check the ALSA setup.") from error


def devices_of(session: Any) -> list[Device]:
    """List the devices of a running PortAudio that can record."""
    try:
        default_index = session.get_default_input_device_info()["index"]
    except OSError:  # PortAudio's word for "none"
        default_index = None
    infos = (session.get_device_info_by_index(i) for i in range(session.get_device_count()))
    return [
        Device(
            index=info["index"],
            name=str(info["name"]),
            channels=info["maxInputChannels"],
            default_rate_hz=round(info["defaultSampleRate"]),
            is_default=info["index"] == default_index,
        )
        for info in infos
        if info["maxInputChannels"] > 0
    ]


def find_device(devices: list[Device], wanted: str | int | None) -> Device:
    """Choose the default device, or the one of this index, name, or unique part of a name.

    Raises:
        DeviceError: there is none, or several names contain ``wanted``.
    """
    if not devices:
        raise DeviceError(
            "no microphone found",
            "Plug one in, check `arecord -l`, and close other programs that record.",
        )
    known = "; ".join(f"{device.index}: {device.name}" for device in devices)
    if wanted is None:
        matches = [device for device in devices if device.is_default] or devices[:1]
    elif isinstance(wanted, int) or wanted.isdecimal():
        matches = [device for device in devices if device.index == int(wanted)]
    else:
        part = wanted.casefold()
        matches = [device for device in devices if device.name.casefold() == part]
        matches = matches or [device for device in devices if part in device.name.casefold()]
    if not matches:
        raise DeviceError(f"no microphone {wanted!r}", f"There are: {known}")
    if len(matches) > 1:
        raise DeviceError(f"several microphones match {wanted!r}", f"Name one of: {known}")
    return matches[0]
