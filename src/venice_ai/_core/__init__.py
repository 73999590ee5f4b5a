"""Settings, privacy floor, warnings, threads: what the rooms above need and no server sees."""
