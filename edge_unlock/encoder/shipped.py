"""The model package that ships. Written by `edge-unlock-convert pin`: do not edit."""

NAME = "edge-voice-9"
MANIFEST_SHA256 = "4f2e1a1d87c9918a5f278843443e067bbb0c564f8e68d57ce094505f93892f45"
"""Of ``manifest.json``, which names the SHA-256 of every other file that is run."""
