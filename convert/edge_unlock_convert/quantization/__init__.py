"""A network to TFLite, and how much of it is left."""
