from pathlib import Path

import pytest

from edge_unlock.config import CONFIG_NAME, Settings
from edge_unlock.errors import ConfigError


def test_without_a_file_there_are_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = Settings.load(tmp_path)
    assert settings.device is None
    assert settings.keyfile == tmp_path / "config" / "edge-unlock" / "vault.key"


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
