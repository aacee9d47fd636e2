#!/usr/bin/env bash
# Makes the recordings of `edge-unlock demo`: two synthetic voices, 16 kHz mono FLAC, a quiet
# room around them. Needs espeak-ng and sox; the result is committed.
set -euo pipefail
out=$(cd "$(dirname "$0")/.." && pwd)/edge_unlock/demo_audio
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

say() { # FILE VOICE PITCH SPEED TEXT
    espeak-ng -v "$2" -p "$3" -s "$4" -w "$work/voice.wav" "$5"
    sox -R "$work/voice.wav" -r 16000 -b 16 "$work/padded.wav" pad 0.5 0.7 norm -6
    sox -R -n -r 16000 -b 16 "$work/room.wav" synth "$(soxi -D "$work/padded.wav")" pinknoise vol 0.002
    sox -R -m -v 1 "$work/padded.wav" -v 1 "$work/room.wav" -b 16 -C 8 "$out/$1.flac"
}

anna=en-us+f2 boris=en-gb+m3
say anna-enroll-1 $anna 55 150 "Open the door, my old friend, it is getting late."
say anna-enroll-2 $anna 57 160 "The quick brown fox jumps over the lazy dog."
say anna-enroll-3 $anna 54 145 "Please call Stella, and ask her to bring these things from the store."
say anna-enroll-4 $anna 56 155 "Today is a good day to walk along the river and watch the boats."
say anna-unlock $anna 55 152 "Open the door, it is me, and I am home at last."
say boris-unlock $boris 40 152 "Open the door, it is me, and I am home at last."
