"""A package on speech of people whom it does not know, beside other encoders."""
