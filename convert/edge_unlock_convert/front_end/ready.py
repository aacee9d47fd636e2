"""Ready descriptions of the usual recipes, by name: the defaults of the libraries, at 16 kHz."""

from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import replace

from edge_unlock_convert.front_end.description import Description

_DEVICE = Description(kind="log-mel")
_PSF = Description(kind="log-mel", window="rectangular", filters=26, low_hz=0.0)
_LIBROSA = Description(
    kind="log-mel",
    padding="zeros",
    window="hann-periodic",
    window_samples=2048,
    hop_samples=512,
    fft_size=2048,
    preemphasis=0.0,
    spectrum="power",
    filters=128,
    low_hz=0.0,
    mel_scale="slaney",
    filter_shape="hertz",
    filter_area=True,
    log="decibel",
    log_least=1e-10,
    log_range_db=80.0,
)
_TORCHAUDIO = Description(
    kind="log-mel",
    padding="reflect",
    window="hann-periodic",
    window_samples=400,
    hop_samples=200,
    fft_size=400,
    preemphasis=0.0,
    spectrum="power",
    filters=128,
    low_hz=0.0,
    filter_shape="hertz",
    log_added=1e-6,  # of no transform, but what people write before the logarithm
)
_KALDI = Description(
    kind="log-mel",
    sample_scale=2.0**15,
    window="povey",
    remove_offset=True,
    preemphasis_over="frame",
    spectrum="power",
    filters=23,
    filter_shape="mel",
    log_least=2.0**-23,
)

READY = MappingProxyType(
    {
        "device-mfcc": replace(_DEVICE, kind="mfcc", coefficients=40),
        "device-log-mel": _DEVICE,
        "psf-mfcc": replace(_PSF, kind="mfcc", coefficients=13, lifter=22, energy="spectrum"),
        "psf-log-mel": _PSF,
        "librosa-mfcc": replace(_LIBROSA, kind="mfcc", coefficients=20),
        "librosa-log-mel": _LIBROSA,
        "torchaudio-mfcc": replace(
            _TORCHAUDIO,
            kind="mfcc",
            coefficients=40,
            log="decibel",
            log_added=0.0,
            log_least=1e-10,
            log_range_db=80.0,
        ),
        "torchaudio-log-mel": _TORCHAUDIO,
        "kaldi-mfcc": replace(_KALDI, kind="mfcc", coefficients=13, lifter=22, energy="samples"),
        "kaldi-log-mel": _KALDI,
    }
)


def describe(fields: dict[str, Any]) -> Description:
    """A description from the fields of a file: those of a ready one (``like``), and its own.

    Raises ``ValueError`` (``msgspec.ValidationError`` is one) that names the wrong field.
    """
    own = {name: value for name, value in fields.items() if name != "like"}
    base: dict[str, Any] = {}
    if "like" in fields:
        ready = READY.get(str(fields["like"]))
        if ready is None:
            raise ValueError(f"`like` names no ready front end: there are {', '.join(READY)}")
        base = msgspec.to_builtins(ready)
    return msgspec.convert(base | own, Description)
