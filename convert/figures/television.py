"""What a television, and a stranger who does not give up, do to a door that listens.

    python convert/figures/television.py MANIFEST [--split eval] [--owners 8] > table.md

Real voices, the real vault and gatekeeper; only the clock is made. The television speaks in all
voices but the owner's, an utterance every 10 to 12 s for 4 h; the owner comes by 8 times and says
something up to 3 times. The stranger speaks every 10 s for 24 h, to a door that hears everybody and
to one where the owner's name is claimed. The last column is what the log grew by, in bytes.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from enrollment import Remembering, listen

from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.recognizer import Recognizer
from edge_unlock.scoring.scorer import Scorer, rate_name
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Vault
from edge_unlock.vault.attempts import Uptime

CORPUS = "speechocean762"
ENROLLED, TRIES, VISITS = 5, 3, 8
EVENING_S, DAY_S = 4 * 3600.0, 24 * 3600.0
RATES = (1e-2, 1e-3, 1e-4)
OUTCOMES = ("accepted", "voice does not match", "like nobody enrolled", "locked out")

Said = Sequence[Sequence[Heard]]


class Result(NamedTuple):
    """How often the owner was let in, and what came of everybody else's utterances."""

    visits: int
    outcomes: Counter[str]
    log_bytes: int


class Door:
    """A new vault with one owner, a gatekeeper before it, and a clock."""

    def __init__(self, encoder: Encoder, owner: Said, far: float, claimed: str | None) -> None:
        self._directory = TemporaryDirectory(prefix="edge-unlock-")
        home = Path(self._directory.name) / "state"
        package = encoder.package
        identity = ModelIdentity(
            package.sha256, package.manifest.front_end_sha256(), encoder.embedding_size
        )
        self._vault = Vault.create(home, KeyFile(home.with_name("key")))
        pieces = ([one.segment.samples for one in utterance] for utterance in owner)
        rows = [row for row in map(encoder.embed_pieces, pieces) if row is not None]
        consent = Consent("2026-01-31T12:00:00+00:00", "a simulation")
        self._vault.enroll("owner", np.stack(rows), identity, consent)
        self._recognizer = Recognizer(encoder, Scorer(package), identity, rate_name(far))
        self._claimed = claimed
        self._log = home / "audit.log"
        self._log_bytes = self._log.stat().st_size
        self.now_s = 10 * DAY_S

    def __enter__(self) -> "Door":
        self.gatekeeper = Gatekeeper(
            self._vault,
            self._recognizer,
            self._claimed,
            continuous=True,
            now=lambda: Uptime("boot", self.now_s),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.gatekeeper.close()
        self._vault.close()
        self._directory.cleanup()

    def say(self, utterance: Sequence[Heard]) -> str:
        """Let it be judged; returns one of ``OUTCOMES``, or what is wrong with the utterance."""
        decision = self.gatekeeper.judge(utterance)
        is_reason = decision.decision in ("rejected", "retry")
        return str(decision.reason) if is_reason else decision.decision

    @property
    def log_growth(self) -> int:
        """Bytes that were added to the log."""
        return self._log.stat().st_size - self._log_bytes


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", default="eval")
    parser.add_argument("--owners", type=int, default=8)
    arguments = parser.parse_args()
    encoder = Remembering(ModelPackage.load())
    speakers = listen(arguments.manifest, arguments.split, CORPUS)
    rng = np.random.default_rng(0)
    full = sorted(name for name, said in speakers.items() if len(said) >= ENROLLED + TRIES)
    owners = [str(name) for name in rng.choice(full, arguments.owners, replace=False)]
    print("| far | what happens | voices let in | charged | nobody | refused | log |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for far, talks in itertools.product(RATES, (False, True)):
        rows = [evening(encoder, speakers, owner, far, talks=talks) for owner in owners]
        visits = [row.visits for row in rows]
        let_in = f"owner {np.mean(visits):.1f} of {VISITS} (least {min(visits)})"
        print_row(far, f"4 h of {'television' if talks else 'silence'}: {let_in}", rows)
    for far in RATES:
        for claimed in (None, "owner"):
            rows = [day(encoder, speakers, owner, far, claimed) for owner in owners]
            print_row(far, f"24 h of a stranger, {'no' if claimed is None else 'the'} name", rows)


def print_row(far: float, what: str, rows: list[Result]) -> None:
    """One line of the table: means, and the most of what was charged."""
    cells = [f"{np.mean([row.outcomes[kind] for row in rows]):.1f}" for kind in OUTCOMES]
    cells[1] += f" (most {max(row.outcomes[OUTCOMES[1]] for row in rows)})"
    log_bytes = np.mean([row.log_bytes for row in rows])
    print(f"| {far:g} | {what} | {' | '.join(cells)} | {log_bytes:,.0f} |", flush=True)


def evening(
    encoder: Encoder, speakers: dict[str, Said], owner: str, far: float, *, talks: bool
) -> Result:
    """The television talks, or is silent, and the owner comes by."""
    rng = np.random.default_rng(1)
    voices = [one for name, said in speakers.items() if name != owner for one in said if one]
    tries = itertools.cycle(speakers[owner][ENROLLED:])
    outcomes: Counter[str] = Counter()
    came = visits = 0
    with Door(encoder, speakers[owner][:ENROLLED], far, None) as door:
        start_s = door.now_s
        while door.now_s < start_s + EVENING_S:
            door.now_s += rng.uniform(10, 12)
            if talks:
                outcomes[door.say(voices[rng.integers(len(voices))])] += 1
            if door.now_s - start_s < (came + 0.5) * EVENING_S / VISITS:
                continue
            came += 1
            for _ in range(TRIES):
                door.now_s += 5
                if door.say(next(tries)) == "accepted":
                    visits += 1
                    break
        return Result(visits, outcomes, door.log_growth)


def day(
    encoder: Encoder, speakers: dict[str, Said], owner: str, far: float, claimed: str | None
) -> Result:
    """Somebody else tries all the time."""
    rng = np.random.default_rng(2)
    stranger = str(rng.choice(sorted(speakers.keys() - {owner})))
    said = itertools.cycle([one for one in speakers[stranger] if one])
    outcomes: Counter[str] = Counter()
    with Door(encoder, speakers[owner][:ENROLLED], far, claimed) as door:
        end_s = door.now_s + DAY_S
        while door.now_s < end_s:
            door.now_s += 10
            outcomes[door.say(next(said))] += 1
        return Result(0, outcomes, door.log_growth)


if __name__ == "__main__":
    main()
