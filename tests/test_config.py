import os
import re
from pathlib import Path

import pytest

from edge_unlock.config import (
    CONFIG_NAME,
    ActionSettings,
    CommandSettings,
    MqttSettings,
    PublishSettings,
    RelaySettings,
    Settings,
    WyomingSettings,
    default_home,
    default_keyfile,
)
from edge_unlock.errors import ConfigError
from tests.strange import KINDS, make_strange

NOBODY_KNOWN = 4242
EXAMPLE = Path(__file__).parents[1] / "deploy" / "config.toml"


def test_without_a_file_there_are_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert Settings.load(tmp_path / CONFIG_NAME) == Settings()
    assert default_keyfile() == tmp_path / "config" / "edge-unlock" / "keys" / "{vault}.key"


def test_a_file_is_read(tmp_path):
    (tmp_path / CONFIG_NAME).write_text('device = 3\nmodel = "/models/x"\naction_timeout_s = 5\n')
    settings = Settings.load(tmp_path / CONFIG_NAME)
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
        (b"[[actions]]\npin = 17", "type"),
        (b"[[actions]]\ntype = 'laser'", "laser"),
        (b"[[actions]]\ntype = 'relay'\npin = 17\npulse_s = inf", "pulse_s"),
        (b"[[actions]]\ntype = 'relay'\npin = -1", "pin"),
        (b"[[actions]]\ntype = 'command'\narguments = []", "arguments"),
        (b"[[actions]]\ntype = 'command'\narguments = [\"a\\u0000b\"]", "arguments"),
        (b"[[actions]]\ntype = 'mqtt'\ntopic = 'house/#'", "topic"),
        (b"[[actions]]\ntype = 'mqtt'\ntopic = '$SYS/door'", "topic"),
        (b'[[actions]]\ntype = "mqtt"\ntopic = "door\\n"', "topic"),
        (b'[mqtt]\nhost = "h"\ndiscovery_prefix = "\\uFFFF"', "discovery_prefix"),
        (b"[[actions]]\ntype = 'mqtt'\ntopic = 'house'", "broker"),
        (b"[mqtt]\nport = 1883", "host"),
        (b"[mqtt]\nhost = 'h'\nport = 70000", "port"),
    ],
)
def test_a_wrong_file_is_refused_and_named(tmp_path, content, named):
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=named):
        Settings.load(tmp_path / CONFIG_NAME)


def test_a_file_that_must_exist_is_missed(tmp_path):
    with pytest.raises(ConfigError, match=CONFIG_NAME):
        Settings.load(tmp_path / CONFIG_NAME, must_exist=True)


def test_actions_and_services_are_tables(tmp_path):
    (tmp_path / CONFIG_NAME).write_text(
        'refractory_s = 5\n[[actions]]\ntype = "relay"\npin = 17\n'
        '[[actions]]\ntype = "command"\narguments = ["/bin/true", "x"]\n'
        '[[actions]]\ntype = "mqtt"\ntopic = "door/opened"\n'
        '[mqtt]\nhost = "broker"\n[wyoming]\n'
    )
    settings = Settings.load(tmp_path / CONFIG_NAME)
    relay, command, publish = settings.actions
    assert relay == RelaySettings(pin=17)
    assert command == CommandSettings(arguments=("/bin/true", "x"))
    assert publish == PublishSettings(topic="door/opened")
    assert settings.mqtt == MqttSettings(host="broker")
    assert settings.wyoming == WyomingSettings()


def test_the_example_shows_every_setting_and_sets_none(tmp_path):
    text = EXAMPLE.read_text()
    path = tmp_path / CONFIG_NAME
    path.write_text(text)
    assert Settings.load(path) == Settings()
    path.write_text(re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE))
    settings = Settings.load(path)
    shown = [settings, *settings.actions, settings.mqtt, settings.wyoming]
    assert {type(table) for table in settings.actions} == set(ActionSettings.__args__)
    for table in shown:
        for field in table.__struct_fields__:
            assert getattr(table, field) is not None, field


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_file_is_refused(tmp_path, kind):
    path = make_strange(tmp_path / CONFIG_NAME, kind)
    if path.parent != tmp_path:
        (tmp_path / CONFIG_NAME).symlink_to(path)
    with pytest.raises(ConfigError, match=CONFIG_NAME) as raised:
        Settings.load(tmp_path / CONFIG_NAME)
    assert "\n" not in str(raised.value) and raised.value.hint


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path, mode):
    path = tmp_path / CONFIG_NAME
    path.write_text("far = 0.05\n")
    path.chmod(mode)
    with pytest.raises(ConfigError, match="open to other users") as raised:
        Settings.load(tmp_path / CONFIG_NAME)
    assert f"chmod go-w {path}" in raised.value.hint
    path.chmod(0o644)
    assert Settings.load(tmp_path / CONFIG_NAME).far == 0.05


def test_a_file_in_a_directory_that_all_may_write_is_refused(tmp_path):
    home = tmp_path / "shared" / "home"
    home.mkdir(parents=True)
    (home / CONFIG_NAME).write_text("far = 0.05\n")
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(ConfigError, match="all users may write"):
        Settings.load(home / CONFIG_NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path):
    (tmp_path / CONFIG_NAME).write_text("far = 0.05\n")
    os.chown(tmp_path / CONFIG_NAME, NOBODY_KNOWN, -1)
    with pytest.raises(ConfigError, match="belongs to user id 4242"):
        Settings.load(tmp_path / CONFIG_NAME)


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
    assert (
        Settings.load(Path("/nowhere/config.toml")) == Settings()
    )  # what needs no home goes on without


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('far = "x"', "line 1: far: must be a number, not a text"),
        ("far = 2", "line 1: far: must be a number of less than 1"),
        ("device = [1]", "line 1: device: must be a whole number or a text, not a list"),
        ("early = 1", "line 1: early: must be true or false, not a whole number"),
        ("foo = 1", "line 1: there is no such setting: foo"),
        ('[[actions]]\ntype = "relay"', "line 1: actions, no. 1: pin is missing"),
        ('[[actions]]\ntype = "lamp"', "line 2: actions, no. 1, type: cannot be 'lamp'"),
        ('[mqtt]\nhost = ""', "line 2: mqtt, host: must not be empty"),
        ('[mqtt]\nhost = "h"\nport = 99999', "port: must be a whole number of at most 65535"),
        ('[mqtt]\nhost = "h"\ntopic = "a/#"', "topic: has characters that it must not have"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path, text, words):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        Settings.load(path)
    assert str(error.value).endswith(words)
    assert not any(sign in str(error.value) for sign in "`$|")
