"""How many checkpoints from outside convert at the first command, and how many after one hint.

    python convert/figures/outside_pytorch.py FOLDER
    python convert/figures/outside_keras.py FOLDER
    python convert/figures/outside_formats.py FOLDER

Each takes the framework that is installed, so environments with several versions can fill one
folder; files from packages are added to its ``cases.json`` by hand. What converts is compared with
what its own framework gave (NAME.npy), where that is known.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from outside_cases import CASES_NAME, STEPS_NAME

from edge_unlock_convert import checkpoint
from edge_unlock_convert.commands.naming import named, naming_options
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.network import Network, pool, run


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    steps = np.load(folder / STEPS_NAME)[0]
    counts = {"at once": 0, "after one hint": 0, "refused": 0}
    print("| checkpoint | converts | cosine to its framework |\n| --- | --- | --- |")
    for case in json.loads((folder / CASES_NAME).read_text()):
        path, how, cosine = folder / case["file"], "at once", ""
        reason = ""
        try:
            network, pooling = read(path, ())
        except ConversionError as first:
            how, reason = "after one hint", f": `{' '.join(case['answers'])}`"
            try:
                network, pooling = read(path, case["answers"])
            except ConversionError:
                how, reason = "refused", f": {first}"
        counts[how] += 1
        expected = path.with_name(f"{path.name}.npy")
        if how != "refused" and expected.exists():
            cosine = f"{_cosine(network, pooling, steps, np.load(expected)):.6f}"
        print(f"| {case['what']} | {how}{reason} | {cosine} |", flush=True)
    print("\n" + ", ".join(f"{count} {how}" for how, count in counts.items()))


@click.command(add_help_option=False)
@click.option("--pooling")
@naming_options
def _said(**options: Any) -> tuple[checkpoint.Options, str | None]:
    return named(options, options["pooling"]), options["pooling"]


def read(path: Path, answers: tuple[str, ...]) -> tuple[Network, str]:
    """The network and its pooling, as ``quantize`` finds them with these options."""
    options, said = _said.main(list(answers), standalone_mode=False)
    network = checkpoint.read(path, options)
    found = "attention" if network.attention is not None else network.pooling
    if not (pooling := said or found):
        raise ConversionError("the checkpoint does not say how its steps become one embedding")
    return network, pooling


def _cosine(network: Network, pooling: Any, steps: Any, expected: Any) -> float:
    made = next(iter(run(network, [steps])))
    unit = pool(made.embedding, made.logit, pooling)
    return float(unit @ expected / np.linalg.norm(expected))


if __name__ == "__main__":
    main()
