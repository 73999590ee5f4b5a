"""An OpenAI-compatible server in front of one client, for programs that nobody changes.

::

    async with VeniceClient() as client:
        async with gateway.serve(client, port=8788, token=True) as running:
            print(running.url, running.token)

Any program that speaks OpenAI's chat API and is given that address gets what the client does: verified end-to-end encryption,
the rate limiter, budgets, fallbacks, streams that tell whether they are complete. `venice-chat gateway` is the command.
"""

from ._application import Options, app
from ._serving import Running, serve

__all__ = ["Options", "Running", "app", "serve"]
