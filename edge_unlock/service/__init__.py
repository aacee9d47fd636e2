"""How what listens tells others what it does: systemd, a local socket, MQTT."""
