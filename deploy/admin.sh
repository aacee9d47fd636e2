#!/bin/sh
# Runs a command of edge-unlock for the service: as its user, with its vault, key and settings.
# Usage, as root: edge-unlock-admin COMMAND [OPTION]...      (edge-unlock-admin enroll anna)
# For a command that hears, the service lets go of the microphone until it is over.
set -eu
if [ "$(id -u)" -ne 0 ]; then
    echo "edge-unlock-admin: error: only root can do this: sudo edge-unlock-admin $*" >&2
    exit 1
fi
if [ -t 0 ] && [ -t 1 ]; then streams=--pty; else streams=--pipe; fi
case ${1-} in
    enroll | verify | identify | listen | calibrate)
        case $(systemctl is-active edge-unlock) in
            active | activating | reloading)
                trap 'systemctl --no-block start edge-unlock' EXIT
                trap 'exit 1' HUP INT TERM
                systemctl stop edge-unlock
                ;;
        esac
        ;;
esac
status=0
# "-": as this user no one enters the home of another, and only a relative file name needs it
systemd-run --quiet --collect --wait "$streams" --service-type=exec \
    --description="edge-unlock ${1-}" --property=WorkingDirectory=-"$PWD" \
    --property=User=edge-unlock --property=UMask=0077 --property=LimitCORE=0 \
    --property=NoNewPrivileges=yes --property=ProtectSystem=full \
    --property=LoadCredentialEncrypted=edge-unlock.key:/etc/edge-unlock/key.cred \
    --property=StateDirectory=edge-unlock --property=StateDirectoryMode=0700 \
    --setenv=EDGE_UNLOCK_HOME=/var/lib/edge-unlock \
    --setenv=EDGE_UNLOCK_CONFIG=/etc/edge-unlock/config.toml \
    /opt/edge-unlock/bin/edge-unlock "$@" || status=$?
if [ "$status" -ge 200 ]; then # systemd.exec(5): it could not even be started
    echo "edge-unlock-admin: error: systemd does not start it: journalctl -n 20 tells why" >&2
fi
exit "$status"
