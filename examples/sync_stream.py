"""The answer as it is written, without async. Ctrl-C cancels the request at once."""

from venice_ai import SyncVeniceClient


def main() -> None:
    with SyncVeniceClient() as client:
        model = client.models.resolve_chat()
        messages = [{"role": "user", "content": "Tell me a very short story about a lagoon."}]
        # Leaving the block closes the connection, also after `break` or an error.
        with client.chat.completions.stream(model=model, messages=messages) as stream:
            for text in stream.text_deltas():
                print(text, end="", flush=True)
            # The stream was put together on the way; nothing is asked for twice.
            reply = stream.collect()
    print(f"\n({reply.finish_reason}, {stream.usage.total_tokens if stream.usage else '?'} tokens)")


if __name__ == "__main__":
    main()
