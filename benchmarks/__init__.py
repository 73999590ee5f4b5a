"""What a call costs: this package beside its peers and beside the bare network. Run `python -m benchmarks`."""
