"""The state dict in a file: PyTorch's own, TorchScript or safetensors, nested or not."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from edge_unlock_convert.checkpoint import inert
from edge_unlock_convert.checkpoint.torch_weight_norm import multiplied_out
from edge_unlock_convert.errors import CheckpointError

NESTING_KEYS = ("state_dict", "model_state_dict", "model_state", "model")
"""Where training frameworks (Lightning the first) keep the state dict of the network."""
WRAPPER_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Put before every name by DataParallel, ``torch.compile`` and Lightning modules."""
MAX_NESTING = 6
SAVE_WEIGHTS = "Save the weights alone: torch.save(model.state_dict(), path)."
QUANTIZED = ("_rebuild_qtensor", "torch.classes.quantized", "ScriptObject", "torch.qint8")
"""Names that only a quantized network's pickle holds."""


class StateDict(NamedTuple):
    """Tensors by name, what the file is, and what was left behind on the way."""

    tensors: dict[str, torch.Tensor]
    format: str
    notes: tuple[str, ...]


def read(path: Path, members: list[str]) -> StateDict:
    """Read a file, of which ``members`` are in it if it is a zip archive.

    Raises ``CheckpointError`` when it is damaged, quantized, or holds no state dict.
    """
    if path.suffix == ".safetensors":
        return StateDict(_unwrap(_safetensors(path)), "safetensors", ())
    if inert.is_script(members):
        script = inert.tensors(_inert(path))
        if not script:
            raise CheckpointError(f"{path} is TorchScript without weights", SAVE_WEIGHTS)
        return StateDict(_unwrap(script), "TorchScript (its program is not run)", ())
    loaded, notes = load(path, bool(members))
    where, state = _state_dict(loaded, path)
    taken = (*notes, *where)
    return StateDict(_unwrap(state), "PyTorch state dict", taken)


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(
            "the library safetensors is not installed", 'pip install "edge-unlock[convert]"'
        ) from error
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file", "It may be cut short: copy it again."
        ) from error


def load(path: Path, is_archive: bool = False) -> tuple[Any, tuple[str, ...]]:
    """What ``torch.save`` wrote, and notes on what was not loaded of it.

    Of an archive with Python objects the tensors alone are read, if ``is_archive`` says that it is
    one. Raises ``CheckpointError`` when it is damaged, quantized, or holds objects otherwise.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True), ()
    except pickle.UnpicklingError as error:
        if any(name in str(error) for name in QUANTIZED) or _is_quantized(path, is_archive):
            raise CheckpointError(
                f"{path} is a quantized network",
                "Convert the float checkpoint that it was made of: quantizing twice loses twice.",
            ) from error
        names = _objects(path)
        refusal = CheckpointError(
            f"{path} holds Python objects{names and f' ({names})'}, which are never loaded: "
            "they can run any program",
            SAVE_WEIGHTS,
        )
        if not is_archive:
            raise refusal from error
        loaded = _inert(path)
        if isinstance(loaded, inert.Inert):
            loaded = inert.tensors(loaded)
        if not isinstance(loaded, Mapping) or not list(_state_dicts(loaded)):
            raise refusal from error
        note = f"Python objects in the file ({names}) were not loaded, its tensors were read"
        return loaded, (note,)
    except PermissionError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}", "See to its permissions."
        ) from error
    except Exception as error:  # a damaged file makes the unpickler fail in any way
        raise _damaged(path, error) from error


def _inert(path: Path) -> Any:
    try:
        return inert.read(path)
    except Exception as error:  # likewise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return CheckpointError(
        f"{path} is damaged or no PyTorch checkpoint: {reason}",
        "It may be cut short: copy it again.",
    )


def _objects(path: Path) -> str:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # an old or foreign pickle: the names are only for the message
        return ""
    return ", ".join(sorted(names)[:3])


def _is_quantized(path: Path, is_archive: bool) -> bool:
    return is_archive and any(name in _objects(path) for name in QUANTIZED)


def _state_dict(loaded: Any, path: Path) -> tuple[tuple[str, ...], Mapping[str, torch.Tensor]]:
    """The state dict with the LSTM, wherever it is nested; a note if there are others."""
    found = dict(_state_dicts(loaded)) if isinstance(loaded, Mapping) else {}
    if not found:
        raise CheckpointError(f"{path} holds no state dict of tensors", SAVE_WEIGHTS)
    with_lstm = {key: one for key, one in found.items() if _has_lstm(one)}
    places = with_lstm or found
    for key in NESTING_KEYS:
        places = {k: v for k, v in places.items() if key in k.split("/")} or places
    if len(places) > 1:
        raise CheckpointError(
            f"{path} holds several state dicts with an LSTM: {', '.join(places)}",
            "Save the one to convert alone: torch.save(loaded[NAME], path).",
        )
    ((place, state),) = places.items()
    others = [key for key in with_lstm if key != place]
    notes = (f"of the networks in the file {place} was taken, not {', '.join(others)}",)
    return (notes if others else ()), state


def _state_dicts(
    loaded: Mapping[Any, Any], place: str = "", depth: int = 0
) -> Iterator[tuple[str, Mapping[str, torch.Tensor]]]:
    found = {
        name: one
        for name, one in loaded.items()
        if isinstance(name, str) and isinstance(one, torch.Tensor)
    }
    # beside the tensors of an LSTM may stand numbers of training, as an epoch
    if found and (len(found) == len(loaded) or _has_lstm(found)):
        yield place, found
        return
    for key, value in loaded.items():
        if isinstance(value, Mapping) and depth < MAX_NESTING:
            yield from _state_dicts(value, f"{place}/{key}" if place else str(key), depth + 1)


def _has_lstm(state: Mapping[str, torch.Tensor]) -> bool:
    return any("weight_hh" in name for name in state)


def _unwrap(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without what wrappers put before names, and without weight normalization."""
    names = [str(name) for name in state]
    while prefix := next(
        (p for p in WRAPPER_PREFIXES if all(name.startswith(p) for name in names)), None
    ):
        names = [name.removeprefix(prefix) for name in names]
    return multiplied_out(dict(zip(names, state.values(), strict=True)))
