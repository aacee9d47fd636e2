"""The model card: what a person should know of a package before trusting it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_unlock.encoder.nontarget import USUAL_ENROLLED
from edge_unlock.encoder.package import MANIFEST_NAME, Manifest
from edge_unlock.errors import ConfigError
from edge_unlock_convert.network import Network
from edge_unlock_convert.quantization.compare import Comparison, ErrorRates
from edge_unlock_convert.quantization.flatbuffer import Graph
from edge_unlock_convert.quantization.lowering import SCHEMES, Scheme

NAME = "MODEL_CARD.md"
POINTS_HEADING = "## Operating points"
FIGURES_BEGIN, FIGURES_END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""Between these stands what was measured after the package was made."""

LIMITS = """\
- Voice alone is a weak factor: a good recording or a cloned voice of the right person can pass.
- Error rates are those of the speech that they were measured on. Where each speaker was
  recorded in one session on one microphone, expect more errors across days and rooms.
- A threshold holds for the front end and the speech that it was set on."""


@dataclass(frozen=True)
class Extra:
    """What the card tells beyond the manifest: the network, and how it was quantized.

    ``same_speech``: whether the comparison was made on the source of the representative speech.
    """

    network: Network
    scheme: Scheme
    range: str
    representative_utterances: int
    same_speech: bool
    weight_range: str = "minmax"


def render(manifest: Manifest, graph: Graph, comparison: Comparison, extra: Extra) -> str:
    """The card in Markdown."""
    features, spec = manifest.features, manifest.encoder
    network = extra.network
    steps_s = features.sample_rate_hz / features.hop_samples / spec.frames_stacked
    operators = ", ".join(f"{count} x {name}" for name, count in graph.operator_counts.items())
    facts = [
        ("architecture", network.shape),
        ("pooling", spec.pooling),
        ("input", f"{features.coefficients} MFCC x {spec.frames_stacked} stacked frames"),
        ("parameters", f"{network.parameters:,}"),
        ("size", f"{graph.size_bytes:,} bytes ({extra.scheme})"),
        ("operators", operators),
        ("multiplications", f"{network.macs * steps_s / 1e6:.1f} million a second of audio"),
        ("SHA-256 of the network", f"`{manifest.model.sha256}`"),
        ("score", _score(manifest)),
    ]
    parts = [
        f"# {manifest.name}, version {manifest.version}",
        "A speaker encoder for edge-unlock: speech to an embedding of the voice.",
        "## Network",
        _table(("", ""), facts),
    ]
    parts += [f"Note: {note}." for note in network.notes]
    parts += ["## What quantization did", _quantization(comparison, extra)]
    parts += [POINTS_HEADING, _operating_points(manifest)]
    parts += ["## Error rates", FIGURES_BEGIN, "Not measured yet.", FIGURES_END]
    parts += ["## Training data and licences", _training(manifest.training)]
    parts += ["## Limits", LIMITS]
    return "\n\n".join(parts) + "\n"


def set_operating_points(path: Path, manifest: Manifest) -> None:
    """Write the operating points of ``manifest`` into a card in place of those that it tells."""
    before, found, rest = path.read_text(encoding="utf-8").partition(f"{POINTS_HEADING}\n")
    _, following, after = rest.partition("\n## ")
    if not (found and following):
        raise ConfigError(
            f"{path} has no section of operating points",
            f"Add the line {POINTS_HEADING}, before another section.",
        )
    text = f"{before}{POINTS_HEADING}\n\n{_operating_points(manifest)}\n\n## {after}"
    path.write_text(text, encoding="utf-8")


def _operating_points(manifest: Manifest) -> str:
    points = [
        (point.name, f"{100 * point.false_accept_rate:g}%", f"{point.threshold:.4f}")
        for point in manifest.operating_points
    ]
    parts = [_table(("name", "false accepts", "threshold"), points)]
    if nontarget := manifest.nontarget:
        single = -nontarget.enrolled_weight * (1 - 1 / USUAL_ENROLLED)
        parts.append(
            f"The thresholds are those of one second of speech and {USUAL_ENROLLED} enrollment "
            f"utterances; each ln(seconds) adds {nontarget.seconds_weight:+.3f}, a single "
            f"utterance {single:+.3f}. A rate below {nontarget.rates[-1]:g} is extrapolated. On a "
            "corpus that they were not learned on, false accepts were rarer or "
            f"more frequent by a factor of up to {nontarget.spread:.1f}."
        )
    if calibration := manifest.calibration:
        least, greatest = calibration.magnitudes
        parts.append(
            "Natural-log likelihood ratio of one second of speech and a middle magnitude: "
            f"{calibration.slope:.2f} x score "
            f"{calibration.offset:+.2f}; each ln(seconds) adds {calibration.seconds_weight:+.2f}, "
            f"each ln(magnitude) over the middle of {least:.2f} to {greatest:.2f} "
            f"{calibration.magnitude_weight:+.2f}."
        )
    return "\n\n".join(parts)


