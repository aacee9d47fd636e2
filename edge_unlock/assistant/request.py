"""One utterance that a client sends, and who spoke it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge_unlock.assistant.answer import UNDECIDED, Speaker
from edge_unlock.assistant.utterance import Format, Utterance
from edge_unlock.errors import AssistantError, AudioError, EdgeUnlockError

if TYPE_CHECKING:
    from wyoming.event import Event

    from edge_unlock.assistant.address import Address
    from edge_unlock.assistant.connection import Connection
    from edge_unlock.assistant.judge import Judge

REQUEST_S: Final = 180.0
"""Nothing takes so long from request to answer, however slowly the bytes come."""


@dataclass(frozen=True)
class Service:
    """What all conversations share."""

    judge: Judge
    program: dict[str, Any]
    """What ``info`` says of us."""
    asr: Address | None
    """The speech-to-text server, if transcripts are offered."""
    tag: bool
    """Whether the text of a transcript names the speaker."""
    complain: Callable[[EdgeUnlockError], None]
    """Tells the operator what clients are not told."""


class Request:
    """Is heard as it arrives, and passed on to ``asr`` where it is to be transcribed.

    ``names`` are those whom the client asks for; None for all.
    """

    def __init__(
        self, service: Service, asr: Connection | None = None, names: list[str] | None = None
    ) -> None:
        self.asr = asr
        self.is_answered = False
        self.is_spoken = False
        """Whether only the answer is still to come."""
        self._service = service
        self._names = names
        self._asr_listens = True
        self._utterance: Utterance | None = None
        self._speaker: Speaker | None = None
        self._deadline_s = time.monotonic() + REQUEST_S

    @property
    def is_fresh(self) -> bool:
        """Whether its audio is still to come."""
        return self._utterance is None and not self.is_answered

    @property
    def left_s(self) -> float:
        """How long it may still take."""
        return max(0.0, self._deadline_s - time.monotonic())

    async def forward(self, event: Event) -> None:
        """Pass an event on to the speech-to-text server, as long as that takes any.

        If it does not, reading from it tells more: it may have answered already.
        """
        if self.asr is None or self.is_answered or not self._asr_listens:
            return
        try:
            await self.asr.write(event)
        except AssistantError:
            self._asr_listens = False

    async def begin(self, event: Event) -> None:
        """Audio of this format is to come; raises ``AudioError`` if it cannot be used."""
        self._utterance = await self._service.judge.run(Utterance, Format.of(event.data))

    async def hear(self, event: Event) -> None:
        """Take a chunk of audio; after the answer, none is taken any more.

        Raises ``AssistantError`` for one of another format, ``AudioError`` if it gets too long.
        """
        if self.is_answered:
            return
        await self.forward(event)
        if self._utterance is None:
            await self.begin(event)
        utterance = self._utterance
        if utterance is None or utterance.form != Format.of(event.data):
            raise AssistantError("the format of the audio changed within an utterance")
        await self._service.judge.run(utterance.push, event.payload or b"")

    async def identify(self) -> Speaker:
        """Judge what was said, once.

        An error of the vault, say, is told to the operator; a transcript is then nobody's, and for
        anything else ``AssistantError`` is raised.
        """
        if self._speaker is None:
            try:
                self._speaker = await self._judge()
            except AudioError:
                raise
            except EdgeUnlockError as error:
                self._service.complain(error)
                if self.asr is None:
                    raise AssistantError("nobody can be identified at the moment") from error
                self._speaker = Speaker(reason=UNDECIDED)
        return self._speaker

    async def _judge(self) -> Speaker:
        judge, utterance = self._service.judge, self._utterance
        heard = [] if utterance is None else await judge.run(utterance.finish)
        return Speaker.of(await judge.decide(heard), self._names)
