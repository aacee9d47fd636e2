import pytest

from edge_unlock.actions.line import FAKE_VARIABLE
from tests.cli.conftest import assert_error
from tests.gpio import PIN, Line

RELAYS = f"""
[[actions]]
type = "relay"
pin = {PIN}
[[actions]]
type = "command"
arguments = ["/bin/false"]
[[actions]]
type = "relay"
pin = 22
active_high = false
"""


@pytest.fixture
def configure(installation):
    def write(text):
        installation.home.mkdir()
        (installation.home / "config.toml").write_text(text)

    return write


@pytest.fixture
def line(tmp_path, monkeypatch):
    monkeypatch.setenv(FAKE_VARIABLE, str(tmp_path / "gpio"))
    return Line(tmp_path / "gpio")


def test_every_relay_is_switched_off_and_nothing_else_happens(installation, configure, line):
    configure(RELAYS)
    line.path.write_text(f"1.0 {PIN} 1\n")  # left on
    result = installation.run("relay-off")
    assert (result.exit_code, result.stdout) == (0, f"GPIO{PIN} is off\nGPIO22 is off\n")
    assert not line.is_on
    _, *levels = (told.split()[1:] for told in line.path.read_text().splitlines())
    assert {tuple(level) for level in levels} == {(str(PIN), "0"), ("22", "1")}


def test_one_that_cannot_be_switched_keeps_no_other_on(installation, configure, line):
    configure('[[actions]]\ntype = "relay"\npin = 53\n' + RELAYS)
    assert_error(installation.run("relay-off"), 1, "GPIO53")
    assert line.levels()


@pytest.mark.usefixtures("line")
def test_without_a_relay_there_is_nothing_to_do(installation):
    assert installation.run("relay-off").exit_code == 0


def test_without_gpio_it_is_said(installation, configure, monkeypatch):
    monkeypatch.delenv(FAKE_VARIABLE, raising=False)
    configure(RELAYS)
    assert_error(installation.run("relay-off"), 1, "GPIO cannot be used")
