"""The command line of the training: ``voices`` makes what ``train`` learns from."""

from pathlib import Path

import click
import torch
from tqdm import tqdm

from edge_unlock.errors import ConfigError
from edge_unlock_convert.terminal import printable
from edge_unlock_convert.training import pseudo, saved
from edge_unlock_convert.training.noise import split_noise
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.teacher import load_teacher
from edge_unlock_convert.training.train import Progress, Training
from edge_unlock_convert.training.voices import VoiceSet

SAVE_EVERY = 500
EXISTING = click.Path(path_type=Path, exists=True)
SPEECH_HELP = "A manifest, or a directory of speaker folders."


@click.command("voices")
@click.argument("recipe", type=EXISTING)
@click.option("--speech", type=EXISTING, required=True, help=SPEECH_HELP)
@click.option("--voices", type=click.Path(path_type=Path), required=True, help="Directory to fill.")
@click.option(
    "--teacher",
    "named",
    multiple=True,
    default=["edge_unlock_convert.training.teacher:camplusplus"],
    show_default=True,
    metavar="MODULE:FUNCTION",
    help="A callable (samples, rate) -> embedding. Give it once for each teacher of the recipe.",
)
def voices_command(recipe: Path, speech: Path, voices: Path, named: tuple[str, ...]) -> None:
    """Cut the speech into pieces, make pseudo-speakers, and let the teachers hear all of it."""
    settings, teachers = Recipe.load(recipe), [load_teacher(name) for name in named]
    for variant in range(settings.variants):
        if (voices / f"v{variant}.npz").exists():
            click.echo(f"v{variant} is there already")
            continue
        with tqdm(desc=f"v{variant}", unit="piece") as bar:
            made = pseudo.make(settings, speech, voices, variant, teachers, bar.update)
        click.echo(f"v{variant}: {made} pieces")


@click.command("train")
@click.argument("recipe", type=EXISTING)
@click.option("--voices", type=EXISTING, required=True, help="What the command voices made.")
@click.option("--noise", type=EXISTING, help="Manifest whose split noise is added to the speech.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Checkpoint.")
@click.option(
    "--start",
    "starts",
    type=EXISTING,
    multiple=True,
    help="A finished checkpoint, whose weights this one starts from; of several, their mean.",
)
@click.option(
    "--until", type=click.IntRange(1), help="Stop at this step; the same command resumes later."
)
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Of the network; the batches are made in one more. Another number, other roundings.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Of PyTorch: cuda is a GPU. Another one, other roundings.",
)
def train_command(  # noqa: PLR0913, PLR0917 - the options of a command
    recipe: Path,
    voices: Path,
    noise: Path | None,
    output: Path,
    starts: tuple[Path, ...],
    until: int | None,
    threads: int,
    device: str,
) -> None:
    """Carry out a recipe. A training that was broken off goes on where it was last saved."""
    torch.set_num_threads(threads)
    _check_device(device)
    settings = Recipe.load(recipe)
    if not (settings.optimization.steps or starts):
        raise ConfigError(
            f"{recipe} has no steps and nothing to start from", "Name checkpoints with --start."
        )
    training = Training(
        settings,
        [VoiceSet.load(voices, f"v{variant}") for variant in range(settings.variants)],
        None
        if noise is None
        else split_noise(noise, settings.features.sample_rate_hz, training=True),
        device=device,
    )
    if saved.is_begun(output, training.recipe):
        training.resume(output)
        if starts:
            click.echo(f"{output} goes on at step {training.step}: --start is not used", err=True)
    elif starts:
        training.start_from(*starts)
    last = min(until or settings.optimization.steps, settings.optimization.steps)
    with tqdm(total=last, initial=training.step, unit="step") as bar:

        def report(progress: Progress) -> None:
            bar.update(progress.step - bar.n)
            bar.set_postfix(distill=f"{progress.distill:.3f}", contrast=f"{progress.contrast:.2f}")

        # a recipe of no steps is saved once, too
        while training.step < last or not saved.is_begun(output, training.recipe):
            step = training.step + SAVE_EVERY - training.step % SAVE_EVERY
            training.run(min(last, step), report=report)
            training.save(output)
            rates = training.validate()
            if rates:
                told = ", ".join(f"{printable(name)} {rate:.1%}" for name, rate in rates.items())
                tqdm.write(f"step {training.step}: held-out EER: {told}")
    click.echo(f"{output}: step {training.step}, sha256 {training.sha256()}")


def _check_device(device: str) -> None:
    """Raise ``ConfigError`` where PyTorch has no such device."""
    try:
        torch.zeros(1, device=device).cpu()
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"PyTorch cannot use the device {device!r}: {reason}", "Leave --device out: cpu."
        ) from error
