"""What can go wrong on the workstation. Each error is one line and a hint, as on the device."""

from edge_unlock.errors import EdgeUnlockError


class ConversionError(EdgeUnlockError):
    """A network cannot be converted, or its package cannot be written."""


class CheckpointError(ConversionError, ValueError):
    """A checkpoint is damaged, unsafe, or no LSTM that the device can run."""


class SpeechError(ConversionError):
    """The speech for ranges or comparison is missing or is not audio."""


class QualityError(ConversionError):
    """Quantization lost more than was allowed; nothing was written."""
