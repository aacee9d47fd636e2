"""Encoders from outside: what all that make them have in common, see ``outside_formats.py``."""

import argparse
import json
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

INPUTS, UNITS, SIZE, SPEAKERS, STEPS = 40, 64, 32, 10, 30
LAST = ("--pooling", "last")
CASES_NAME, STEPS_NAME = "cases.json", "steps.npy"


@dataclass(frozen=True)
class Case:
    """A file, what it is, and what one would answer to the first error."""

    file: str
    what: str
    answers: tuple[str, ...] = ()


def record(make: Callable[[Path, Any], Iterable[Case]]) -> None:
    """Make files in the folder that the command line names, and add them to its list.

    ``make`` gets the folder and the steps (1, T, INPUTS) that every network hears, and writes what
    the network's own framework gives for them to NAME.npy.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    steps = np.random.default_rng(0).normal(size=(1, STEPS, INPUTS)).astype(np.float32)
    np.save(folder / STEPS_NAME, steps)
    warnings.simplefilter("ignore")
    path = folder / CASES_NAME
    cases = {one["file"]: one for one in json.loads(path.read_text())} if path.exists() else {}
    cases |= {one.file: asdict(one) for one in make(folder, steps)}
    path.write_text(json.dumps(list(cases.values()), indent=1))
