"""What the README says is there, and what is there the README says."""

import re
from pathlib import Path

import click
import pytest

from edge_unlock.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_and_is_in_the_readme(name):
    command = main.commands[name]
    assert command.help
    assert f"edge-unlock {name}" in README
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[-1] in README, parameter.opts


def test_the_files_that_the_readme_names_exist():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    scripts = re.findall(r"bash (deploy/\S+\.sh)", README)
    assert scripts
    for path in links + scripts:
        assert (ROOT / path).exists(), path


def test_each_promise_of_the_vault_names_a_test_that_is_there():
    text = (ROOT / "edge_unlock" / "vault" / "README.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
