#!/usr/bin/env bash
# Sets edge-unlock up in .venv of this checkout, system packages, shell completion and manual
# pages included.
# Usage: deploy/setup.sh [--no-microphone] [EXTRA]...   (extras of pyproject.toml: dev, convert, train)
set -euo pipefail
script=deploy/setup.sh
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/deploy/common.sh"
venv=$root/.venv

microphone=yes
if [ "${1-}" = --no-microphone ]; then
    microphone=
    shift
fi
extras=(manual "$@")
chosen=" ${extras[*]} "

check_machine
packages=()
! needs_venv "$venv" || packages+=(python3-venv)
if [ "$microphone" ]; then
    packages+=("${for_microphone[@]}")
    # PortAudio speaks ALSA only: its way to a sound server, where there is one
    if command -v pulseaudio pipewire-pulse >/dev/null || [[ $chosen == *" dev "* ]]; then
        packages+=(libasound2-plugins)
    fi
fi
if [[ $chosen == *" dev "* ]]; then
    packages+=(pulseaudio pulseaudio-utils) # a microphone without a sound card
    packages+=(mosquitto) # an MQTT broker, which the tests start
    packages+=(systemd) # its systemd-analyze judges the unit
    packages+=(pamtester) # logins that the tests make
    # real voices for the tests, where the project's data does not lie beside the checkout
    [ -d "$root/../shared/data" ] || packages+=(asterisk-core-sounds-{en,it}-g722 ffmpeg)
fi
install_packages "${packages[@]}"
make_venv "$venv"

without_pyaudio() { # what `pip install -e .[EXTRAS]` would install, but for PyAudio
    "$venv/bin/python" - "$root/pyproject.toml" "${extras[@]}" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
wanted = project["dependencies"] + [
    one for extra in sys.argv[2:] for one in project["optional-dependencies"][extra]
]
print(*(one for one in wanted if not one.startswith("pyaudio")), sep="\n")
PYTHON
}
if [ "$microphone" ]; then
    pip_install "$venv" -e "${root}[$(IFS=, && echo "${extras[*]}")]"
else
    requirements=$(mktemp)
    trap 'rm -f "$log" "$requirements"' EXIT
    without_pyaudio >"$requirements"
    pip_install "$venv" --no-deps -e "$root"
    pip_install "$venv" -r "$requirements"
fi
bash "$root/deploy/share.sh" "$venv/bin" "$venv/share"
