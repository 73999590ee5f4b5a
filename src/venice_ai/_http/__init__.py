"""Sending a request and getting its reply: retries, time limits, connections, the two transports."""
