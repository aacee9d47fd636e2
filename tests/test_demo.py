import pytest

from edge_unlock import demo
from edge_unlock.errors import EdgeUnlockError


def test_the_demo_opens_for_its_owner_only():
    said = []
    demo.run_demo(said.append)
    text = "\n".join(said)
    assert f"accepted: {demo.OWNER}" in text
    assert f"rejected: {demo.OWNER}" in text


def test_the_demo_fails_when_the_stranger_is_the_owner(monkeypatch):
    monkeypatch.setattr(demo, "utterance", lambda _: demo.AUDIO / f"{demo.OWNER}-unlock.flac")
    with pytest.raises(EdgeUnlockError, match="exit status 0 instead of 3"):
        demo.run_demo(lambda _: None)
