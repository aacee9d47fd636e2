"""What a running ``listen`` is doing, as it tells others."""

from typing import Literal, Protocol

import msgspec

KEPT = 10
"""So many of the last decisions and actions are told."""

State = Literal["starting", "listening", "unlocking", "no microphone", "stopping"]


class Microphone(msgspec.Struct, frozen=True, kw_only=True):
    """How the microphone does. Times are UTC in ISO 8601."""

    name: str
    delivers: bool
    since: str
    """Since when it has delivered, or not."""
    error: str | None = None
    """Why it does not."""
    losses: int = 0
    """How often it failed since the start."""
    overruns: int = 0
    """How often samples were lost since the start, at failures too."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as others may know it: how well the voice matched, but no score."""

    time: str
    decision: str
    user: str | None
    match: str | None
    reason: str | None
    seconds: float


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an action: ``done``, or what the log says of its failure."""

    time: str
    action: str
    outcome: str
    error: str | None = None


class Lockout(msgspec.Struct, frozen=True, kw_only=True):
    """Why nobody's voice is taken, as the last one that was refused was told."""

    reason: str
    since: str
    wait_s: int | None = None
    """How long from then on; None: until ``edge-unlock enable``."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """How the connection to the MQTT broker does."""

    broker: str
    """Where it is."""
    since: str
    """Since when it is so."""
    error: str | None = None
    """Why there is none."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at one moment."""

    state: State
    version: str
    model: str
    pid: int
    since: str
    """When it was started."""
    microphone: Microphone
    link: Link | None = None
    """None where no broker is configured."""
    lockout: Lockout | None = None
    decisions: tuple[Seen, ...] = ()
    """The last ones, the newest last."""
    actions: tuple[Done, ...] = ()
    """The last ones, the newest last."""


class Observer(Protocol):
    """Is told whenever something has changed. ``close`` is called once, at the end."""

    def update(self, status: Status) -> None:
        """Take note, and return at once: whoever calls has a microphone to hear."""

    def close(self) -> None:
        """Tell that it is over, and let go."""
