"""Print an answer while it is being written, without async.

Ctrl-C cancels the request at once.
"""

from venice_ai import SyncVeniceClient, UserMessage


def main() -> None:
    messages = [UserMessage(content="Tell me a very short story about a lagoon.")]
    with SyncVeniceClient() as client:
        model = client.models.resolve_chat()
        # The connection is closed when the block is left: at the end of the stream,
        # and also after `break` or an error.
        with client.chat.completions.stream(model=model, messages=messages) as stream:
            for text in stream.text_deltas():
                print(text, end="", flush=True)
            # The whole response, assembled from the chunks. No second request is sent.
            response = stream.collect()
    print(f"\n(finish reason: {response.finish_reason})")
    if response.usage:
        print(f"({response.usage.total_tokens} tokens)")


if __name__ == "__main__":
    main()
