"""Tells voice assistants who speaks, by the Wyoming protocol.

The package ``wyoming`` is optional (``edge-unlock[wyoming]``): it is imported where it is used.
"""
