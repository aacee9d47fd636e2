"""Where samples come from: every source yields 16 kHz mono blocks."""

from typing import TYPE_CHECKING

from edge_unlock.lazy import lazy_names

if TYPE_CHECKING:
    from edge_unlock.audio.device import Device, list_devices
    from edge_unlock.audio.fake import Fake
    from edge_unlock.audio.file import File
    from edge_unlock.audio.lasting import Lasting
    from edge_unlock.audio.microphone import Microphone
    from edge_unlock.audio.source import SAMPLE_RATE_HZ, Samples, SampleSource
    from edge_unlock.audio.stdin import Stdin

__all__ = [
    "SAMPLE_RATE_HZ",
    "Device",
    "Fake",
    "File",
    "Lasting",
    "Microphone",
    "SampleSource",
    "Samples",
    "Stdin",
    "list_devices",
]
__getattr__ = lazy_names(
    __name__,
    {
        "Device": "device",
        "Fake": "fake",
        "File": "file",
        "Lasting": "lasting",
        "Microphone": "microphone",
        "SAMPLE_RATE_HZ": "source",
        "SampleSource": "source",
        "Samples": "source",
        "Stdin": "stdin",
        "list_devices": "device",
    },
)