def _score(manifest: Manifest) -> str:
    if not manifest.cohort:
        return "cosine"
    if not manifest.closest_speakers:
        return "cosine, the mean of the cohort removed"
    return (
        f"cosine, less {manifest.closest_weight:g} times the mean of those to the "
        f"{manifest.closest_speakers} most similar speakers of the cohort"
    )


def fill(path: Path, figures: str) -> None:
    """Put ``figures`` into the place that a card has for them."""
    before, found, rest = path.read_text(encoding="utf-8").partition(FIGURES_BEGIN)
    _, closed, after = rest.partition(FIGURES_END)
    if not (found and closed):
        raise ConfigError(
            f"{path} has no place for figures", f"Add the lines {FIGURES_BEGIN} and {FIGURES_END}."
        )
    text = f"{before}{FIGURES_BEGIN}\n\n{figures}\n{FIGURES_END}{after}"
    path.write_text(text, encoding="utf-8")


def quantization_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """The comparison as rows of two columns, for the card and the terminal."""
    rows = [
        ("utterances", f"{comparison.utterances}"),
        (
            "size, float to quantized",
            f"{comparison.float_bytes:,} to {comparison.quantized_bytes:,} B",
        ),
        ("cosine, median", f"{comparison.cosine_median:.5f}"),
        ("cosine, 1st percentile", f"{comparison.cosine_p1:.5f}"),
        ("cosine, least", f"{comparison.cosine_min:.5f}"),
    ]
    rows += [
        (f"signal to noise, {name}", f"{value:.1f} dB")
        for name, value in comparison.sqnr_db.items()
    ]
    if rates := comparison.error_rates:
        rows += [
            ("trials", f"{rates.target_trials:,} target, {rates.nontarget_trials:,} non-target"),
            ("speakers", f"{rates.speakers}"),
            ("EER, float", _percent(rates.eer_float, rates.eer_float_interval)),
            *_untrained_row(rates),
            ("EER, quantized", _percent(rates.eer_quantized, rates.eer_quantized_interval)),
            ("EER, change", _percent(rates.eer_delta, rates.eer_delta_interval, sign="+")),
            ("decisions flipped at the EER threshold", f"{100 * rates.flips:.3f}%"),
            ("shift of the EER threshold", f"{rates.threshold_shift:+.5f}"),
        ]
    return rows


def _untrained_row(rates: ErrorRates) -> list[tuple[str, str]]:
    if rates.eer_untrained is None:
        return []
    return [("EER, untrained network of the same shape", f"{100 * rates.eer_untrained:.2f}%")]


def _quantization(comparison: Comparison, extra: Extra) -> str:
    where = "the same" if extra.same_speech else "other"
    scheme = f"Scheme {extra.scheme}: {SCHEMES[extra.scheme]}"
    if extra.scheme == "int8":
        scheme += f", input range {extra.range}, weight range {extra.weight_range}"
    how = (
        f"{scheme}; {extra.representative_utterances} representative utterances; compared on "
        f"{where} speech. Templates are of three utterances; intervals are of 95%, by drawing "
        "speakers."
    )
    return f"{how}\n\n{_table(('figure', 'value'), quantization_rows(comparison))}"


def _training(training: dict[str, Any]) -> str:
    if not training:
        return "The checkpoint came without a word on its training data. Ask whoever trained it."
    lines = []
    for key, value in training.items():
        if not isinstance(value, dict):
            lines.append(f"- {key}: {value}")
        elif all(isinstance(part, str) for part in value.values()):
            lines.append(f"- {key}:")
            lines += [f"  - {name}: {part}" for name, part in value.items()]
        else:
            lines.append(f"- {key}: in `{MANIFEST_NAME}`")
    return "\n".join(lines)


def _percent(value: float, interval: tuple[float, float], sign: str = "") -> str:
    low, high = (f"{100 * end:{sign}.2f}" for end in interval)
    return f"{100 * value:{sign}.2f}% ({low} to {high})"


def _table(heads: tuple[str, ...], rows: list[Any]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
