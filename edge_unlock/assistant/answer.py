"""How a decision is told to an assistant: who it was and how well it matched, never a score.

Events and fields of the identity service are those that pull request 50 of the Wyoming protocol
proposes (github.com/OHF-Voice/wyoming): ``identify``, ``identified`` and ``not-identified``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from wyoming.event import Event

    from edge_unlock.encoder.package import Manifest
    from edge_unlock.scoring.recognizer import Decision

SPEAKER: Final = "speaker"
"""The field of a transcript that names who spoke."""

UNDECIDED: Final = "cannot be decided"

_TAGS: Final = re.compile(r"^\s*(\[[^\]]*\]\s*)+")


class Speaker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who spoke: ``name``, or nobody who is known, and why not."""

    name: str | None = None
    match: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, decision: Decision, among: Sequence[str] | None = None) -> Speaker:
        """What may be told of a decision, where only those ``among`` others were asked for."""
        match = None if decision.match is None else str(decision.match)
        if decision.decision == "locked out":
            return cls(reason=decision.decision)  # its reason may name whom it holds for
        if not decision.is_accepted or decision.user is None:
            return cls(match=match, reason=decision.reason or decision.decision)
        if among is not None and decision.user not in among:
            return cls(reason="nobody of those asked for")
        return cls(name=decision.user, match=match)

    def identity(self) -> Event:
        """The answer of the identity service."""
        from wyoming.event import Event

        context = msgspec.to_builtins(self)
        context.pop("name", None)
        if self.name is None:
            return Event("not-identified", {"context": context})
        return Event("identified", {"name": self.name, "context": context})

    def transcript(self, event: Event, *, tag: bool) -> Event:
        """The transcript of a speech-to-text server with who spoke.

        In its data and its context there is ``speaker``, null for nobody, whatever was in them
        before; ``match`` and ``reason`` are in the context. A text that is none is empty. With
        ``tag`` it begins with ``[name]``, as wyoming-voice-match writes it, and never with another
        such tag.
        """
        from wyoming.event import Event

        before = event.data.get("context")
        context: dict[str, Any] = dict(before) if isinstance(before, dict) else {}
        context |= {SPEAKER: self.name, "match": self.match, "reason": self.reason}
        data = event.data | {SPEAKER: self.name, "context": context}
        text = data.get("text")
        data["text"] = text = text if isinstance(text, str) else ""
        if tag:
            text = _TAGS.sub("", text)
            data["text"] = f"[{self.name}] {text}" if self.name and text else text
        return Event(event.type, data, event.payload)


def asked_for(data: dict[str, Any]) -> list[str] | None:
    """The names that an ``identify`` asks for; None for all. Of another type: nobody."""
    names = data.get("names")
    if names is None:
        return None
    if not isinstance(names, list):
        return []
    return [unicodedata.normalize("NFC", name) for name in names if isinstance(name, str)]


def identity_program(manifest: Manifest) -> dict[str, Any]:
    """What an ``info`` event says of our service. Who is enrolled it does not tell."""
    about = {"attribution": {"name": "edge-unlock", "url": ""}, "installed": True}
    model = about | {
        "name": manifest.name,
        "version": manifest.version,
        "description": "Speaker encoder",
    }
    return about | {
        "name": "edge-unlock",
        "version": version("edge-unlock"),
        "description": "Tells enrolled people by their voices",
        "models": [model],
    }


def with_identity(info: dict[str, Any], program: dict[str, Any]) -> dict[str, Any]:
    """The data of an ``info`` event with our ``program`` added."""
    others = info.get("identity")
    return info | {"identity": [*(others if isinstance(others, list) else []), program]}
