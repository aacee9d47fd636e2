#!/usr/bin/env bash
# Installs edge-unlock as a service of this machine, or brings an installed one up to this checkout.
# To be run as root on Raspberry Pi OS or Debian; again whenever it pleases: what is there is kept.
# Usage: deploy/install.sh
#        deploy/install.sh --uninstall [--erase-vault [--yes]]
set -euo pipefail
umask 022
script=deploy/install.sh
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/deploy/common.sh"

user=edge-unlock
program=/opt/edge-unlock
vault=/var/lib/edge-unlock
settings=/etc/edge-unlock
key=$settings/key.cred
unit=/etc/systemd/system/edge-unlock.service
backoff=$unit.d/backoff.conf
share=/usr/local/share
link=/usr/local/bin/edge-unlock
admin=/usr/local/sbin/edge-unlock-admin

has_systemd() { # as sd_booted(3) asks it: not in a chroot, nor in most containers
    [ -d /run/systemd/system ]
}
has_vault() {
    [ -e "$vault/manifest.euv" ]
}

install_program() {
    check_machine
    local packages=("${for_microphone[@]}" dbus) # systemd-run waits by D-Bus
    ! needs_venv "$program" || packages+=(python3-venv)
    command -v systemd-creds >/dev/null || packages+=(systemd)
    install_packages "${packages[@]}"
    # A venv is of one Python: after an upgrade of the system it is made anew.
    if [ -e "$program" ] && ! "$program/bin/python" -c '' 2>/dev/null; then
        rm -rf "$program"
    fi
    make_venv "$program"
    pip_install "$program" "${root}[manual,relay,mqtt,wyoming]"
    bash "$root/deploy/share.sh" "$program/bin" "$share"
    ln -sf "$program/bin/edge-unlock" "$link"
    install -m 755 "$root/deploy/admin.sh" "$admin"
}

make_user() {
    getent passwd "$user" >/dev/null ||
        useradd --system --user-group --home-dir "$vault" --no-create-home --shell /usr/sbin/nologin "$user"
    local group
    for group in audio gpio; do # Debian has no gpio
        ! getent group "$group" >/dev/null || usermod --append --groups "$group" "$user"
    done
}

install_unit() {
    install -D -m 644 "$root/deploy/systemd/edge-unlock.service" "$unit"
    local version
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    if [ "${version:-0}" -ge 254 ]; then
        install -D -m 644 "$root/deploy/systemd/backoff.conf" "$backoff"
    fi
    install -d -m 755 "$settings"
    [ -e "$settings/config.toml" ] || install -m 644 "$root/deploy/config.toml" "$settings/config.toml"
}

make_key() { # once: a new one would open nothing
    [ ! -e "$key" ] || return 0
    ! has_vault || fail "there is a vault in $vault, but $key is gone: put it back from a backup, or" \
        "give the vault up by: deploy/install.sh --uninstall --erase-vault"
    (
        umask 077
        head -c 32 /dev/urandom | systemd-creds encrypt --name=edge-unlock.key - "$key.new" 2>"$log"
    ) || fail "systemd-creds cannot seal a key ($(reason))"
    mv -n "$key.new" "$key"
}

make_vault() {
    has_vault || "$admin" init --key-source systemd-credential ||
        fail "there is no vault yet: correct what is told above, then run this again"
}

tell_who_enrolls_again() {
    "$admin" list --json </dev/null | "$program/bin/python" -c '
import json, sys
for person in map(json.loads, sys.stdin):
    if person["stale"]:
        name = person["user"]
        print(f"{name} has to enroll again, the model is another one: edge-unlock-admin enroll {name} --replace")
'
    # A model that the vault has not accepted is refused, which says what to do.
    "$admin" model show </dev/null >/dev/null || true
}

uninstall() {
    local erase=$1 yes=$2 answer=
    local logins
    logins=$(grep -rls -- "$program" /etc/pam.d | tr '\n' ' ') || true
    [ ! "$logins" ] || fail "logins ask for it still, and may let nobody in without: take its lines out of" \
        "$logins(deploy/pam/README.md), then run this again"
    if [ "$erase" ] && [ ! "$yes" ]; then
        [ -t 0 ] || fail "nobody is there to confirm that the vault is to be erased: give --yes"
        read -rp "Erase the vault, its key and all settings? Everybody has to enroll again. [y/N] " answer
        [[ $answer == [yY]* ]] || fail "nothing was changed"
    fi
    ! has_systemd || [ ! -e "$unit" ] || systemctl --quiet disable --now edge-unlock
    rm -f "$unit" "$backoff" "$link" "$admin" /etc/systemd/system/multi-user.target.wants/edge-unlock.service
    [ ! -d "$unit.d" ] || rmdir --ignore-fail-on-non-empty "$unit.d"
    rm -rf "$program"
    rm -f "$share"/man/man1/edge-unlock{,-*}.1 "$share"/bash-completion/completions/edge-unlock{,-convert} \
        "$share"/zsh/site-functions/_edge-unlock{,-convert} \
        "$share"/fish/vendor_completions.d/edge-unlock{,-convert}.fish
    ! has_systemd || systemctl daemon-reload
    if [ "$erase" ]; then
        [ ! -e "$key" ] || shred "$key"
        rm -rf "$vault" "$settings"
        ! getent passwd "$user" >/dev/null || userdel "$user"
        echo "Removed, with the vault and its key. Copies of $key elsewhere are yours to delete."
    else
        echo "Removed. $vault has the vault still, $settings its key and the settings;" \
            "--uninstall --erase-vault erases them."
    fi
}

action=install erase='' yes=''
while (($#)); do
    case $1 in
        --uninstall) action=uninstall ;;
        --erase-vault) erase=yes ;;
        --yes) yes=yes ;;
        *) fail "there is no option $1: see the first lines of the script" ;;
    esac
    shift
done
[ "$action" = uninstall ] || [ -z "$erase$yes" ] || fail "--erase-vault and --yes belong to --uninstall"
[ "$(id -u)" -eq 0 ] || fail "only root can do this: sudo bash deploy/install.sh"
if [ "$action" = uninstall ]; then
    uninstall "$erase" "$yes"
    exit
fi

install_program
make_user
install_unit
"$link" --config "$settings/config.toml" config check >/dev/null
if ! has_systemd; then
    # A key that were made in an image would be that of every machine that starts from it.
    systemctl --quiet enable edge-unlock
    echo "Installed, but systemd does not run here: nothing was started, and there is no key and no vault." \
        "Run this again on the machine when it has booted."
    exit
fi
make_key
systemctl daemon-reload
make_vault
tell_who_enrolls_again
systemctl --quiet enable edge-unlock
systemctl restart edge-unlock 2>"$log" ||
    fail "installed, but the service does not start: journalctl -u edge-unlock tells why"
echo "Installed, and started. Settings: $settings/config.toml. Next: edge-unlock-admin doctor," \
    "edge-unlock-admin enroll NAME"
