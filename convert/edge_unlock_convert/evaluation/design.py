"""Which recordings are enrolled, and which are compared with what."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.corpus import UNSAID, Utterance
from edge_unlock_convert.errors import SpeechError

Integers = NDArray[np.int64]
ROUNDS = 5
"""How often other utterances are enrolled."""
MOST_TRIALS = 2_000_000
"""Of more, non-target trials are left out at random: they would add time and no knowledge."""
HINT = (
    "Give a folder a speaker, or a manifest that names them, with more recordings of each than "
    "are enrolled (--enroll)."
)


class Design(NamedTuple):
    """Trials among R ``recordings``: T pairs of a template and a recording.

    ``templates`` says which recordings are enrolled together. Of the trials, (T,) each:
    ``template`` and ``test`` by number, and whether both are of the same speaker, and of the
    same session of his. ``speakers`` (R,) are numbers, too.
    """

    recordings: Sequence[Utterance]
    speakers: Integers
    templates: Sequence[tuple[int, ...]]
    template: Integers
    test: Integers
    is_target: NDArray[np.bool_]
    same_session: NDArray[np.bool_]

    @property
    def owners(self) -> Integers:
        """The first recording of each template: who speaks there, and when."""
        return np.array([one[0] for one in self.templates], np.int64)

    @property
    def has_sessions(self) -> bool:
        """Whether both kinds of target trials are there: of the same session and of another."""
        same = self.same_session[self.is_target]
        return bool(same.any() and not same.all())

    @property
    def apart(self) -> NDArray[np.bool_]:
        """The trials that count (T,): of the same session only where there are no others."""
        return ~self.same_session if self.has_sessions else np.ones(len(self.test), bool)

    def only(self, rows: NDArray[np.bool_]) -> "Design":
        """The chosen trials (T,), of all recordings and templates."""
        return self._replace(
            template=self.template[rows],
            test=self.test[rows],
            is_target=self.is_target[rows],
            same_session=self.same_session[rows],
        )


def all_pairs(utterances: Sequence[Utterance], enroll: int, seed: int = 0) -> Design:
    """Every speaker enrolled with ``enroll`` utterances of one session, every other one compared.

    This is repeated with other utterances. Speakers with none to spare are impostors only.
    Raises ``SpeechError`` where there is no target or no non-target trial.
    """
    names, speakers = np.unique([one.speaker for one in utterances], return_inverse=True)
    if len(names) < 2:
        raise SpeechError("the speech makes no trials: it is of one speaker only", HINT)
    sessions = np.unique(
        [f"{one.speaker}\t{one.session}" for one in utterances], return_inverse=True
    )[1]
    known = np.array([one.session != UNSAID for one in utterances])
    generator = np.random.default_rng(seed)
    templates: list[tuple[int, ...]] = []
    parts = []
    enrolled = _rounds(speakers, sessions, enroll, generator)
    for chosen in enrolled:
        free = np.setdiff1d(np.arange(len(utterances)), np.concatenate(chosen))
        budget = MOST_TRIALS // (len(enrolled) * len(chosen))
        for own in chosen:
            test = _compared(free, speakers[free] == speakers[own[0]], budget, generator)
            parts.append((np.full(len(test), len(templates)), test))
            templates.append(tuple(own.tolist()))
    if not parts:
        raise SpeechError(
            f"the speech makes no trials: no speaker has more than {enroll} utterances", HINT
        )
    template, test = (np.concatenate(column) for column in zip(*parts, strict=True))
    owner = np.array([one[0] for one in templates])[template]
    design = Design(
        utterances,
        speakers,
        templates,
        template,
        test,
        speakers[owner] == speakers[test],
        (sessions[owner] == sessions[test]) & known[test],
    )
    if design.is_target.all() or not design.is_target.any():
        raise SpeechError("the speech makes no trials of both kinds", HINT)
    return design


def _rounds(
    speakers: Integers, sessions: Integers, enroll: int, generator: np.random.Generator
) -> list[list[Integers]]:
    """The utterances of every template, by rounds: none is in two templates of a round."""
    count = np.bincount(speakers)
    order = np.argsort(sessions, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(sessions))[:-1])
    enough = [one for one in groups if len(one) >= enroll and count[speakers[one[0]]] > enroll]
    rounds = []
    for _ in range(ROUNDS):
        chosen = [generator.permutation(one)[:enroll] for one in enough]
        if chosen:
            rounds.append(chosen)
    return rounds


def _compared(
    free: Integers, own: NDArray[np.bool_], budget: int, generator: np.random.Generator
) -> Integers:
    """The recordings that are compared with a template: all of its owner, and enough others."""
    others = free[~own]
    room = max(budget - int(own.sum()), 1)
    if len(others) > room:
        others = np.sort(generator.choice(others, room, replace=False))
    return np.concatenate((free[own], others))
