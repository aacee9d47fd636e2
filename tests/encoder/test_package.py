import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_unlock.encoder import shipped
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage, shipped_package
from edge_unlock.errors import ModelError


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(shipped_package(), tmp_path / "package"))


def edit(directory, change):
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_the_shipped_package_is_what_its_manifest_says(package):
    assert hashlib.sha256(package.model).digest() == package.sha256
    assert package.manifest.operating_point().name == package.manifest.default_operating_point
    assert package.manifest.accuracy and package.manifest.training


def test_the_shipped_package_is_the_pinned_one():
    """Fails after `ship` or `thresholds`: run `edge-unlock-convert pin models/NAME`."""
    package = ModelPackage.load(shipped_package())
    assert package.manifest_sha256.hex() == shipped.MANIFEST_SHA256


def test_a_shipped_package_with_another_manifest_is_refused(copy, monkeypatch):
    edit(copy, lambda m: m["operating_points"][0].update(threshold=-1.5))
    ModelPackage.load(copy)  # it is whole
    monkeypatch.setattr("edge_unlock.encoder.package.shipped_package", lambda: copy)
    with pytest.raises(ModelError, match="not the one of this release"):
        ModelPackage.load()


def test_the_manifest_survives_writing_and_reading(package, copy):
    (copy / "manifest.json").write_bytes(package.manifest.to_json())
    assert ModelPackage.load(copy).manifest == package.manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("features"), "features"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(schema=2), "schema"),
        (lambda m: m["features"].update(hop_samples="160"), "hop_samples"),
        (lambda m: m["features"].update(hop_samples=-1), "hop_samples"),
        (lambda m: m["model"].update(file="../model.tflite"), "model.file"),
        (lambda m: m["model"].update(sha256="00" * 32), "SHA-256"),
        (lambda m: m["encoder"].update(pooling="magic"), "pooling"),
        (lambda m: m["normalization"]["mean"].pop(), "normalization"),
        (lambda m: m.update(operating_points=[]), "operating_points"),
        (lambda m: m.update(default_operating_point="none"), "default_operating_point"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_reason(copy, change, message):
    edit(copy, change)
    with pytest.raises(ModelError, match=message) as caught:
        ModelPackage.load(copy)
    assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["features"].update(low_hz=25.0),
        lambda m: m["normalization"].update(prior_frames=51.0),
        lambda m: m["encoder"].update(pooling="mean"),
    ],
)
def test_the_front_end_hash_tells_front_ends_apart(package, copy, change):
    assert (
        ModelPackage.load(copy).manifest.front_end_sha256() == package.manifest.front_end_sha256()
    )
    edit(copy, change)
    assert (
        ModelPackage.load(copy).manifest.front_end_sha256() != package.manifest.front_end_sha256()
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": NaN}', b"\xff\xfe"])
def test_a_manifest_that_is_no_json_object_is_refused(copy, content):
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError):
        ModelPackage.load(copy)


def test_an_altered_network_is_refused(copy):
    path = copy / "model.tflite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256"):
        ModelPackage.load(copy)


def test_a_missing_package_or_file_is_named(copy, tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        ModelPackage.load(tmp_path / "nowhere")
    (copy / "model.tflite").unlink()
    with pytest.raises(ModelError, match=r"model\.tflite"):
        ModelPackage.load(copy)


def with_file(directory, part, data):
    def change(manifest):
        manifest[part] = {"file": f"{part}.bin", "sha256": hashlib.sha256(data).hexdigest()}

    (directory / f"{part}.bin").write_bytes(data)
    edit(directory, change)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"not a network" * 100])
def test_a_file_that_is_no_network_is_refused(copy, data):
    with_file(copy, "model", data)
    with pytest.raises(ModelError):
        Encoder.load(copy)


def test_a_network_of_another_shape_is_refused(copy):
    edit(copy, lambda m: m["encoder"].update(embedding_size=100))
    with pytest.raises(ModelError):
        Encoder.load(copy)


def npy(array):

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"not an array",
        npy(np.eye(3, 192, dtype=np.float64)),
        npy(np.ones((3, 192), np.float32)),
        npy(np.full((3, 192), np.nan, np.float32)),
        npy(np.zeros((0, 192), np.float32)),
        npy(np.array([{"a": 1}], object)),
    ],
)
def test_a_cohort_that_is_none_is_refused(copy, data):
    with_file(copy, "cohort", data)
    with pytest.raises(ModelError, match="cohort"):
        ModelPackage.load(copy)


