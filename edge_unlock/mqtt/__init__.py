"""The connection to an MQTT broker, which is told things and never listened to."""
