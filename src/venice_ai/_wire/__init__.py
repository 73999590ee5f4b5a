"""Bodies of requests, and the meaning of a reply's bytes: server-sent events, chunks, deltas that add up to a response."""
