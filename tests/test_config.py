import os
from pathlib import Path

import pytest

from edge_unlock.config import CONFIG_NAME, Settings, default_home, default_keyfile
from edge_unlock.errors import ConfigError

NOBODY_KNOWN = 4242


def test_without_a_file_there_are_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert Settings.load(tmp_path) == Settings()
    assert default_keyfile() == tmp_path / "config" / "edge-unlock" / "keys" / "{vault}.key"


def test_a_file_is_read(tmp_path):
    (tmp_path / CONFIG_NAME).write_text('device = 3\nmodel = "/models/x"\naction_timeout_s = 5\n')
    settings = Settings.load(tmp_path)
    assert settings.device == 3
    assert settings.model == Path("/models/x")
    assert settings.action_timeout_s == 5


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"devise = 'usb'", "devise"),
        (b"action_timeout_s = 0", "action_timeout_s"),
        (b"action_timeout_s = 'long'", "action_timeout_s"),
        (b"not toml", CONFIG_NAME),
        (b"\xff", CONFIG_NAME),
    ],
)
def test_a_wrong_file_is_refused_and_named(tmp_path, content, named):
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=named):
        Settings.load(tmp_path)


def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / CONFIG_NAME).mkdir()
    with pytest.raises(ConfigError):
        Settings.load(tmp_path)


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home directory: no HOME, and no such user."""
    if os.getuid():
        pytest.skip("only root can be somebody who does not exist")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    os.setresuid(NOBODY_KNOWN, NOBODY_KNOWN, 0)
    yield
    os.setresuid(0, 0, 0)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_directory_it_is_said_what_to_set():
    for path in (default_home, default_keyfile):
        with pytest.raises(ConfigError, match="home directory") as raised:
            path()
        assert "HOME" in raised.value.hint and "--home" in raised.value.hint
    assert Settings.load(Path("/nowhere")) == Settings()  # what needs no home goes on without
