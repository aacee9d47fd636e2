"""Speech that is ready for training: pieces, who speaks, and what the teacher hears in them.

A ``VoiceSet`` is two files: ``<name>.npz`` (``off`` (n + 1,) first samples of the pieces,
``spk`` (n,) speakers as ``corpus/speaker``, ``emb`` float32 (n, D) teacher embeddings of norm
1, ``emb1`` and so on those of further teachers, ``transform`` (n, 4) how the voice was changed, see
``pseudo.Change``) and
``<name>.audio.npy`` (int16, mapped into memory and not read as a whole).
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import ConfigError
from edge_unlock_convert.writing import make_directory, write

FULL_SCALE = 32767

Float32s = NDArray[np.float32]


class VoiceSet(NamedTuple):
    """Pieces of one variant: the recorded voices, or pseudo-speakers made of them.

    ``further`` (n, D) each are the embeddings of teachers after the first.
    """

    audio: NDArray[np.int16]
    offsets: NDArray[np.int64]
    speakers: NDArray[np.str_]
    embeddings: NDArray[np.float32]
    transforms: NDArray[np.float32]
    further: tuple[Float32s, ...] = ()

    def __len__(self) -> int:
        return len(self.speakers)

    def piece(self, index: int) -> NDArray[np.float32]:
        """The samples (n,) of a piece, in [-1, 1]."""
        return self.cut(index, 0, int(self.offsets[index + 1] - self.offsets[index]))

    def cut(self, index: int, start: int, length: int) -> NDArray[np.float32]:
        """``length`` samples of a piece, from its sample ``start``."""
        first = int(self.offsets[index]) + start
        cut: NDArray[np.float32] = self.audio[first : first + length].astype(np.float32)
        cut /= FULL_SCALE
        return cut

    @classmethod
    def load(cls, directory: Path, name: str) -> "VoiceSet":
        """Read a cached set. Raises ``ConfigError`` when it is missing or damaged."""
        path = directory / f"{name}.npz"
        try:
            with np.load(path) as index:
                off, spk, first, changes = (index[k] for k in ("off", "spk", "emb", "transform"))
                further = tuple(index[key] for key in sorted(index) if key[:3] == "emb" != key)
            audio = np.load(directory / f"{name}.audio.npy", mmap_mode="r")
            found = cls(audio, off, spk, first, changes, further)
            found._check()
        except OSError as error:
            raise ConfigError(
                f"cannot read the voices {error.filename or path}: {error.strerror or error}",
                "Make them first: edge-unlock-convert voices.",
            ) from error
        except (EOFError, IndexError, KeyError, TypeError, ValueError, BadZipFile) as error:
            raise ConfigError(
                f"the voices {path} are damaged: {error}",
                "Make them again in another directory: edge-unlock-convert voices.",
            ) from error
        return found

    def _check(self) -> None:
        """Raise ``ValueError`` where a field is not as long as the others, or not finite."""
        rows = len(self.speakers)
        if self.audio.dtype != np.int16 or self.audio.ndim != 1 or self.speakers.dtype.kind != "U":
            raise ValueError("samples are no int16, or speakers no names")
        if self.offsets.shape != (rows + 1,) or not rows or self.transforms.shape != (rows, 4):
            raise ValueError("the pieces are not as many as their speakers")
        if self.offsets[0] != 0 or (np.diff(self.offsets) <= 0).any():
            raise ValueError("pieces overlap, or are empty")
        if self.offsets[-1] != len(self.audio):
            raise ValueError(f"{self.offsets[-1]} samples are named, {len(self.audio)} are there")
        for heard in (self.embeddings, *self.further):
            if heard.ndim != 2 or len(heard) != rows or not np.isfinite(heard).all():
                raise ValueError("embeddings are missing, or no finite numbers")

    @staticmethod
    def save(
        directory: Path,
        name: str,
        pieces: Sequence[tuple[str, NDArray[np.float32]]],
        embeddings: Sequence[Float32s],
        transforms: Sequence[tuple[float, ...]],
    ) -> None:
        """Write a set; its index comes last, so that a broken-off set is not found.

        ``embeddings`` (n, D) are of one teacher each. Raises ``ConversionError`` where it cannot.
        """
        make_directory(directory)
        lengths = [len(samples) for _, samples in pieces]
        audio = np.concatenate([samples for _, samples in pieces]).clip(-1, 1)
        whole, index = io.BytesIO(), io.BytesIO()
        np.save(whole, np.rint(audio * FULL_SCALE).astype(np.int16))
        np.savez(
            index,
            off=np.cumsum([0, *lengths]),
            spk=np.array([speaker for speaker, _ in pieces]),
            transform=np.array(transforms, np.float32),
            **{
                f"emb{number or ''}": one.astype(np.float32)
                for number, one in enumerate(embeddings)
            },
        )
        write(directory / f"{name}.audio.npy", whole.getbuffer())
        write(directory / f"{name}.npz", index.getbuffer())
