"""The training loop: a student that learns to hear voices as a teacher does.

Each step draws its batch, its disturbances and its dropout from the seed and its own number,
so that a training that was broken off and resumed ends in the very same weights.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_unlock.encoder.features import Normalization
from edge_unlock.encoder.package import EncoderSpec
from edge_unlock.errors import ConfigError
from edge_unlock_convert.errors import CheckpointError, ConversionError
from edge_unlock_convert.front_end import FrontEnd as DeviceFrontEnd
from edge_unlock_convert.training import saved, shaping, start
from edge_unlock_convert.training.augment import Augmenter
from edge_unlock_convert.training.front_end import FrontEnd
from edge_unlock_convert.training.joint import join
from edge_unlock_convert.training.objective import Objectives, hint
from edge_unlock_convert.training.pieces import Pieces
from edge_unlock_convert.training.recipe import HeldOut, Recipe
from edge_unlock_convert.training.sampler import Batch, Sampler
from edge_unlock_convert.training.student import Student, Weights
from edge_unlock_convert.training.validation import Validation
from edge_unlock_convert.training.voices import VoiceSet

STATISTICS_BATCHES = 40
TRAINED_PIECES, TRAINED_S = (8, 4), 3.0
"""Embeddings are shaped by recordings of trained speakers: at most and at least so many pieces
of each, of so many seconds."""


class Progress(NamedTuple):
    """How far a training is: step, mean losses since the last report, seconds since the start."""

    step: int
    distill: float
    contrast: float
    hint: float
    elapsed_s: float


class _Prepared(NamedTuple):
    """The input of one step.

    The seed of its dropout, its batch, the disturbed features, and the hidden states that those of
    the student are held to.
    """

    seed: int
    batch: Batch
    features: Tensor
    hints: list[Tensor]


class Training:
    """A recipe that is being carried out.

    ``recipe`` names who is held out, where the one that was given draws some. ``voices`` are the
    recorded voices and their variants, held-out speakers already removed by the sampler;
    ``noise`` is one long recording (n,) in [-1, 1]. Everything that decides the result is in the
    recipe, these, and the number of threads; or the ``device`` of PyTorch.
    """

    def __init__(
        self,
        recipe: Recipe,
        voices: list[VoiceSet],
        noise: NDArray[np.float32] | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self._source = start.source(recipe, device)
        voices = join(voices, recipe.teachers, recipe.network.embedding)
        self.step = 0
        self.sampler = Sampler(recipe, voices, device)
        # by name: among other speakers the same count would draw others, trained ones too
        held_out = HeldOut(speakers=tuple(sorted(self.sampler.held_out)))
        self.recipe = msgspec.structs.replace(recipe, held_out=held_out)
        self._augmenter = Augmenter(
            recipe.augmentation, noise, recipe.features.sample_rate_hz, recipe.seed, device
        )
        self._objectives = Objectives(recipe.objective, self.sampler)
        self.front_end = FrontEnd(recipe.features, recipe.network.frames_stacked, device=device)
        self.normalization = self._statistics()
        self.front_end.normalization = self.normalization
        torch.manual_seed(recipe.seed)
        size, network = self.sampler.embedding_size, recipe.network
        inputs = network.frames_stacked * recipe.features.coefficients
        self.student = Student(inputs, network, size)
        if self._source is not None:
            self.student.take_over(self._source)
        self.student.to(device)
        self.student.low_precision = recipe.optimization.precision == "bfloat16"
        self._validation = Validation(voices[0], self.sampler.held_out)
        self._trained = Pieces(voices[0], self.sampler.speakers, *TRAINED_PIECES)
        if (recipe.shape.spread or recipe.shape.within) and not len(self._trained):
            raise ConfigError(
                "nobody who is trained on has pieces enough to shape the embedding by",
                f"Give {TRAINED_PIECES[1]} pieces of some speakers, or shape without "
                "spread and within.",
            )
        self._average = {name: value.clone() for name, value in self.student.state_dict().items()}
        self._optimizer = torch.optim.AdamW(
            list(self._parameter_groups()), lr=recipe.optimization.learning_rate
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._rate)

    def run(
        self,
        until: int | None = None,
        *,
        report: Callable[[Progress], None] = lambda progress: None,
        report_every: int = 50,
    ) -> None:
        """Train up to step ``until`` (the recipe's last one, by default)."""
        steps = self.recipe.optimization.steps
        last = steps if until is None else min(until, steps)
        started = time.monotonic()
        losses: list[Tensor] = []
        self.student.train()
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._prepare, self.step)
            while self.step < last:
                prepared = coming.result()
                coming = ahead.submit(self._prepare, self.step + 1)
                losses.append(self._advance(prepared))
                if self.step % report_every == 0 or self.step == last:
                    means = torch.stack(losses).mean(0).tolist()
                    if not np.isfinite(means).all():
                        raise ConversionError(
                            f"the training diverged before step {self.step}: a loss is no number",
                            "Lower optimization.learning_rate; what was saved before is whole.",
                        )
                    distill, contrast, apart = means
                    elapsed_s = time.monotonic() - started
                    report(Progress(self.step, distill, contrast, apart, elapsed_s))
                    losses = []

    def validate(self) -> dict[str, float]:
        """EER of what is shipped on held-out speakers, by corpus and seconds of speech."""
        return self._validation.error_rates(self.averaged_state(), self.student, self.front_end)

    def averaged_state(self) -> Weights:
        """The moving average of the weights, shaped: what is shipped."""
        state = {name: value.clone().cpu() for name, value in self._average.items()}
        shape = self.recipe.shape
        layers, coefficients = self.recipe.network.layers, self.recipe.features.coefficients
        shaping.damp(state, shape, coefficients, layers)
        if shape.spread:
            shaping.turn(state, shaping.spread(self._trained.targets, shape.spread))
        if shape.within:
            heard = self._embeddings(state)
            shaping.turn(state, shaping.within(heard, self._trained.speakers, shape.within))
        return state

    def sha256(self) -> str:
        """Hash of what is shipped."""
        digest = hashlib.sha256()
        for name, value in sorted(self.averaged_state().items()):
            digest.update(name.encode() + value.numpy().tobytes())
        return digest.hexdigest()

    def save(self, directory: Path) -> None:
        """Write the checkpoint for the converter, and what is needed to resume (``saved``)."""
        encoder = EncoderSpec(
            frames_stacked=self.recipe.network.frames_stacked,
            embedding_size=self.sampler.embedding_size,
            pooling=self.recipe.network.pooling,
        )
        front_end = DeviceFrontEnd(
            features=self.recipe.features, normalization=self.normalization, encoder=encoder
        )
        progress = {
            "step": self.step,
            "student": self.student.state_dict(),
            "average": self._average,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "normalization": msgspec.to_builtins(self.normalization),
        }
        saved.save(directory, self.averaged_state(), front_end, self.recipe, progress)

    def resume(self, directory: Path) -> None:
        """Continue what ``save`` wrote.

        Raises ``ConfigError`` if it is of another recipe, ``CheckpointError`` if it is damaged.
        """
        if Recipe.load(directory / saved.RECIPE_NAME) != self.recipe:
            raise ConfigError(
                f"{directory} was made with another recipe",
                "Resume with the recipe.toml that lies there, or choose another directory.",
            )
        state, steps = saved.progress(directory, self._average), self.recipe.optimization.steps
        try:
            self.student.load_state_dict(state["student"])
            self._average = {
                name: value.to(self.device) for name, value in state["average"].items()
            }
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            self.normalization = msgspec.convert(state["normalization"], Normalization)
            self.step = state["step"]
            if not (isinstance(self.step, int) and self.step in range(steps + 1)):
                raise ValueError(f"it is at step {self.step}")
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{directory / saved.RESUME_NAME} is of another training: {error}",
                "Start again in another directory.",
            ) from error
        self.front_end.normalization = self.normalization

    def start_from(self, *directories: Path) -> None:
        """Take the weights and the normalization that trainings shipped, but not their prior.

        Of several that began alike it takes the mean (``start.mean``). Weights that are to be
        trained further are turned to where the joined teachers have their embeddings. Raises
        ``ConfigError`` when the inputs of the checkpoints are not those of the recipe, and
        ``CheckpointError`` when one cannot be read or has another network.
        """
        self.normalization = start.normalization(self.recipe, *directories)
        self.front_end.normalization = self.normalization
        someone = bool(len(self._trained))
        state = start.mean(
            *directories, like=self._average, embed=self._embeddings if someone else None
        )
        if len(self.recipe.teachers) > 1 and self.recipe.optimization.steps and someone:
            # the principal directions of what the teachers hear are others with other voices
            targets = self._trained.targets
            shaping.turn(state, shaping.rotation(self._embeddings(state), targets))
        self.student.load_state_dict(state)
        self._average = {name: value.clone().to(self.device) for name, value in state.items()}

    def _embeddings(self, state: Weights) -> NDArray[np.float32]:
        """What such weights make of the pieces (n, D) of who is trained on."""
        return self._trained.embed(state, self.student, self.front_end, TRAINED_S)

    def _rate(self, step: int) -> float:
        settings = self.recipe.optimization
        warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
        return warm * 0.5 * (1 + float(np.cos(np.pi * min(1.0, step / max(1, settings.steps)))))

    def _parameter_groups(self) -> Iterator[dict[str, Any]]:
        """What decays and what does not, in the LSTM and behind it, each at its rate."""
        settings = self.recipe.optimization
        for recurrent in (True, False):
            rate = settings.learning_rate * (settings.recurrent_rate if recurrent else 1.0)
            for matrices in (True, False):
                yield {
                    "params": [
                        parameter
                        for name, parameter in self.student.named_parameters()
                        if name.startswith("lstm.") == recurrent
                        and (parameter.ndim > 1) == matrices
                    ],
                    "lr": rate,
                    "weight_decay": settings.weight_decay if matrices else 0.0,
                }

    def _prepare(self, step: int) -> "_Prepared":
        """The input of a step: runs in a thread beside the network, and uses no shared state."""
        generator = np.random.default_rng((self.recipe.seed, step))
        seed = int(generator.integers(2**31))
        batch = self.sampler.batch(generator)
        front_end, augmenter = self.front_end, self._augmenter
        heard = augmenter.samples(batch.samples, generator)
        log_mel = augmenter.mask_bands(front_end.log_mel(heard), generator)
        steps = front_end.steps(batch.lengths)
        counts = (steps * front_end.frames_stacked).cpu().numpy()
        order = augmenter.order(counts, log_mel.shape[1], generator)
        normalized = front_end.normalize(front_end.cepstrum(_in_order(log_mel, order)))
        features = augmenter.mask_steps(front_end.stack(normalized), generator)
        return _Prepared(seed, batch, features, self._hints(batch.samples, order))

    def _hints(self, samples: Tensor, order: Tensor) -> list[Tensor]:
        """The source's hidden states (B, steps, H) at the end of each step, undisturbed."""
        if self._source is None or not self.recipe.objective.hint:
            return []
        stacked = self.front_end.frames_stacked
        with torch.no_grad():
            states = self._source.states(_in_order(self._source.frames(samples), order))
        wanted = states if self.recipe.objective.every_layer else states[-1:]
        return [one[:, stacked - 1 :: stacked] for one in wanted]

    def _advance(self, prepared: "_Prepared") -> Tensor:
        seed, batch, features, hints = prepared
        torch.manual_seed(seed)
        weights = self.recipe.objective
        steps = self.front_end.steps(batch.lengths)
        states = self.student.states(features, weights.every_layer)
        distill, contrast = self._objectives(self.student.pooled(states[-1], steps), batch)
        loss = weights.distill * distill + weights.contrast * contrast
        apart = hint(states, hints, steps) if hints else torch.zeros((), device=self.device)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss + weights.hint * apart)
        torch.nn.utils.clip_grad_norm_(
            self.student.parameters(), self.recipe.optimization.gradient_limit
        )
        self._optimizer.step()
        self._schedule.step()
        self.step += 1
        # a young average follows quickly, so that it does not remember the first weights
        decay = min(self.recipe.optimization.average_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.student.state_dict().items():
            self._average[name].lerp_(value, 1 - decay)
        return torch.stack((distill, contrast, apart)).detach()

    def _statistics(self) -> Normalization:
        """Mean and deviation of the cepstra of disturbed training speech."""
        generator = np.random.default_rng((self.recipe.seed, 2**32))
        frames = []
        for _ in range(STATISTICS_BATCHES):
            batch = self.sampler.batch(generator, pieces=8)
            cepstrum = self.front_end.cepstrum(
                self.front_end.log_mel(self._augmenter.samples(batch.samples, generator))
            )
            frames.append(cepstrum.flatten(0, 1).double().cpu())
        every = torch.cat(frames)
        return Normalization(
            mean=tuple(every.mean(0).tolist()),
            deviation=tuple(every.std(0).tolist()),
            prior_frames=self.recipe.prior_frames,
        )


def _in_order(frames: Tensor, order: Tensor) -> Tensor:
    """Frames (B, T, F), taken from where ``order`` (B, T) says."""
    return frames.gather(1, order[:, :, None].expand(-1, -1, frames.shape[2]))
