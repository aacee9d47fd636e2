#!/usr/bin/env bash
# Installs and runs the service under a real systemd: in a Debian of its own that systemd-nspawn boots.
# Usage, as root: tests/deploy/container.sh ROOT [OPTION OF systemd-nspawn]...
# ROOT is made by debootstrap where it is not there; apt and pip need a network in it. Options may
# bind what pip needs here: --bind-ro=/etc/pip.conf. Ends with 0 if all was as it must be.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
root=$1
shift
[ -d "$root" ] || debootstrap --variant=minbase \
    --include=systemd-sysv,dbus,python3-venv,ca-certificates bookworm "$root"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
rm -rf "$root/srv/checkout"
mkdir -m 700 "$root/srv/checkout"
git -C "$checkout" ls-files -z --cached --others --exclude-standard |
    tar -C "$checkout" --null --files-from=- -c | tar -C "$root/srv/checkout" -x
# Whatever `systemd.run` runs speaks to the journal: service.sh writes to a file instead.
log=$root/var/log/service.log
: >"$log"
tail -F --quiet "$log" 2>/dev/null &
tail=$!
trap 'kill $tail' EXIT
status=0
systemd-nspawn --quiet --keep-unit --register=no --console=pipe --directory="$root" --boot "$@" \
    quiet systemd.show_status=no \
    'systemd.run="/bin/bash /srv/checkout/tests/deploy/service.sh"' \
    systemd.run_success_action=exit systemd.run_failure_action=exit </dev/null >/dev/null || status=$?
sleep 1 # for tail to tell the end
exit "$status"
