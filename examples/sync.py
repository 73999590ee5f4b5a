"""Chat without async: for scripts, notebooks and threads."""

from venice_ai import ChatCompletionResponse, ChatRequest, SyncVeniceClient, UserMessage

QUESTIONS = ["What is a vaporetto?", "What is a bricola?"]


def main() -> None:
    with SyncVeniceClient() as client:
        model = client.models.resolve_chat()
        response = client.chat.completions.create(
            model=model, messages=[UserMessage(content="Name one island of Venice.")]
        )
        print(response.text)

        # Several requests at the same time, still without `await`.
        requests: list[ChatRequest] = [
            {"model": model, "messages": [UserMessage(content=question)]}
            for question in QUESTIONS
        ]
        results = client.chat.completions.batch(requests)
        for question, result in zip(QUESTIONS, results, strict=True):
            if isinstance(result, ChatCompletionResponse):
                print(f"{question} -> {result.text}")
            else:
                print(f"{question} failed: {result}")


if __name__ == "__main__":
    main()
