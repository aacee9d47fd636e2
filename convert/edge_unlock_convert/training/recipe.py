"""Every choice of a training, as one TOML file.

Where the speech lies is no choice and is given on the command line instead, so that a
recipe says the same on every machine.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_unlock.encoder.features import FeatureSpec, Positive
from edge_unlock.errors import ConfigError
from edge_unlock_convert.network import Pooling

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
RANGES = ("gain_db", "noise_snr_db", "babble_snr_db")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Common behaviour of the sections: immutable, and a mistyped key is an error.

    Numbers are finite, and of two that are a range the first is the lesser.
    """

    def __post_init__(self) -> None:
        """Check what no type says. Raises ``ValueError``."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            several = value if isinstance(value, tuple) else (value,)
            if not all(math.isfinite(one) for one in several if isinstance(one, float)):
                raise ValueError(f"`{name}` is no finite number")
            if name in RANGES and value[0] > value[1]:
                raise ValueError(f"`{name}` begins over its end")


class HeldOut(_Section, frozen=True):
    """Speakers of the training speech that are kept for choices and calibration.

    ``speakers`` names some (``corpus/speaker``); ``count`` draws further ones per corpus.
    """

    speakers: tuple[str, ...] = ()
    count: dict[str, Count] = {}


class Sampling(_Section, frozen=True):
    """What a batch is made of.

    ``corpora`` are shares of the batch (others than those named are not used; none named:
    in proportion to their speakers); within a corpus every speaker is as likely as another.
    ``original`` is the share of unchanged voices where there are pseudo-speakers too. A batch
    has one crop length out of ``crop_s`` and ``batch_s`` seconds of speech in all.
    """

    corpora: dict[str, PositiveFloat] = {}
    original: Share = 0.4
    crop_s: Annotated[tuple[PositiveFloat, ...], msgspec.Meta(min_length=1)] = (1.0, 1.5, 2.0, 3.0)
    batch_s: PositiveFloat = 128.0
    max_pieces: Positive = 96


class Augmentation(_Section, frozen=True):
    """How likely each disturbance is, and how strong.

    ``telephone`` is a line's band and mu-law, heard at the full rate; ``call`` is the same at
    8 kHz, with nothing above. ``shuffle`` sets the parts of a crop in another order; a part has a
    third of ``shuffle_frames`` at least, and all of them at most.
    """

    gain_db: tuple[float, float] = (-25.0, 3.0)
    room: Share = 0.35
    rooms: Positive = 200
    colour: Share = 0.6
    colour_db: NotNegative = 6.0
    low_pass: Share = 0.1
    noise: Share = 0.5
    noise_snr_db: tuple[float, float] = (0.0, 25.0)
    babble: Share = 0.15
    babble_snr_db: tuple[float, float] = (5.0, 20.0)
    clipping: Share = 0.05
    mu_law: Share = 0.05
    telephone: Share = 0.0
    call: Share = 0.0
    shuffle: Share = 0.0
    shuffle_frames: Positive = 45
    band_mask: Share = 0.4
    band_mask_filters: Positive = 6
    time_mask: Share = 0.4
    time_mask_steps: Count = 6


class Network(_Section, frozen=True):
    """The size of the student, and how its steps become one embedding.

    With a ``projection`` every LSTM layer gives that many outputs instead of ``hidden`` (0: none).
    ``start`` is what the LSTM is at first: random, or that of the package ``resemblyzer``. The
    ``embedding`` has so many dimensions (0: as many as the teachers' together).
    """

    hidden: Positive = 256
    layers: Positive = 2
    frames_stacked: Positive = 4
    dropout: Share = 0.15
    projection: Annotated[int, msgspec.Meta(ge=0)] = 0
    pooling: Pooling = "attention"
    start: Literal["random", "resemblyzer"] = "random"
    embedding: Annotated[int, msgspec.Meta(ge=0)] = 0


class Objective(_Section, frozen=True):
    """What the student is to reach.

    ``speaker_blend`` mixes the mean teacher embedding of the speaker into the target of each
    piece. ``distill`` weighs the distance to that target; ``contrast`` the cross-entropy of
    recognizing the voice among the mean teacher embeddings of ``negatives`` random others (0:
    of all), at ``temperature`` and with an additive cosine ``margin``. Voices whose teacher
    embeddings are closer than ``same_voice`` may be one person and are not told apart.
    ``hint`` weighs how far the hidden states are from those of the network that the training
    starts from, which hears the same speech undisturbed ("hints", Romero et al., 2015): of its
    last layer, or of ``every_layer``.
    """

    speaker_blend: Share = 0.5
    distill: NotNegative = 2.0
    contrast: NotNegative = 0.5
    temperature: PositiveFloat = 0.06
    margin: float = 0.1
    same_voice: float = 0.6
    negatives: Count = 0
    hint: NotNegative = 0.0
    every_layer: bool = False


class Shape(_Section, frozen=True):
    """What is changed when all is learned (``shaping``): unknown voices are heard better so.

    ``fine_cepstra`` multiplies what is heard of the last quarter of the cepstra: they tell more of
    pitch and of chance than of a voice. ``recurrence`` multiplies the recurrent weights of the last
    layer: the less it remembers, the less it hears of what was said before. ``attention``
    multiplies the logits of the attention: on voices that it does not know it is too sure.
    ``spread`` lengthens the directions in which the teacher's embeddings vary little, and
    ``within`` shortens those in which the student's differ within a voice: each principal one is
    divided by its variance to that power.
    """

    fine_cepstra: Share = 1.0
    recurrence: Share = 1.0
    attention: Share = 1.0
    spread: Share = 0.0
    within: Share = 0.0


class Optimization(_Section, frozen=True):
    """AdamW with linear warm-up and cosine decay; the final weights are a moving average.

    No ``steps`` leave the weights that it starts from as they are: the mean of several trainings.
    ``precision`` is that of the products of the LSTM: with bfloat16 a processor that has it
    (AVX-512 BF16, AMX) takes half the time. Weights and sums are float32 with both.
    The layers of the LSTM learn at ``recurrent_rate`` times the ``learning_rate``.
    """

    steps: Count = 10_000
    learning_rate: PositiveFloat = 2e-3
    recurrent_rate: PositiveFloat = 1.0
    warmup_steps: Count = 200
    weight_decay: NotNegative = 0.02
    gradient_limit: PositiveFloat = 3.0
    average_decay: Share = 0.999
    precision: Literal["float32", "bfloat16"] = "float32"


class Recipe(_Section, frozen=True):
    """A whole training.

    ``variants`` are the sets of voices: the recorded ones, and pseudo-speakers made of them. The
    last ``borrowing`` of them take envelopes of other voices over. ``teachers`` weigh the
    embeddings of those that the voices were made with, in their order; they are joined
    (``joint.py``).
    """

    name: str
    seed: Count = 0
    variants: Positive = 1
    borrowing: Count = 0
    teachers: Annotated[tuple[PositiveFloat, ...], msgspec.Meta(min_length=1)] = (1.0,)
    prior_frames: PositiveFloat = 50.0
    features: FeatureSpec = FeatureSpec()
    held_out: HeldOut = HeldOut()
    sampling: Sampling = Sampling()
    augmentation: Augmentation = Augmentation()
    network: Network = Network()
    objective: Objective = Objective()
    shape: Shape = Shape()
    optimization: Optimization = Optimization()

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a TOML file, and the one beside it that it ``extends``: it says what differs.

        Raises ``ConfigError`` when it cannot be read or is not a recipe.
        """
        try:
            return msgspec.convert(_keys(path), cls)
        except OSError as error:
            raise ConfigError(
                f"cannot read {error.filename}: {error.strerror}", "Name a recipe."
            ) from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConfigError(
                f"{path} is not a recipe: {error}",
                "Its keys are in convert/edge_unlock_convert/training/recipe.py.",
            ) from error


def _keys(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a recipe says, over what the one that it extends says."""
    keys = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    name = keys.pop("extends", None)
    if name is None:
        return keys
    base = (path.parent / str(name)).resolve()
    extending = (*extending, path.resolve())
    if base in extending:
        raise msgspec.ValidationError(f"{base.name} extends itself")
    return _over(_keys(base, extending), keys)


def _over(base: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``keys``, table by table."""
    changed = {
        name: _over(base[name], value)
        if isinstance(value, dict) and isinstance(base.get(name), dict)
        else value
        for name, value in keys.items()
    }
    return base | changed
