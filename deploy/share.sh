#!/usr/bin/env bash
# Writes the manual pages and the completion for bash, zsh and fish of the installed commands.
# Usage: deploy/share.sh BIN SHARE   (BIN holds the commands; SHARE as in /usr/local/share)
set -euo pipefail
bin=$1 share=$2
bash=$share/bash-completion/completions
zsh=$share/zsh/site-functions
fish=$share/fish/vendor_completions.d
mkdir -p "$share/man/man1" "$bash" "$zsh" "$fish"

pages() { # NAME MODULE: not the command click-man, which wants a click command as entry point
    "$bin/python" - "$@" "$share/man/man1" <<'PYTHON'
import sys
from importlib import import_module
from importlib.metadata import version
from click_man.core import write_man_pages
name, module, target = sys.argv[1:]
command = import_module(module).main
write_man_pages(name, command, version=version("edge-unlock"), target_dir=target)
PYTHON
}
pages edge-unlock edge_unlock.cli
pages edge-unlock-convert edge_unlock_convert.cli

for name in edge-unlock edge-unlock-convert; do
    variable=_$(tr a-z- A-Z_ <<<"$name")_COMPLETE # the name that click gives it
    env "$variable=bash_source" "$bin/$name" >"$bash/$name"
    env "$variable=zsh_source" "$bin/$name" >"$zsh/_$name"
    env "$variable=fish_source" "$bin/$name" >"$fish/$name.fish"
done
