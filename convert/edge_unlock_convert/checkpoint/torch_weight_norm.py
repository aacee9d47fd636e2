"""Weight normalization in state dicts, multiplied out.

A weight of it is stored in two tensors, its length and its direction: as ``NAME_g`` and ``NAME_v``,
or since PyTorch 2.0 as ``parametrizations.NAME.original0`` and ``original1``.
"""

import re
from collections.abc import Mapping

import torch

LENGTH = re.compile(r"(?P<owner>|.*\.)(?:parametrizations\.(?P<new>\w+)\.original0|(?P<old>\w+)_g)")


def multiplied_out(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with every such weight as one tensor: ``length * direction / |direction|``.

    The norm is taken over the axes along which the length is one number, as PyTorch does.
    """
    made = dict(state)
    for name, length in state.items():
        if not (match := LENGTH.fullmatch(name)):
            continue
        other = f"{name[:-1]}1" if match["new"] else f"{name[:-1]}v"
        direction = state.get(other)
        if direction is None or not _fit(length, direction):
            continue
        axes = [
            axis for axis in range(direction.ndim) if not length.ndim or length.shape[axis] == 1
        ]
        norm = torch.linalg.vector_norm(direction.float(), dim=axes, keepdim=bool(length.ndim))
        del made[name], made[other]
        made[f"{match['owner']}{match['new'] or match['old']}"] = length * direction / norm
    return made


def _fit(length: torch.Tensor, direction: torch.Tensor) -> bool:
    """Whether one is a number for all of the other, or for each part along one axis."""
    if not length.ndim:
        return bool(direction.ndim)
    pairs = zip(length.shape, direction.shape, strict=False)
    return length.ndim == direction.ndim and all(one in (1, other) for one, other in pairs)
