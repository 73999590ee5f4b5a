"""Ports, settings, privacy floor, warnings, threads: what the rooms above share."""
