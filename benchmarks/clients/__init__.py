"""One module a contender. Each has `async def connect(base_url)`, which answers a `benchmarks.client.Client`.

They read what they are sent as their users would, and import little: what they import is counted in the cold start.
"""
