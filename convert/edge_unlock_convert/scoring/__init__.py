"""Trials, and what their scores are worth: error rates, calibration, thresholds."""
