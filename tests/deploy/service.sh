#!/usr/bin/env bash
# Is run by container.sh in the machine that it boots: install, listen, open, watchdog, upgrade, uninstall.
set -euo pipefail
exec >/var/log/service.log 2>&1
checkout=/srv/checkout
cd "$checkout" # where the service's user may not go, as in most homes
audio=/usr/local/share/edge-unlock-demo # the home of root is for root alone
opened=/run/edge-unlock/opened
port=18830 # of the broker
levels=/var/lib/edge-unlock/levels # of the relay that is none
unit=edge-unlock.service

step() { echo "== $*"; }
die() {
    echo "FAILED: $*"
    journalctl --no-pager -b -o cat -u "$unit" -n 40
    exit 1
}
shows() { systemctl show -p "$1" --value "$unit"; } # PROPERTY
within() { # SECONDS COMMAND...: whether it succeeds in time
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}
is_open() { [ -e "$opened" ]; }
relay_is() { [ "$(tail -n1 "$levels" | cut -d' ' -f2-)" = "17 $1" ]; } # LEVEL
is_active() { [ "$(shows ActiveState)" = active ]; }
is_another() { is_active && [ "$(shows MainPID)" != "$1" ]; } # PID
say() { # SPEAKER
    echo "$audio/$1-unlock.flac" >/run/say.new
    mv /run/say.new /run/say
}
opens_for() { # SPEAKER
    rm -f "$opened"
    sleep 3 # past what is not judged after the actions before
    say "$1"
    within 20 is_open || die "$1 was not let in"
}

mkdir -p "$audio" && cp "$checkout"/edge_unlock/demo_audio/*.flac "$audio"
systemctl start dbus.socket # `systemd.run` starts only what it must
# what a run before this one, which failed, has left
rm -f /etc/pam.d/edge-unlock-try
[ ! -e /etc/edge-unlock ] || bash "$checkout/deploy/install.sh" --uninstall --erase-vault --yes
rm -rf "/etc/systemd/system/$unit.d"

step "no systemd, no vault: what a chroot gets"
mkdir -p /run/hidden
# shellcheck disable=SC2016  # for the shell that has the mount
unshare --mount bash -c 'mount --bind /run/hidden /run/systemd && bash "$0"' "$checkout/deploy/install.sh" |
    tee /var/log/chroot.log | grep -q "nothing was started" || die "it does not say that nothing was started"
[ ! -e /etc/edge-unlock/key.cred ] || die "an image got a key"

step "a microphone from a pipe, a command, a relay that is none, and a broker"
apt-get -qq -y install --no-install-recommends mosquitto mosquitto-clients >/dev/null
printf 'listener %d 127.0.0.1\nallow_anonymous true\n' "$port" >/run/mosquitto.conf
mosquitto -c /run/mosquitto.conf 2>/dev/null &
broker=$!
mkfifo /run/microphone
/opt/edge-unlock/bin/python "$checkout/tests/deploy/microphone.py" /run/microphone /run/say &
microphone=$!
trap 'kill $microphone $broker' EXIT
mkdir -p "/etc/systemd/system/$unit.d"
cat >"/etc/systemd/system/$unit.d/test.conf" <<UNIT
[Service]
ExecStart=
ExecStart=/opt/edge-unlock/bin/edge-unlock listen --input -
StandardInput=file:/run/microphone
RuntimeDirectory=edge-unlock
Environment=EDGE_UNLOCK_FAKE_GPIO=$levels
UNIT
mkdir -p /etc/edge-unlock
cat >/etc/edge-unlock/config.toml <<TOML
[[actions]]
type = "command"
arguments = ["/usr/bin/touch", "$opened"]
[[actions]]
type = "relay"
pin = 17
pulse_s = 2
[mqtt]
host = "127.0.0.1"
port = $port
tls = false
TOML

step "install"
bash "$checkout/deploy/install.sh" || die "it was not installed"
is_active || die "it is not active after install.sh"
echo "status: $(shows StatusText)"

step "enroll"
inputs=()
for recording in "$audio"/anna-enroll-*.flac; do inputs+=(--input "$recording"); done
edge-unlock-admin enroll anna --consent "${inputs[@]}" || die "anna was not enrolled"
within 60 is_active || die "the service did not come back after enroll"

step "a stranger, then the owner"
say boris
sleep 10
! is_open || die "boris was let in"
relay_is 0 || die "the relay is not off at the start"
opens_for anna
relay_is 1 || die "the relay did not go on"
within 10 relay_is 0 || die "the relay stayed on"

mosquitto_sub -h 127.0.0.1 -p "$port" -t 'edge-unlock/#' -v -W 5 >/run/told || true
grep -q anna /run/told || die "the broker was not told of anna: $(cat /run/told)"
edge-unlock-admin status || die "it does not tell its status"
edge-unlock-admin doctor || die "the doctor finds something"

step "the watchdog ends what is stopped, and the relay is off sooner"
opens_for anna
pid=$(shows MainPID)
kill -STOP "$pid"
within 10 relay_is 0 || die "the relay stayed on"
[ "$(shows MainPID)" = "$pid" ] || die "the watchdog was first"
within 60 is_another "$pid" || die "it was not begun anew"
journalctl --no-pager -b -o cat -u "$unit" | grep -i watchdog || die "it was not the watchdog"
within 60 opens_for anna

step "kill -9, of all processes: relay-off has the last word"
pid=$(shows MainPID)
opens_for anna
: >"$levels"
systemctl kill --kill-whom=all --signal=KILL "$unit"
within 30 grep -qs ' 17 0$' "$levels" || die "the relay was not switched off"
within 60 is_another "$pid" || die "it was not begun anew"
opens_for anna

step "stop"
start=$(date +%s%N)
systemctl stop "$unit"
echo "stopped in $((($(date +%s%N) - start) / 1000000)) ms: $(shows ActiveState), $(shows Result)"
[ "$(shows ActiveState)" = inactive ] || die "a stop is no failure"

step "shut in, it reaches what it needs, and nothing else"
cp "$checkout/tests/deploy/probe.py" "$audio"
echo 'pcm.!default { type null }' >/etc/asound.conf
sed -e 's/^Type=.*/Type=oneshot/; /^Restart/d; /^ExecStopPost=/d; /^WatchdogSec=/d' \
    -e "s|^ExecStart=.*|ExecStart=/opt/edge-unlock/bin/python $audio/probe.py $port|" \
    "/etc/systemd/system/$unit" >/run/systemd/system/edge-unlock-probe.service
