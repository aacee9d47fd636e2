"""A model package: a directory with ``manifest.json``, the int8 network and its cohort.

The manifest says everything that the runtime must know of the network; what it says is
checked before use, and the bytes that were hashed are the bytes that are run.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np

from edge_unlock import files
from edge_unlock.encoder import shipped
from edge_unlock.encoder.calibration import Calibration
from edge_unlock.encoder.features import FeatureSpec, Float32, Normalization
from edge_unlock.encoder.nontarget import NonTarget, Score
from edge_unlock.encoder.signature import check_signature, read_public_key
from edge_unlock.encoder.similarity import Similarity
from edge_unlock.errors import ModelError, VaultError

MANIFEST_NAME = "manifest.json"
MAX_FILE_BYTES = 64 * 2**20
"""No model for this class of hardware is larger; a larger file is not read."""
MAX_MANIFEST_BYTES = 2**20
MAX_POINTS = 16
NPY_HEADER_BYTES = 128
"""Of a ``.npy`` file of two dimensions: numpy pads it."""

# \Z and not $, which lets a line end pass
Sha256Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")]
Line = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,100}\Z")]
"""Printable text of one line: it is shown to the owner, who decides by it."""


class PackagedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file beside the manifest, and the SHA-256 that it must have."""

    file: FileName
    sha256: Sha256Hex


class EncoderSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the network is fed and how its outputs become one embedding.

    ``frames_stacked`` feature frames make one recurrent step; ``pooling`` turns the outputs
    of all steps into the embedding: their mean weighted by ``exp`` of a second output, their
    plain mean, or the last one.
    """

    frames_stacked: Annotated[int, msgspec.Meta(gt=0, le=64)]
    embedding_size: Annotated[int, msgspec.Meta(gt=0, le=4096)]
    pooling: Literal["attention", "mean", "last"]


class OperatingPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A decision threshold on the score, named by the false-accept rate it was set for.

    It holds for the usual ``Quality``; ``NonTarget`` gives those of others, and other rates.
    """

    name: Line
    false_accept_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    threshold: Score


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The contents of ``manifest.json``.

    ``closest_speakers`` of the cohort are what a score is set against, with ``closest_weight``
    (``Similarity``; 0: it stays a cosine). ``accuracy`` and ``training`` are for people (figures
    with their conditions; data and licences); the runtime reads everything else.
    """

    schema: Literal[1]
    name: FileName
    version: Line
    model: PackagedFile
    features: FeatureSpec
    normalization: Normalization
    encoder: EncoderSpec
    operating_points: Annotated[
        tuple[OperatingPoint, ...], msgspec.Meta(min_length=1, max_length=MAX_POINTS)
    ]
    default_operating_point: str
    calibration: Calibration | None = None
    nontarget: NonTarget | None = None
    cohort: PackagedFile | None = None
    closest_speakers: Annotated[int, msgspec.Meta(ge=0, le=2**20)] = 0
    closest_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    accuracy: dict[str, Any] = {}
    training: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if len(self.normalization.mean) != self.features.coefficients:
            raise ValueError("the normalization does not fit the number of coefficients")
        names = [point.name for point in self.operating_points]
        if len(set(names)) != len(names):
            raise ValueError("two operating points have the same name")
        if self.default_operating_point not in names:
            raise ValueError(f"default_operating_point is none of {', '.join(names)}")

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The operating point of that name, or the default one.

        Raises ``ModelError`` when the model has none of that name.
        """
        wanted = name or self.default_operating_point
        for point in self.operating_points:
            if point.name == wanted:
                return point
        known = ", ".join(point.name for point in self.operating_points)
        raise ModelError(f"the model has no operating point {wanted!r}", f"Choose one of: {known}.")

    def front_end_sha256(self) -> bytes:
        """Hash of all that turns samples into the network's input and its output into embeddings.

        Embeddings are comparable only if this and the network are the same.
        """
        parts = (self.features, self.normalization, self.encoder)
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).digest()

    def to_json(self) -> bytes:
        """The manifest as it is written to disk."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class ModelPackage(NamedTuple):
    """A package that was read and found to be what its manifest says.

    ``cohort`` holds embeddings of other speakers, float32 (N, D), rows of norm 1.
    ``manifest_sha256`` is that of ``manifest.json``, which names the hashes of all else: it stands
    for the whole package. Empty for one that was not read. ``is_signed``: by the trusted key.
    """

    manifest: Manifest
    model: bytes
    cohort: Float32 | None
    manifest_sha256: bytes = b""
    is_signed: bool = False

    @classmethod
    def load(cls, path: Path | None = None, trusted_key: Path | None = None) -> "ModelPackage":
        """Read the package at ``path``, or the one that ships with edge-unlock.

        With ``trusted_key``, a PEM file with an Ed25519 public key, a package is accepted only
        if that key signed its manifest. Raises ``ModelError`` when anything is missing,
        malformed or altered, or the signature is not as it should be; so does the shipped one
        when it is not that of this release.
        """
        directory = path or shipped_package()
        raw = _read_file(directory, MANIFEST_NAME, MAX_MANIFEST_BYTES)
        sha256 = hashlib.sha256(raw).digest()
        if path is None and not is_shipped(sha256):
            raise ModelError(
                f"the model package {directory} is not the one of this release",
                "It is damaged or was altered: install edge-unlock again.",
            )
        if trusted_key is not None:
            check_signature(directory, raw, read_public_key(trusted_key))
        try:
            # of a key that is there twice, msgspec takes the last without a word
            json.loads(raw, object_pairs_hook=_refuse_twice)
            manifest = msgspec.json.decode(raw, type=Manifest)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise ModelError(
                f"{directory / MANIFEST_NAME} is not a model manifest: {error}",
                "Convert the model again, or install the package again.",
            ) from error
        model = _read_checked(directory, manifest.model)
        cohort = None
        if manifest.cohort is not None:
            cohort = _parse_cohort(
                _read_checked(directory, manifest.cohort), manifest.encoder.embedding_size
            )
        if manifest.closest_speakers > (0 if cohort is None else len(cohort)):
            raise ModelError(
                f"the cohort has fewer than the {manifest.closest_speakers} speakers that scores "
                "are set against",
                "Convert the model again.",
            )
        return cls(manifest, model, cohort, sha256, trusted_key is not None)

    @property
    def similarity(self) -> Similarity:
        """How the scores of this network's embeddings are made."""
        return self.similarity_among(None)

    def similarity_among(self, neighbours: Float32 | None) -> Similarity:
        """How they are made where voices (n, D) of other people of the place are known."""
        manifest = self.manifest
        return Similarity(
            self.cohort, manifest.closest_speakers, manifest.closest_weight, neighbours
        )

    @property
    def sha256(self) -> bytes:
        """Hash of the network's bytes."""
        return bytes.fromhex(self.manifest.model.sha256)


