import os
from pathlib import Path

import pytest

from edge_unlock.config import CONFIG_NAME, Settings, default_home, default_keyfile
from edge_unlock.errors import ConfigError
from tests.strange import KINDS, make_strange

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
        (b"action_timeout_s = inf", "action_timeout_s"),
        (b"action_timeout_s = nan", "action_timeout_s"),
        (b"action_timeout_s = 1e400", "action_timeout_s"),
        (b"far = nan", "far"),
        (b"far = inf", "far"),
        (b"far = " + b"9" * 5000, CONFIG_NAME),
        (b"device = " + b"9" * 400, CONFIG_NAME),
        (b"device = 0x" + b"f" * 9000, CONFIG_NAME),
        (b"far = " + b"[" * 9000, "nested too deeply"),
        (b"far = " + b"{a=" * 4000, "nested too deeply"),
        (b"[" + b"a." * 8000 + b"a]", CONFIG_NAME),
        (b'keyfile = "a\\u0000b"', "keyfile"),
        (b'model = ""', "model"),
        (b"device = 1979-05-27", "device"),
    ],
)
def test_a_wrong_file_is_refused_and_named(tmp_path, content, named):
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=named):
        Settings.load(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_file_is_refused(tmp_path, kind):
    path = make_strange(tmp_path / CONFIG_NAME, kind)
    if path.parent != tmp_path:
        (tmp_path / CONFIG_NAME).symlink_to(path)
    with pytest.raises(ConfigError, match=CONFIG_NAME) as raised:
        Settings.load(tmp_path)
    assert "\n" not in str(raised.value) and raised.value.hint


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path, mode):
    path = tmp_path / CONFIG_NAME
    path.write_text("far = 0.05\n")
    path.chmod(mode)
    with pytest.raises(ConfigError, match="open to other users") as raised:
        Settings.load(tmp_path)
    assert f"chmod go-w {path}" in raised.value.hint
    path.chmod(0o644)
    assert Settings.load(tmp_path).far == 0.05


def test_a_file_in_a_directory_that_all_may_write_is_refused(tmp_path):
    home = tmp_path / "shared" / "home"
    home.mkdir(parents=True)
    (home / CONFIG_NAME).write_text("far = 0.05\n")
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(ConfigError, match="all users may write"):
        Settings.load(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path):
    (tmp_path / CONFIG_NAME).write_text("far = 0.05\n")
    os.chown(tmp_path / CONFIG_NAME, NOBODY_KNOWN, -1)
    with pytest.raises(ConfigError, match="belongs to user id 4242"):
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
