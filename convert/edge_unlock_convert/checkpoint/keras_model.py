"""Keras models: ``.keras`` archives, HDF5 files and SavedModels.

The model is never loaded. Its layers are read from the JSON that describes them, its numbers
from the arrays beside it, so that nothing in the file can run: no Lambda, no custom object,
no graph.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint import keras_layers
from edge_unlock_convert.checkpoint.keras_graph import RESAVE, ROLES, Arrays, Layer, parse
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import Contents
from edge_unlock_convert.errors import CheckpointError

WEIGHTS_NAME, CONFIG_NAME = "model.weights.h5", "config.json"
KNOWN = ("LSTM", "LSTMCell", "Dense", "BatchNormalization", "Normalization")
MAX_ARRAY_BYTES = 2**28
"""Of one unpacked array; compressed data sets may claim any size."""


def read_archive(path: Path, options: Options) -> Contents:
    """Read a ``.keras`` file of Keras 2.15 or 3. Raises ``CheckpointError``."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(CONFIG_NAME))
            weights = archive.read(WEIGHTS_NAME)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", RESAVE) from error
    model = parse(config)
    with _open(io.BytesIO(weights), path) as file:
        for layer in model.layers:
            _fill(layer, _numbered(file, layer))
    return keras_layers.contents(model, options, "Keras archive")


def read_hdf5(path: Path, options: Options) -> Contents:
    """Read an ``.h5`` file. Raises ``CheckpointError``, also for one with weights alone."""
    with _open(path, path) as file:
        described = file.attrs.get("model_config")
        if described is None:
            raise CheckpointError(f"{path} holds weights without the model's layers", RESAVE)
        model = parse(json.loads(described))
        for layer in model.layers:
            group = file.get(f"model_weights/{layer.top}")
            found = [] if group is None else group.attrs.get("weight_names", [])
            names = [one.decode() if isinstance(one, bytes) else str(one) for one in found]
            if layer.top != layer.name:  # a nested model keeps the arrays of all its layers
                names = [name for name in names if layer.name in name.split("/")]
            _fill(layer, {_role(name): _array(group, name) for name in names})
    return keras_layers.contents(model, options, "Keras HDF5 file")


def read_saved_model(path: Path, options: Options) -> Contents:
    """Read the directory that Keras 2 writes. Raises ``CheckpointError``."""
    try:
        import tensorflow as tf
        from google.protobuf.message import DecodeError
        from keras.protobuf import saved_metadata_pb2
        from tensorflow.core.protobuf import trackable_object_graph_pb2
    except ImportError as error:
        raise CheckpointError(
            f"{path} is a SavedModel, which is read with TensorFlow 2.15: {error}",
            "Save the model as a file where it was trained: model.save('encoder.keras'); or, with "
            "Python 3.11: pip install 'edge-unlock[keras]'.",
        ) from error

    metadata = saved_metadata_pb2.SavedMetadata()
    objects = trackable_object_graph_pb2.TrackableObjectGraph()
    try:
        metadata.ParseFromString((path / "keras_metadata.pb").read_bytes())
        root = next(node for node in metadata.nodes if node.node_path == "root")
        model = parse(json.loads(root.metadata))
        if any(layer.top != layer.name for layer in model.layers):
            raise CheckpointError(f"{path} nests models, which a SavedModel hides", RESAVE)
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        objects.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        for number, layer in enumerate(layer for layer in model.layers if layer.roles):
            keys = _checkpoint_keys(objects, f"layer_with_weights-{number}")
            _fill(layer, {role: reader.get_tensor(key) for role, key in keys.items()})
    except (OSError, StopIteration, DecodeError, ValueError, tf.errors.OpError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} is a SavedModel without Keras's description of its layers, or damaged",
            RESAVE,
        ) from error
    return keras_layers.contents(model, options, "SavedModel")


def _checkpoint_keys(objects: Any, layer: str) -> dict[str, str]:
    """Where the arrays of a layer are stored, by role: found along the saved object graph."""

    def child(node: Any, name: str) -> Any:
        ids = [one.node_id for one in node.children if one.local_name == name]
        return objects.nodes[ids[0]] if ids else None

    holder = child(objects.nodes[0], layer)
    if holder is None:
        return {}
    # an LSTM keeps them in its cell, TimeDistributed in the layer that it wraps
    holder = child(holder, "cell") or child(holder, "layer") or holder
    found = {role: child(holder, role) for roles in ROLES.values() for role in roles}
    return {
        role: node.attributes[0].checkpoint_key
        for role, node in found.items()
        if node is not None and node.attributes
    }


@contextmanager
def _open(source: Path | io.BytesIO, path: Path) -> Iterator[Any]:
    """The HDF5 file; whatever fails while it is read is damage."""
    try:
        with h5py.File(source, "r") as file:
            yield file
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", RESAVE) from error


def _numbered(file: Any, layer: Layer) -> Arrays:
    """The arrays of a layer of an archive, which have numbers for names, in Keras's order."""
    group = layer.groups
    inner = ("cell/vars", "layer/vars", "vars")
    place = next((f"{group}/{one}" for one in inner if f"{group}/{one}" in file), None)
    found = None if place is None else file[place]
    names = [] if found is None else sorted(found, key=int)
    if len(names) > len(layer.roles) and layer.roles:
        raise CheckpointError(f"{group} holds {len(names)} arrays, which is too many", RESAVE)
    return {role: _array(found, name) for role, name in zip(layer.roles, names, strict=False)}


def _array(group: Any, name: str) -> Float32:
    """One array that lies in the file itself and has a sane size."""
    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise CheckpointError("the file links to another file", RESAVE)
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise CheckpointError(f"the file has no array {name!r}", RESAVE)
    if found.is_virtual or found.external:
        raise CheckpointError("an array lies in another file", RESAVE)
    if found.nbytes > MAX_ARRAY_BYTES:
        raise CheckpointError(
            f"the array {name!r} claims {found.nbytes:,} bytes", "This is no edge model."
        )
    values: Float32 = np.asarray(found[()], np.float32)
    return values


def _role(name: str) -> str:
    return name.removesuffix(":0").rpartition("/")[2]


def _fill(layer: Layer, arrays: Arrays) -> None:
    """Give a layer its arrays; one that cannot be converted has none that are known."""
    if not layer.roles:
        return
    missing = [role for role in layer.roles if role not in arrays]
    measured = layer.kind == "Normalization" and layer.config.get("mean") is not None
    if missing and layer.inner_kind in KNOWN and not measured:
        raise CheckpointError(
            f"the layer {layer.name!r} has no weights {', '.join(missing)}", RESAVE
        )
    layer.arrays.update(arrays)
