"""Kaldi's description of speech: ``wav.scp`` says where utterances lie, ``utt2spk`` who speaks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.faults import Faults

WAV_SCP, UTT2SPK = "wav.scp", "utt2spk"


class Directory:
    """Utterances by name. ``tested`` ones are not enrolled with the rest of their speaker.

    Paths in ``wav.scp`` are relative to ``root``. Raises ``SpeechError`` where a file is missing
    or wrong; a command instead of a path is never run.
    """

    def __init__(self, directory: Path, root: Path, tested: set[str]) -> None:
        scp = directory / WAV_SCP
        faults = Faults(scp)
        self._paths = {}
        for number, name, rest in _pairs(scp, faults):
            if rest.endswith("|"):
                faults.add(number, "names a command, which is not run: write the audio to a file")
            self._paths[name] = root / rest
        faults.check()
        faults = Faults(directory / UTT2SPK)
        self._speakers = {name: speaker for _, name, speaker in _pairs(directory / UTT2SPK, faults)}
        faults.check()
        self._enrolled: dict[str, list[Path]] = {}
        for name, speaker in self._speakers.items():
            if name in self._paths and name not in tested:
                self._enrolled.setdefault(speaker, []).append(self._paths[name])
        self._by_path = {path: self._speakers.get(name) for name, path in self._paths.items()}

    def recordings(self, name: str) -> Sequence[Path]:
        """Of an utterance, or of a speaker all that no trial tests. Raises ``LookupError``."""
        if name in self._paths:
            return [self._paths[name]]
        found = self._enrolled.get(name)
        if found is None:
            raise LookupError(f"{name} is neither in {WAV_SCP} nor a speaker with utterances left")
        return found

    def speaker(self, path: Path) -> str | None:
        """Who speaks in a recording; None where ``utt2spk`` does not say."""
        return self._by_path.get(path)


def _pairs(path: Path, faults: Faults) -> Iterator[tuple[int, str, str]]:
    """The lines of a file as line number, name and the rest; faults are noted."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechError(
            f"cannot read {path}: {error}", f"Put {path.name} beside the list of trials."
        ) from error
    seen = set()
    for number, line in enumerate(lines, start=1):
        name, _, rest = line.strip().partition(" ")
        if not line.strip():
            continue
        if not rest.strip():
            faults.add(number, "is not a name and a value")
        elif name in seen:
            faults.add(number, f"{name} is there twice")
        else:
            seen.add(name)
            yield number, name, rest.strip()
