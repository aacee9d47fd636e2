"""The model package that ships. Written by `edge-unlock-convert pin`: do not edit."""

NAME = "edge-voice-9"
MANIFEST_SHA256 = "133aac733d770ad967c98a1f8a5917e0e9535dcacea3257ba5c836ad0bf87df1"
"""Of ``manifest.json``, which names the SHA-256 of every other file that is run."""
