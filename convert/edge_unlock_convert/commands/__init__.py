"""The commands, one module each; what they need beyond click is imported when they run."""
