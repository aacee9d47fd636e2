#!/usr/bin/env bash
# From a fresh clone to a voice accepted and a stranger's rejected: sets everything up, runs the demo.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bash "$root/deploy/setup.sh" --no-microphone
exec "$root/.venv/bin/edge-unlock" demo
