"""What can go wrong, and what each error knows. All are drawn in the docstring of `venice_ai.exceptions`."""

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


async def tell(client: VeniceClient, *, model: str, temperature: float = 0.7) -> None:
    """Streams an answer, and reports on every way in which it may fail."""
    messages = [UserMessage(content="Name the six districts of Venice.")]
    try:
        stream = await client.chat.completions.stream(model=model, messages=messages, temperature=temperature)
        async with stream:
            print("answer:", (await stream.collect()).text)
    except InvalidRequestError as error:  # found before anything was sent, or a 400 of Venice
        print(f"wrong request: {error}")
    except AuthenticationError as error:  # no key, or one that Venice does not accept
        print(f"key: {error}")
    except NotFoundError as error:
        print(f"no such model: {error} (status {error.status_code}, request {error.request_id})")
    except RateLimitError as error:  # still, after the retries
        print(f"too fast ({error.kind}): wait {error.retry_after_seconds} s")
    except StreamInterruptedError as error:  # a stream that breaks off never looks finished
        print(f"broken off: {error}")
        print("what had come:", error.partial.text if error.partial else "nothing")
    except APIConnectionError as error:  # refused, unreachable, TLS, or out of time (APITimeoutError)
        print(f"no answer: {error}")
    except APIError as error:  # the base of them all
        print(f"something else: {error}")


async def main() -> None:
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        await tell(client, model=model, temperature=7)
        await tell(client, model="no-such-model")
        await tell(client, model=model)


if __name__ == "__main__":
    asyncio.run(main())
