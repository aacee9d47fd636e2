"""The features that a network was trained on, in words of the usual libraries."""

from typing import Annotated, Any, Literal

import msgspec

from edge_unlock.encoder.features import Coefficients, FeatureSpec, Moderate, Positive
from edge_unlock_convert.network import Pooling

Window = Literal[
    "hamming", "hamming-periodic", "hann", "hann-periodic", "povey", "rectangular", "blackman"
]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How samples became the network's inputs in training.

    The defaults are the device's own way (``FeatureSpec``). ``convert/README.md`` documents
    every field; the checks here name the one that is wrong.
    """

    kind: Literal["mfcc", "log-mel", "mel"]
    sample_rate_hz: Positive = 16_000
    sample_scale: Annotated[float, msgspec.Meta(gt=0, le=2**31)] = 1.0
    padding: Literal["none", "zeros", "reflect"] = "none"
    window: Window = "hamming"
    window_samples: Positive = 400
    hop_samples: Positive = 160
    fft_size: Positive = 512
    remove_offset: bool = False
    preemphasis: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.97
    preemphasis_over: Literal["stream", "frame"] = "stream"
    spectrum: Literal["power", "power-per-bin", "magnitude"] = "power-per-bin"
    filters: Coefficients = 40
    low_hz: Annotated[float, msgspec.Meta(ge=0)] = 20.0
    high_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None
    mel_scale: Literal["htk", "slaney"] = "htk"
    filter_shape: Literal["bins", "hertz", "mel"] = "bins"
    filter_area: bool = False
    log: Literal["natural", "log10", "decibel"] = "natural"
    log_added: NotNegative = 0.0
    log_least: NotNegative = 0.0
    log_range_db: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    coefficients: Coefficients | None = None
    lifter: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    energy: Literal["none", "spectrum", "samples"] = "none"
    normalization: Literal["none", "statistics", "mean", "mean-and-deviation"] = "none"
    mean: tuple[Moderate, ...] | None = None
    deviation: tuple[Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)], ...] | None = None
    frames_stacked: Annotated[int, msgspec.Meta(gt=0, le=64)] | None = None
    pooling: Pooling | None = None

    def __post_init__(self) -> None:
        nyquist_hz = self.sample_rate_hz / 2
        if self.window_samples > self.fft_size:
            raise ValueError(f"`window_samples` exceeds `fft_size`, which is {self.fft_size}")
        if self.high_hz is not None and self.high_hz > nyquist_hz:
            raise ValueError(f"`high_hz` lies above half of `sample_rate_hz`, {nyquist_hz:g}")
        if self.low_hz >= (self.high_hz or nyquist_hz):
            raise ValueError("`low_hz` lies above `high_hz`")
        if self.kind == "mfcc" and self.coefficients is None:
            raise ValueError("`coefficients` is missing, which `kind` mfcc needs")
        if self.kind != "mfcc":
            for name, value in self._cepstral.items():
                if value:
                    raise ValueError(f"`{name}` is only for `kind` mfcc")
        if (self.coefficients or 0) > self.filters:
            raise ValueError(f"`coefficients` exceeds `filters`, which is {self.filters}")
        self._check_statistics()

    @property
    def _cepstral(self) -> dict[str, Any]:
        energy = self.energy != "none"
        return {"coefficients": self.coefficients, "lifter": self.lifter, "energy": energy}

    def _check_statistics(self) -> None:
        wanted = self.normalization == "statistics"
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if (values is not None) != wanted:
                state = "is missing, which needs" if wanted else "is only for"
                raise ValueError(f"`{name}` {state} `normalization` statistics")
            if values is not None and len(values) != self.size:
                raise ValueError(f"`{name}` has {len(values)} numbers, a frame has {self.size}")

    @property
    def size(self) -> int:
        """Numbers in a frame."""
        return self.coefficients or self.filters

    @property
    def is_exact(self) -> bool:
        """Whether a frame is an affine function of the device's cepstra, whatever is said."""
        return (
            self.kind != "mel"
            and self.is_fixed
            and (self.window, self.padding) == ("hamming", "none")
            and not self.remove_offset
            and (self.preemphasis_over == "stream" or not self.preemphasis)
            and self.spectrum != "magnitude"
            and (self.mel_scale, self.filter_shape) == ("htk", "bins")
            and not self.log_added
            and self.log_range_db is None
            and self.energy == "none"
        )

    @property
    def is_fixed(self) -> bool:
        """Whether normalization does the same to every utterance."""
        return self.normalization in ("none", "statistics")

    @property
    def nearest(self) -> FeatureSpec:
        """The device's features that come nearest.

        Where they are the same up to a linear map, as many cepstra as that needs; else one a
        filter, which are all that the filters tell.
        """
        return FeatureSpec(
            sample_rate_hz=self.sample_rate_hz,
            window_samples=self.window_samples,
            hop_samples=self.hop_samples,
            fft_size=self.fft_size,
            preemphasis=self.preemphasis,
            filters=self.filters,
            low_hz=self.low_hz,
            high_hz=self.high_hz or self.sample_rate_hz / 2,
            coefficients=self.size if self.is_exact else self.filters,
        )
