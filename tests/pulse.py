"""A private PulseAudio server whose speaker is the default microphone.

What is played into its null sink comes out of the sink's monitor, which ALSA, and so
PortAudio, sees as the only recording device. Nothing of it touches the real sound setup.
"""

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest import mock

SINK = "speaker"

ALSA_CONFIG = f"""
pcm.!default {{ type pulse device "{SINK}.monitor" hint {{ show on description "default" }} }}
pcm.second {{ type pulse device "{SINK}.monitor" hint {{ show on description "second" }} }}
ctl.!default {{ type pulse }}
"""


class PulseServer:
    """``with PulseServer() as pulse: pulse.speak(path)``; also sets this process's environment.

    ``env`` is the environment for child processes; ``pid`` is the server's.
    """

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            socket = self.home / "native"
            alsa_config = self.home / "asound.conf"
            alsa_config.write_text(ALSA_CONFIG)
            settings = {
                "HOME": str(self.home),
                "XDG_RUNTIME_DIR": str(self.home),
                "PULSE_RUNTIME_PATH": str(self.home / "pulse"),
                "PULSE_STATE_PATH": str(self.home / "state"),
                "PULSE_SERVER": f"unix:{socket}",
                "ALSA_CONFIG_PATH": str(alsa_config),
            }
            self.env = {**os.environ, **settings}
            stack.enter_context(mock.patch.dict(os.environ, settings))
            self._socket = socket
            self.start()
            stack.callback(self.stop)
            self._stack = stack.pop_all()
        return self

    def start(self) -> None:
        """Start the server, also after a ``stop``."""
        self._socket.unlink(missing_ok=True)  # a killed server leaves it
        self._server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
                *("--exit-idle-time=-1", "--disable-shm=yes", "--log-target=stderr"),
                f"--load=module-native-protocol-unix socket={self._socket} auth-anonymous=1",
                # without rewinds its latency is 50 ms instead of 2 s
                f"--load=module-null-sink sink_name={SINK} norewinds=1",
            ],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_up()

    @property
    def pid(self) -> int:
        return self._server.pid

    def speak(self, path: Path | str) -> None:
        """Play a file to its end."""
        self.start_speaking(path).wait()

    def start_speaking(self, path: Path | str) -> "subprocess.Popen[bytes]":
        """Play a file without waiting."""
        return subprocess.Popen(["paplay", f"--device={SINK}", str(path)], env=self.env)

    def stop(self) -> None:
        """Kill the server, as if the sound system had crashed."""
        self._server.kill()
        self._server.wait()

    def _wait_until_up(self) -> None:
        for _ in range(100):
            up = subprocess.run(["pactl", "info"], env=self.env, capture_output=True, check=False)
            if up.returncode == 0:
                return
            if self._server.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise RuntimeError("PulseAudio did not start")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
