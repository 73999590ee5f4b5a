"""What can go wrong, and what each error tells.

The docstring of `venice_ai.exceptions` shows the whole tree of errors.
"""

import asyncio

from venice_ai import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
    UserMessage,
    VeniceClient,
)


async def ask(client: VeniceClient, *, model: str, temperature: float = 0.7) -> None:
    """Streams an answer, and reports each way in which that can fail."""
    messages = [UserMessage(content="Name the six districts of Venice.")]
    try:
        stream = await client.chat.completions.stream(
            model=model, messages=messages, temperature=temperature
        )
        async with stream:
            print("answer:", (await stream.collect()).text)
    except InvalidRequestError as error:
        # Refused before anything was sent, or by Venice with status 400.
        print(f"wrong request: {error}")
    except AuthenticationError as error:
        # There is no key, or Venice does not accept it.
        print(f"key: {error}")
    except NotFoundError as error:
        print(f"no such model: {error}")
        print(f"status {error.status_code}, request id {error.request_id}")
    except RateLimitError as error:
        # Still refused after the retries.
        print(f"too fast ({error.kind}): wait {error.retry_after_seconds} s")
    except StreamInterruptedError as error:
        # A stream that breaks off never looks finished.
        print(f"broken off: {error}")
        print("received:", error.partial.text if error.partial else "nothing")
    except APIConnectionError as error:
        # Refused, unreachable, a fault of TLS, or too slow (APITimeoutError).
        print(f"no response: {error}")
    except APIError as error:
        # The base class of the errors above.
        print(f"another error: {error}")


async def main() -> None:
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        await ask(client, model=model, temperature=7)
        await ask(client, model="no-such-model")
        await ask(client, model=model)


if __name__ == "__main__":
    asyncio.run(main())
