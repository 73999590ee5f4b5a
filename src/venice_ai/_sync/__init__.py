"""The synchronous client: the same methods, run in the calling thread or on one event loop thread."""
