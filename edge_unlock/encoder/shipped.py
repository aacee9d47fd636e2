"""The model package that ships. Written by `edge-unlock-convert pin`: do not edit."""

NAME = "edge-voice-8"
MANIFEST_SHA256 = "618a8a364571d6373deaba35eb5d0a88791408ae10a9f04ee8515ce957f49c7b"
"""Of ``manifest.json``, which names the SHA-256 of every other file that is run."""
