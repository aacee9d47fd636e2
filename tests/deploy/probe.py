"""Uses, shut in as the service is, what the service needs; an error where it cannot.

    probe.py PORT       of a server on this machine, which stands for a broker

Devices of the kernel are not tried, a machine in a container has none: the microphone is ALSA's own
that delivers silence.
"""

import errno
import os
import socket
import sys
from pathlib import Path

import gpiozero.pins.mock
import paho.mqtt.client
import pyaudio
import wyoming.asr

SOMEWHERE_ELSE = ("192.0.2.1", 1883)
"""An address of no machine (RFC 5737), and in no local network."""


def is_refused(action) -> bool:
    """Whether the system forbids it."""
    try:
        action()
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES, errno.EROFS, errno.EAFNOSUPPORT)
    return False


audio = pyaudio.PyAudio()
stream = audio.open(16_000, 1, pyaudio.paInt16, input=True, frames_per_buffer=1600)
assert len(stream.read(8000)) == 16_000
stream.close()
audio.terminate()
print("a microphone of ALSA delivers")

os.chdir("/tmp")  # which is its own; lgpio makes its pipe where it stands
import lgpio  # noqa: E402

pins = gpiozero.pins.mock.MockFactory()
gpiozero.OutputDevice(17, pin_factory=pins).on()
print(gpiozero.OutputDevice.__name__, lgpio.__name__)

print(paho.mqtt.client.__name__, wyoming.asr.__name__)
socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5).close()
print("a broker of this network is reached")

print("boot id:", Path("/proc/sys/kernel/random/boot_id").read_text().strip())
Path("/proc/cpuinfo").read_text()

assert is_refused(lambda: Path("/etc/edge-unlock/config.toml").write_text(""))
assert is_refused(lambda: Path("/etc/edge-unlock/key.cred").read_bytes())
assert is_refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
if is_refused(lambda: socket.create_connection(SOMEWHERE_ELSE, timeout=2)):
    print("the internet is not reached")
else:
    print("note: this kernel does not keep it from the internet")
