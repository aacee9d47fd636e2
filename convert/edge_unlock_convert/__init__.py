"""Workstation side of edge-unlock: train, quantize, compare, evaluate."""