systemctl daemon-reload
status=0
systemctl start edge-unlock-probe || status=$?
journalctl --no-pager -b -o cat -u edge-unlock-probe | grep -Ev '^(ALSA lib|Jack|jack|Cannot)'
rm /etc/asound.conf
((status == 0)) || die "it is shut in too well, or not well enough"
systemd-analyze --no-pager security "$unit" | tail -n1

step "upgrade: the vault, the key and the settings stay"
before=$(cat /etc/edge-unlock/* | sha256sum)
bash "$checkout/deploy/install.sh" || die "the upgrade failed"
[ "$before" = "$(cat /etc/edge-unlock/* | sha256sum)" ] || die "key or settings were changed"
edge-unlock-admin list | grep -q '^anna' || die "anna is gone"
opens_for anna

step "another model: who has to enroll again is told"
another=/etc/edge-unlock/another
cp -rL "$checkout/models/edge-voice-9" "$another"
/opt/edge-unlock/bin/python - "$another" <<'PYTHON'
import hashlib, json, pathlib, sys
package = pathlib.Path(sys.argv[1])
network = (package / "model.tflite").read_bytes() + b"another"
(package / "model.tflite").write_bytes(network)
manifest = json.loads((package / "manifest.json").read_text())
manifest["model"]["sha256"] = hashlib.sha256(network).hexdigest()
(package / "manifest.json").write_text(json.dumps(manifest))
PYTHON
cp /etc/edge-unlock/config.toml /run/config.toml
echo "model = '$another'" >/etc/edge-unlock/config.toml
bash "$checkout/deploy/install.sh" 2>&1 | tee /var/log/upgrade.log || true
grep -q "^anna has to enroll again" /var/log/upgrade.log || die "it is not told"
grep -q "edge-unlock model accept" /var/log/upgrade.log || die "it is not told what to do"
rm -r "$another"
cp /run/config.toml /etc/edge-unlock/config.toml

step "no uninstalling while logins ask for it"
cp "$checkout/deploy/pam/sudo" /etc/pam.d/edge-unlock-try
! bash "$checkout/deploy/install.sh" --uninstall || die "logins would have stood before nothing"
[ -e /opt/edge-unlock ] || die "it did something all the same"
rm /etc/pam.d/edge-unlock-try

step "uninstall, which keeps the vault, and back"
bash "$checkout/deploy/install.sh" --uninstall
[ ! -e /opt/edge-unlock ] && [ ! -e "/etc/systemd/system/$unit" ] || die "something stayed"
bash "$checkout/deploy/install.sh"
edge-unlock-admin list | grep -q '^anna' || die "anna is gone"

step "a vault without its key is left alone"
mv /etc/edge-unlock/key.cred /run/key.cred
! bash "$checkout/deploy/install.sh" || die "a vault without a key was accepted"
mv /run/key.cred /etc/edge-unlock/key.cred

step "uninstall and erase"
! bash "$checkout/deploy/install.sh" --uninstall --erase-vault </dev/null || die "it did not ask"
bash "$checkout/deploy/install.sh" --uninstall --erase-vault --yes
[ ! -e /var/lib/edge-unlock ] && [ ! -e /etc/edge-unlock ] || die "the vault stayed"
! getent passwd edge-unlock || die "the user stayed"
rm -r "/etc/systemd/system/$unit.d"
echo "All as it must be."
