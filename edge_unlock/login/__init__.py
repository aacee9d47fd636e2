"""Whether somebody may log in to this computer by their voice."""
