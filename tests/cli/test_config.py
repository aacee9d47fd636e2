"""What the file of settings says, and what is wrong with it."""

import json

import pytest

from edge_unlock.config import Settings
from tests.cli.conftest import assert_error

FILE = """\
refractory_s = 7
model = "/opt/\\"model\\""
[[actions]]
type = "relay"
pin = 17
[[actions]]
type = "command"
arguments = ["/bin/true", "a\\tb"]
[mqtt]
host = "broker"
"""


@pytest.fixture
def file(installation, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    installation.environment["EDGE_UNLOCK_CONFIG"] = str(path)
    return path


def test_a_right_file_is_said_to_be_right(installation, file):
    file.write_text(FILE.replace("model =", "# model ="))
    result = installation.run("config", "check")
    assert result.exit_code == 0
    assert result.output == f"ok: {file}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "/nonexistent"\n', "/nonexistent"),
        ("far = 0.02\n", "0.02"),
        ('[[actions]]\ntype = "command"\narguments = ["no-such-program"]\n', "no-such-program"),
        ('[[actions]]\ntype = "relay"\npin = 17\n' * 2, "pin"),
        ('[mqtt]\nhost = "h"\nca_file = "/nonexistent"\n', "/nonexistent"),
        ('[mqtt]\nhost = "h"\nusername = "u"\npassword_file = "/nonexistent"\n', "/nonexistent"),
    ],
    ids=["model", "rate", "program", "pin", "authority", "password"],
)
def test_what_listen_would_refuse_is_found(initialized, people, text, said):
    path = initialized.home / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    assert_error(initialized.run("config", "check"), 1, said)
    result = initialized.run("listen", "--input", people["alice"][4])
    assert_error(result, 1, said)
    assert "password" not in text or "chmod 640" in result.stderr


def test_without_a_file_defaults_hold(installation):
    result = installation.run("config", "check")
    assert result.exit_code == 0
    assert "defaults hold" in result.output


@pytest.mark.parametrize("command", [["config", "check"], ["config", "show"], ["list"]])
def test_every_command_names_the_line_that_is_wrong(initialized, tmp_path, command):
    path = tmp_path / "config.toml"
    path.write_text(FILE.replace("17", "-17"))
    result = initialized.run("--config", path, *command)
    assert_error(result, 1, f"{path}, line 5: ", "pin")


def test_what_is_shown_is_a_file_that_says_the_same(installation, file, tmp_path):
    shown = installation.run("config", "show")
    assert shown.exit_code == 0
    assert "\n# action_timeout_s = 30.0\n" in shown.output
    copy = tmp_path / "copy.toml"
    copy.write_text(shown.output)
    assert Settings.load(copy) == Settings.load(file)


def test_what_the_file_leaves_alone_stands_behind_a_mark(installation, file):
    file.write_text('refractory_s = 2\n[[actions]]\ntype = "relay"\npin = 17\n[mqtt]\nhost = "h"\n')
    lines = installation.run("config", "show").output.splitlines()
    for said in ("refractory_s = 2.0", "pin = 17", 'type = "relay"', 'host = "h"', "[[actions]]"):
        assert said in lines
    for left_alone in ("early = false", "active_high = true", "tls = true", "port is not set"):
        assert f"# {left_alone}" in lines


def test_json_has_every_setting(installation, file):
    shown = json.loads(installation.run("config", "show", "--json").output)
    assert set(shown) == set(Settings.__struct_fields__)
    assert shown["actions"][0] == {
        "type": "relay",
        "pin": 17,
        "active_high": True,
        "pulse_s": 3.0,
    }
