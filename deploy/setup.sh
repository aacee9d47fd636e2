#!/usr/bin/env bash
# Sets edge-unlock up in .venv of this checkout, system packages included.
# Usage: deploy/setup.sh [EXTRA]...   (extras of pyproject.toml: dev, convert, train)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

packages=(
    python3-venv python3-dev gcc # PyAudio and python-speech-features come as source
    portaudio19-dev              # microphone
    libasound2-plugins           # microphones behind PulseAudio or PipeWire
)
for extra in "$@"; do
    case $extra in
        dev)
            packages+=(pulseaudio pulseaudio-utils) # a microphone without a sound card
            # real voices for the tests, where the project's data does not lie beside the checkout
            [ -d "$root/../shared/data" ] ||
                packages+=(asterisk-core-sounds-{en,it}-g722 ffmpeg)
            ;;
    esac
done
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "Installing system packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[ -x "$root/.venv/bin/python" ] || python3 -m venv "$root/.venv"
extras=$(IFS=, && echo "$*")
"$root/.venv/bin/pip" install --quiet --disable-pip-version-check -e "$root${extras:+[$extras]}"