def shipped_package() -> Path:
    """Directory of the package that ships."""
    return Path(__file__).parents[1] / "models" / shipped.NAME


def is_shipped(manifest_sha256: bytes) -> bool:
    """Whether a package, by the SHA-256 of its manifest, is the one that ships."""
    return manifest_sha256.hex() == shipped.MANIFEST_SHA256


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")


def _read_file(directory: Path, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
    path = directory / name
    try:
        return files.read(path, None, str(path), limit, check=files.check_nothing)
    except VaultError as error:
        raise ModelError(
            f"cannot read {path}: {error}",
            "Give the directory of a model package (it holds manifest.json).",
        ) from error


def _read_checked(directory: Path, part: PackagedFile) -> bytes:
    data = _read_file(directory, part.file)
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise ModelError(
            f"{directory / part.file} is not the file that its manifest names (SHA-256 differs)",
            "The package is damaged or was altered: install it again.",
        )
    return data


def _parse_cohort(data: bytes, size: int) -> Float32:
    """Read a ``.npy`` file whose header is compared with the one that is due, and never believed.

    Raises ``ModelError`` unless it is float16 or float32 (N, ``size``) with rows of norm 1.
    """
    header, values = data[:NPY_HEADER_BYTES], data[NPY_HEADER_BYTES:]
    for dtype in (np.dtype("<f2"), np.dtype("<f4")):
        rows, rest = divmod(len(values), dtype.itemsize * size)
        if rest or not rows or header != _npy_header(dtype, (rows, size)):
            continue
        cohort: Float32 = np.frombuffer(values, dtype).reshape(rows, size).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(cohort, axis=1)
        if np.allclose(norms, 1, atol=1e-3):
            return cohort
    raise ModelError(
        f"the cohort is not float16 or float32 (N, {size}) with rows of norm 1",
        "Convert the model again.",
    )


def _npy_header(dtype: np.dtype[Any], shape: tuple[int, int]) -> bytes:
    """What ``numpy.save`` writes before an array."""
    file = io.BytesIO()
    fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)  # type: ignore[no-untyped-call]
    return file.getvalue()
