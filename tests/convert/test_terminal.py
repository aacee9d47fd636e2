"""What a person sees: names from a checkpoint or a package do not command the terminal."""

import pytest

from edge_unlock_convert.terminal import printable, show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("encoder.fc (64 -> 32)", "encoder.fc (64 -> 32)"),
        ("größe", "größe"),
        ("a\x1b[2J\nb", r"a\x1b[2J b"),
        ("\u202efc", r"\u202efc"),
        ("fc\udcff", r"fc\udcff"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


def test_tables_show_names_as_they_are(capsys):
    show([("[red]fc[/red]", "a\x1b[2Jb")], "[bold]title")
    shown = capsys.readouterr().out
    assert "[bold]title" in shown
    assert "[red]fc[/red]" in shown
    assert r"a\x1b[2Jb" in shown


def test_tables_cut_nothing_off(capsys):
    show([("SHA-256", "0123456789abcdef" * 8)], "package")
    shown = capsys.readouterr().out
    assert "".join(line.split("│")[2].strip() for line in shown.splitlines() if "│" in line) == (
        "0123456789abcdef" * 8
    )
