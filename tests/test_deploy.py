"""What setup.sh says where it cannot go on, what share.sh writes, what a distribution holds."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
DEPLOY = CHECKOUT / "deploy"
TOOLS = ("bash", "cat", "dirname", "env", "grep", "mktemp", "rm", "sed", "tail", "uname")
BY_HAND = "ask an administrator to run: apt-get install --no-install-recommends python3-venv"

# stand-ins, since the real ones need root, and some a system that this is not
ABSENT_PACKAGES = {"dpkg-query": "exit 1"}
NO_VENV = {"python3": "exit 1"}
USER = {"id": "echo 1000"}
ROOT = {"id": "echo 0"}
BARE = ABSENT_PACKAGES | NO_VENV | {"dpkg": "echo amd64", "apt-get": "exit 0"}


def set_up(directory: Path, programs: dict[str, str], *arguments: str):
    """Run setup.sh in a checkout without .venv where there are only ``programs``: name to shell."""
    (directory / "deploy").mkdir()
    for name in ("setup.sh", "common.sh"):
        shutil.copy(DEPLOY / name, directory / "deploy")
    path = directory / "bin"
    path.mkdir()
    for tool in set(TOOLS) - set(programs):
        (path / tool).symlink_to(shutil.which(tool))
    for name, code in programs.items():
        (path / name).write_text(f"#!/bin/sh\n{code}\n")
        (path / name).chmod(0o755)
    return subprocess.run(
        [path / "bash", directory / "deploy" / "setup.sh", *arguments],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        pytest.param(BARE | USER, f"no sudo: {BY_HAND}", id="no sudo"),
        pytest.param(
            BARE | USER | {"sudo": "echo 'bob is not in the sudoers file.' >&2; exit 1"},
            f"sudo refuses (bob is not in the sudoers file.): {BY_HAND}",
            id="no right to sudo",
        ),
        pytest.param(
            BARE
            | ROOT
            | {
                "apt-get": "echo W: slow >&2; echo E: no route >&2; echo E: unable >&2; exit 100",
            },
            f"(E: no route): see to the network, or {BY_HAND}",
            id="no network for apt-get",
        ),
        pytest.param(
            {name: code for name, code in BARE.items() if name != "apt-get"} | ROOT,
            "no apt-get here: install what Debian calls python3-venv",
            id="no apt-get",
        ),
        pytest.param(BARE | {"dpkg": "echo armhf"}, "64-bit Raspberry Pi OS", id="32-bit system"),
        pytest.param(
            {"uname": "echo riscv64"}, "riscv64 is not supported", id="machine without wheels"
        ),
        pytest.param(
            BARE
            | {
                "python3": """case $* in
                *version_info*) exit 1;;
                --version) echo Python 3.9.2;;
                esac"""
            },
            "Python 3.9.2 is too old",
            id="old Python",
        ),
        pytest.param(
            BARE | {"python3": "case $* in *maxsize*) exit 1;; esac"},
            "64-bit Python",
            id="32-bit Python",
        ),
        pytest.param(
            BARE
            | {
                "python3": """case $* in
                *" venv "*)
                    /bin/mkdir -p "$3/bin"
                    echo '#!/bin/sh' >"$3/bin/pip"
                    echo 'echo error: nested; echo "  ERROR: no network"; exit 1' >>"$3/bin/pip"
                    /bin/chmod +x "$3/bin/pip"
                    /bin/ln -s /bin/true "$3/bin/python";;
                esac"""
            },
            "(ERROR: no network): see to the network; all is told by: ",
            id="no network for pip",
        ),
    ],
)
def test_where_setup_cannot_go_on_one_line_says_what_to_do(tmp_path, programs, said):
    result = set_up(tmp_path, programs, "--no-microphone")
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.startswith("deploy/setup.sh: error: ")
    assert result.stderr.count("\n") == 1


def test_the_questions_of_packages_are_switched_off_behind_sudo(tmp_path):
    # as the real one does, sudo drops the environment
    sudo = 'exec env -i PATH="$PATH" "$@"'
    apt = 'echo "E: frontend $DEBIAN_FRONTEND"; exit 1'
    result = set_up(
        tmp_path,
        BARE | USER | {"sudo": sudo, "apt-get": apt, "true": ""},
        "--no-microphone",
    )
    assert "(E: frontend noninteractive)" in result.stderr


def test_only_a_microphone_needs_a_compiler(tmp_path):
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    assert "gcc" in set_up(tmp_path / "with", BARE | USER).stderr
    assert "gcc" not in set_up(tmp_path / "without", BARE | USER, "--no-microphone").stderr


@pytest.fixture(scope="module")
def share(tmp_path_factory):
    directory = tmp_path_factory.mktemp("share")
    commands = Path(sys.executable).parent
    subprocess.run(["bash", DEPLOY / "share.sh", commands, directory], check=True)
    return directory


def test_every_command_has_a_manual_page(share):
    from edge_unlock.cli import main

    pages = share / "man" / "man1"
    for name in main.commands:
        assert (pages / f"edge-unlock-{name}.1").read_text().startswith(".TH")
    assert {"edge-unlock.1", "edge-unlock-convert.1"} <= {page.name for page in pages.iterdir()}


@pytest.mark.parametrize("name", ["edge-unlock", "edge-unlock-convert"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_can_read_its_completion(share, name, shell):
    file = {
        "bash": f"bash-completion/completions/{name}",
        "zsh": f"zsh/site-functions/_{name}",
        "fish": f"fish/vendor_completions.d/{name}.fish",
    }[shell]
    assert name in (share / file).read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", share / file], check=True)


def test_bash_completes_a_command(share):
    script = share / "bash-completion" / "completions" / "edge-unlock"
    result = subprocess.run(
        [
            "bash",
            "-c",
            f"source {script}; COMP_WORDS=(edge-unlock veri) COMP_CWORD=1; "
            '_edge_unlock_completion edge-unlock; echo "${COMPREPLY[@]}"',
        ],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "verify\n"


@pytest.mark.slow
def test_the_source_without_checkpoints_makes_the_very_wheel_of_the_checkout(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "hatchling"], check=True)
    build = [python, "-m", "hatchling", "build", "-d", tmp_path / "dist"]
    subprocess.run(build, cwd=CHECKOUT, check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (source,) = (tmp_path / "dist").glob("*.tar.gz")
    expected = wheel.read_bytes()
    wheel.unlink()
    with tarfile.open(source) as archive:
        assert not [name for name in archive.getnames() if "/checkpoints/" in name]
        archive.extractall(tmp_path, filter="data")
    subprocess.run(
        [*build, "-t", "wheel"], cwd=tmp_path / source.name.removesuffix(".tar.gz"), check=True
    )
    assert wheel.read_bytes() == expected