def with_header(text, data=bytes(3 * 192 * 2)):
    """A .npy file with a header of this text, padded as numpy does."""
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "data",
    [
        with_header("{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000000, 192), }"),
        with_header("{'descr': '<f2', 'fortran_order': True, 'shape': (3, 192), }"),
        with_header("{'descr': '|O', 'fortran_order': False, 'shape': (3, 192), }"),
        with_header("{'descr': '<f2', 'fortran_order': False, 'shape': (-1, 192), }"),
        with_header("(" * 110),
        npy(np.eye(3, 192, dtype=np.float16)) + b"x",
        npy(np.eye(3, 192, dtype=np.float16))[:-1],
        npy(np.eye(3, 192, dtype=np.float16).astype(">f2")),
        npy(np.full((3, 192), 3e38, np.float32)),
    ],
)
def test_what_a_cohort_claims_of_itself_is_not_believed(copy, data):
    with_file(copy, "cohort", data)
    with pytest.raises(ModelError, match="the cohort is not"):
        ModelPackage.load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["operating_points"][0].update(threshold=-2.5),
        lambda m: m["operating_points"].append(m["operating_points"][0]),
        lambda m: m.update(operating_points=m["operating_points"] * 6),
        lambda m: m["calibration"].update(slope=1e308),
        lambda m: m["calibration"].update(offset=10**400),
        lambda m: m["nontarget"].update(offset=-9.0),
        lambda m: m["nontarget"].update(tail=1e-300),
        lambda m: m["encoder"].update(embedding_size=10**9),
        lambda m: m["encoder"].update(frames_stacked=10**9),
        lambda m: m["features"].update(coefficients=2**30, filters=2**30),
        lambda m: m["features"].update(fft_size=2**40),
        lambda m: m["normalization"].update(prior_frames=1e300),
        lambda m: m["normalization"]["mean"].__setitem__(0, 1e300),
        lambda m: m.update(version="1\n"),
        lambda m: m.update(name="x" * 1000),
        lambda m: m["model"].update(sha256=m["model"]["sha256"] + "\n"),
    ],
)
def test_a_manifest_out_of_bounds_is_refused(copy, change):
    edit(copy, change)
    with pytest.raises(ModelError, match="is not a model manifest"):
        ModelPackage.load(copy)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"schema": 1, "schema": 1}',
        b'{"accuracy": ' + b"[" * 100_000,
        b'{"accuracy": ' + b'{"a":' * 100_000,
        b'{"accuracy": {"huge": ' + b"9" * 100_000 + b"}}",
        b'{"closest_weight": NaN}',
        b'{"closest_weight": 1e999}',
        b"\xff",
    ],
)
def test_a_manifest_that_is_hard_to_read_is_refused(copy, raw):
    (copy / "manifest.json").write_bytes(raw)
    with pytest.raises(ModelError, match="is not a model manifest"):
        ModelPackage.load(copy)


@pytest.mark.parametrize("name", ["manifest.json", "model.tflite", "cohort.npy"])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(copy, name):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(ModelError, match="is not a regular file"):
        ModelPackage.load(copy)


def test_a_device_in_the_place_of_a_file_is_not_read(copy):
    (copy / "model.tflite").unlink()
    (copy / "model.tflite").symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="is not a regular file"):
        ModelPackage.load(copy)


def test_a_cohort_of_half_precision_is_read(copy):
    rows = np.eye(3, 192, dtype=np.float16)
    with_file(copy, "cohort", npy(rows))
    cohort = ModelPackage.load(copy).cohort
    assert cohort.dtype == np.float32
    np.testing.assert_array_equal(cohort, rows)


def test_a_cohort_smaller_than_what_scores_are_set_against_is_refused(copy):
    with_file(copy, "cohort", npy(np.eye(3, 192, dtype=np.float32)))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["closest_speakers"] = 4
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="fewer than the 4 speakers"):
        ModelPackage.load(copy)


def test_an_unknown_operating_point_names_the_known_ones(package):
    with pytest.raises(ModelError) as caught:
        package.manifest.operating_point("nope")
    assert package.manifest.default_operating_point in caught.value.hint
