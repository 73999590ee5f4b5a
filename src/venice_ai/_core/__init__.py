"""What stands below everything: settings, the privacy floor, warnings, threads, this machine."""
