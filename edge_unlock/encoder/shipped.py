"""The model package that ships. Written by `edge-unlock-convert pin`: do not edit."""

NAME = "edge-voice-9"
MANIFEST_SHA256 = "ac83c5df89874af5818bf9ef0e10373aa6453bfd1107fe5728775bf71a4aa7d9"
"""Of ``manifest.json``, which names the SHA-256 of every other file that is run."""
