"""Forensic comparison of voices: the strength of evidence, and how far it was validated."""
