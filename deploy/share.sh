#!/usr/bin/env bash
# Writes the manual pages and the completion for bash, zsh and fish of the installed commands.
# Usage: deploy/share.sh BIN SHARE   (BIN holds the commands; SHARE as in /usr/local/share)
set -euo pipefail
bin=$1 share=$2
bash=$share/bash-completion/completions
zsh=$share/zsh/site-functions
fish=$share/fish/vendor_completions.d
mkdir -p "$share/man/man1" "$bash" "$zsh" "$fish"

for name in edge-unlock edge-unlock-convert; do
    variable=_$(tr a-z- A-Z_ <<<"$name")_COMPLETE # the name that click gives it
    env "$variable=bash_source" "$bin/$name" >"$bash/$name"
    env "$variable=zsh_source" "$bin/$name" >"$zsh/_$name"
    env "$variable=fish_source" "$bin/$name" >"$fish/$name.fish"
    "$bin/click-man" "$name" --target "$share/man/man1" >/dev/null
done
