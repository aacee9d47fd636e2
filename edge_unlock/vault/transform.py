"""The secret rotation under which a template is sealed.

An orthonormal matrix leaves every cosine as it is, so nothing is lost; but a leaked
template can be revoked by drawing another matrix, and two vaults' templates of one person
cannot be linked without their keys. It is no one-way function: with the key it is undone.
"""

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from edge_unlock.vault.container import derive

TRANSFORM_ID: Final = b"chacha20-boxmuller-qr/1"  # authenticated with each template


def rotation(vmk: bytes, record_id: bytes, size: int) -> NDArray[np.float64]:
    """Return the (size, size) float64 orthonormal matrix of a record, Haar-distributed.

    Its seed goes through ChaCha20 (RFC 8439) instead of a numpy generator, for numpy promises
    no stable stream of normal variates from version to version. QR of a Gaussian matrix is
    Haar once R's diagonal is made positive: Mezzadri, "How to generate random matrices from
    the classical compact groups", Notices of the AMS 54 (2007). The same fix makes it unique,
    so every LAPACK agrees up to rounding.
    """
    seed = derive(vmk, "transform", salt=record_id)
    count = size * size
    stream = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(8 * count))
    uniform = (np.frombuffer(stream, dtype="<u4") + 0.5) / 2.0**32  # in (0, 1): log is finite
    radius = np.sqrt(-2.0 * np.log(uniform[:count]))
    gaussian = radius * np.cos(2.0 * np.pi * uniform[count:])  # Box-Muller
    q, r = np.linalg.qr(gaussian.reshape(size, size))
    return np.asarray(q * np.where(np.diag(r) < 0.0, -1.0, 1.0), dtype=np.float64)


def protect(embeddings: NDArray[np.float32], vmk: bytes, record_id: bytes) -> NDArray[np.float32]:
    """Return the (n, D) rows rotated; every cosine among them is unchanged."""
    matrix = rotation(vmk, record_id, embeddings.shape[1])
    return (embeddings.astype(np.float64) @ matrix).astype(np.float32)


def recover(protected: NDArray[np.float32], vmk: bytes, record_id: bytes) -> NDArray[np.float32]:
    """Undo ``protect``."""
    matrix = rotation(vmk, record_id, protected.shape[1])
    return (protected.astype(np.float64) @ matrix.T).astype(np.float32)
