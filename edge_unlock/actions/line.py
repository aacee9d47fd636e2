"""A GPIO output as gpiozero sees it: by lgpio, or a fake that a file tells of."""

import fcntl
import os
import tempfile
import time
from contextlib import chdir
from typing import Any

from edge_unlock.errors import ActionError, ConfigError

FAKE_VARIABLE = "EDGE_UNLOCK_FAKE_GPIO"
"""Names a file: no GPIO is touched, and each level of a line is written there.

A line each: seconds of ``time.monotonic``, number of the GPIO line, level 0 or 1.
"""

PATIENCE_S = 1.0
"""A line is waited for so long: a holder that was just killed may still be about to let it go."""


def open_line(pin: int, active_high: bool) -> Any:
    """The ``gpiozero.OutputDevice`` of GPIO line ``pin``, switched off.

    Raises ``ConfigError`` where a library is missing, and ``ActionError`` where the machine has
    no GPIO, or no such line, or another process holds it.
    """
    try:
        from gpiozero import OutputDevice  # noqa: PLC0415  # optional
        from gpiozero.exc import GPIOZeroError  # noqa: PLC0415

        fake = os.environ.get(FAKE_VARIABLE)
        # never the default one: gpiozero would fall back to whatever else is there
        factory = _fake(fake) if fake else _lgpio()
    except ImportError as error:
        raise ConfigError(
            f"a relay needs gpiozero and lgpio: {error}",
            "Install them: pip install 'edge-unlock[relay]'",
        ) from error
    except Exception as error:  # lgpio's errors and gpiozero's have nothing in common
        raise ActionError(
            f"this machine's GPIO cannot be used: {error}",
            "A relay needs a Raspberry Pi, and a user of the group gpio.",
        ) from error
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return OutputDevice(pin, active_high=active_high, pin_factory=factory)
        except GPIOZeroError as error:
            raise ActionError(
                f"there is no GPIO{pin}: {error}", "Correct the relay's pin in config.toml."
            ) from error
        except Exception as error:  # likewise: lgpio's, or a fake's
            if time.monotonic() > deadline_s:
                raise ActionError(
                    f"GPIO{pin} cannot be used: {error}",
                    "Does another program hold it? `gpioinfo` tells which.",
                ) from error
        time.sleep(0.02)


def _lgpio() -> Any:
    """gpiozero's way to the kernel, with outputs that are off from their first moment on."""
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        import lgpio  # noqa: PLC0415  # it makes a file in the working directory, may it or not

    from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin  # noqa: PLC0415

    class Pin(LGPIOPin):  # type: ignore[misc]  # published without type information
        def output_with_state(self, state: bool) -> None:
            # The inherited one makes every output low first, which is on for an active-low relay.
            # The pull holds the line, weakly, where the kernel makes an input of it at our end.
            line = self.factory._handle, self._number
            lgpio.gpio_free(*line)
            pull = lgpio.SET_PULL_UP if state else lgpio.SET_PULL_DOWN
            lgpio.gpio_claim_output(*line, int(state), pull)

    factory = LGPIOFactory()
    factory.pin_class = Pin
    return factory


def _fake(path: str) -> Any:
    """gpiozero's mock of a Pi, whose lines write to the file and belong to one process each."""
    from gpiozero.pins.mock import MockFactory, MockPin  # noqa: PLC0415

    class Pin(MockPin):  # type: ignore[misc]  # published without type information
        def __init__(self, factory: Any, info: Any) -> None:
            super().__init__(factory, info)
            self._record = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            fcntl.lockf(self._record, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._number)

        def output_with_state(self, state: bool) -> None:
            self._function = "output"
            self._set_state(state)

        def _set_state(self, value: bool) -> None:
            super()._set_state(value)
            told = f"{time.monotonic():.6f} {self._number} {int(value)}\n"
            os.write(self._record, told.encode())

    return MockFactory(pin_class=Pin)
