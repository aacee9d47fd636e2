import pytest

from edge_unlock.errors import PolicyError
from edge_unlock.lock.trust import Trust, policy_for, trust


@pytest.fixture
def other(package):
    """A package of another manifest, such as one with other thresholds."""
    return package._replace(manifest_sha256=bytes(32))


def test_the_shipped_package_needs_nobodys_word(package):
    assert trust(package, None) is Trust.PINNED
    assert trust(package, policy_for(package)) is Trust.PINNED


def test_another_package_needs_it(other):
    with pytest.raises(PolicyError, match="not the one that ships") as caught:
        trust(other, None, is_new=True)
    assert "model accept" in caught.value.hint
    assert trust(other, policy_for(other)) is Trust.ACCEPTED


def test_a_signature_counts_for_a_new_vault_only(other):
    signed = other._replace(is_signed=True)
    assert trust(signed, None, is_new=True) is Trust.SIGNED
    with pytest.raises(PolicyError):
        trust(signed, None)
    assert trust(signed, policy_for(signed)) is Trust.SIGNED


def test_what_is_sealed_excludes_the_shipped_and_the_signed(package, other):
    for one, sealed in ((package, other), (other._replace(is_signed=True), package)):
        with pytest.raises(PolicyError, match="not the one that the vault accepts") as caught:
            trust(one, policy_for(sealed))
        assert "model accept" in caught.value.hint


def test_a_package_that_was_not_read_from_a_file_is_nobodys(package):
    with pytest.raises(PolicyError):
        trust(package._replace(manifest_sha256=b""), None, is_new=True)
