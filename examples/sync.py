"""The same without async: for scripts, notebooks and threads."""

from venice_ai import ChatCompletionResponse, ChatRequest, SyncVeniceClient


def main() -> None:
    with SyncVeniceClient() as client:
        model = client.models.resolve_chat()
        reply = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Name one island of Venice."}]
        )
        print(reply.text)
        # Several questions at a time, still without await.
        questions = ["What is a vaporetto?", "What is a bricola?"]
        requests: list[ChatRequest] = [
            {"model": model, "messages": [{"role": "user", "content": question}]} for question in questions
        ]
        for question, answer in zip(questions, client.chat.completions.batch(requests), strict=True):
            print(question, "->", answer.text if isinstance(answer, ChatCompletionResponse) else f"failed: {answer}")


if __name__ == "__main__":
    main()
