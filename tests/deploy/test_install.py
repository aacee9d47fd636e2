"""What install.sh refuses; that it installs is shown by container.sh, in a machine of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = (*DEPLOY.glob("*.sh"), *Path(__file__).parent.glob("*.sh"))
NOBODY = 65_534


def install(*arguments):
    return subprocess.run(
        ["bash", DEPLOY / "install.sh", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(result, *words):
    assert result.returncode == 1
    assert result.stderr.startswith("deploy/install.sh: error: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--erase-vault"], "belong to --uninstall"),
        (["--yes"], "belong to --uninstall"),
        (["--unistall"], "no option --unistall"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(arguments, said):
    assert_refused(install(*arguments), said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("arguments", [[], ["--uninstall", "--erase-vault", "--yes"]])
def test_only_root_may(tmp_path, arguments):
    # the checkout may lie where nobody but root gets
    for name in ("install.sh", "common.sh"):
        (tmp_path / "deploy").mkdir(exist_ok=True)
        shutil.copy(DEPLOY / name, tmp_path / "deploy")
    for directory in (tmp_path, *tmp_path.parents):
        if not directory.stat().st_mode & 0o005:
            directory.chmod(0o755)
    result = subprocess.run(
        ["bash", tmp_path / "deploy" / "install.sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY,
    )
    assert_refused(result, "only root")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_grammatical(script):
    shell = script.read_text().splitlines()[0].rsplit("/", 1)[-1].removeprefix("env ")
    subprocess.run([shell if shell in {"sh", "bash"} else "bash", "-n", script], check=True)
