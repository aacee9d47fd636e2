import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_unlock.encoder.signature import read_public_key
from edge_unlock.errors import ModelError
from tests.strange import KINDS, make_strange


@pytest.fixture
def trusted(tmp_path):
    path = tmp_path / "trusted.pem"
    key = Ed25519PrivateKey.generate().public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    path.chmod(0o644)
    return path


def test_a_key_is_read(trusted):
    assert read_public_key(trusted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_file_is_no_key(tmp_path, kind):
    with pytest.raises(ModelError) as raised:
        read_public_key(make_strange(tmp_path / "key", kind))
    assert "\n" not in str(raised.value) and raised.value.hint


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_one_that_others_may_write_is_not_trusted(trusted, mode):
    trusted.chmod(mode)
    with pytest.raises(ModelError, match="open to other users") as raised:
        read_public_key(trusted)
    assert "chmod go-w" in raised.value.hint


def test_a_missing_one_is_told(tmp_path):
    with pytest.raises(ModelError, match="there is none"):
        read_public_key(tmp_path / "none")
