"""What a request is in bytes, and what the bytes of a reply mean: bodies, server-sent events, deltas that add up."""
