"""A conversation: what was said, as it is sent to a model and as it is kept in the file of sessions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import VeniceError
from ..types.api.chat import content_text
from . import _output
from ._errors import in_our_words

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse
    from ._session_store import SessionStore


class Conversation:
    """The messages of a conversation. Each is a record: `message`, `at` (Unix time), and of an answer what is known of it.

    A private one (end-to-end encrypted, or with a privacy floor) has no store unless the user asked to save it.
    """

    def __init__(
        self, store: SessionStore | None, name: str | None = None, records: Iterable[Any] = (), *, private: bool = False
    ) -> None:
        self.store, self.private = store, private
        self.name = name or f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"
        self.records: list[dict[str, Any]] = list(records)
        self._kept = len(self.records)

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The records of answers: with `asked`, `model`, `level`, `tokens`, `cost_usd` and `finish_reason`."""
        return [each for each in self.records if "asked" in each]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What is sent: without tool calls, which nobody answers, and without questions whose answers had no text."""
        sent: list[dict[str, Any]] = []
        for message in (each["message"] for each in self.records):
            if message["role"] != "assistant":
                sent.append(message)
            elif not content_text(message.get("content")):
                sent.pop()
            else:  # of a private message only what can be encrypted is sent back
                kept = {"role", "content"} if self.private else message.keys() - {"tool_calls"}
                sent.append({name: value for name, value in message.items() if name in kept})
        return sent

    def add(self, role: str, content: str | list[dict[str, Any]]) -> None:
        """Adds a message that was not sent yet."""
        self.records.append({"message": {"role": role, "content": content}, "at": time.time()})

    def settle(self, response: ChatCompletionResponse | None, asked: str) -> None:
        """Adds the answer of a model, also a part of one, and keeps both; without any answer, takes the question back."""
        message = response.choices[0].message.model_dump() if response is not None and response.choices else {}
        if response is None or not any(message.get(part) for part in ("content", "tool_calls", "reasoning_content")):
            self.records.pop()
            return
        told = {"level": response.attestation and response.attestation.level, "cost_usd": getattr(response.cost, "usd", None)}
        told |= {"tokens": response.usage and response.usage.total_tokens, "finish_reason": response.finish_reason}
        record = {"message": message | {"role": "assistant"}, "at": time.time(), "asked": asked, "model": response.model}
        self.records.append(record | told)
        self.keep()

    def keep(self) -> None:
        """Writes what is not in the file yet; a file that cannot be written costs no answer."""
        if self.store is not None and len(self.records) > self._kept:
            try:
                self.store.append(self.name, self.records[self._kept :], encrypted=self.private)
                self._kept = len(self.records)
            except VeniceError as error:
                _output.note(f"this is not kept: {in_our_words(error)}")

    def undo(self) -> Any:
        """Takes the last question and its answer back, also from the file; gives what was asked, None if nothing was."""
        if not self.records or self.records[-1]["message"]["role"] != "assistant":
            return None
        if self.store is not None and self._kept == len(self.records):
            self.store.delete(self.name, 2)
            self._kept -= 2
        *self.records, question, _ = self.records
        return question["message"]["content"]


def opened(given: Mapping[str, Any], *, private: bool) -> Conversation:
    """The conversation that the options of `chat` ask for: a new one, or one that goes on."""
    name, save, store, before = given["session"], given["save"], None, None
    if save and given["no_log"]:
        raise click.UsageError("--save and --no-log exclude each other")
    goes_on, keeps = given["go_on"] or name is not None, save or not (given["no_log"] or private)
    if goes_on or keeps:
        from ._session_store import SessionStore

        try:
            store = SessionStore()
            if goes_on and (name is None or name in {each["name"] for each in store.sessions()}):
                before = store.find(name)
        except (VeniceError, OSError) as error:
            if goes_on or save:
                raise
            _output.note(f"this is not kept: {in_our_words(error)}")
    if store is None or before is None:
        conversation = Conversation(store if keeps else None, name, private=private)
        if given["system"] is not None:
            conversation.add("system", given["system"])
        return conversation
    if bool(before["encrypted"]) != private or given["system"] is not None:
        why = "is encrypted; add --e2ee or --min-privacy" if before["encrypted"] else "is not encrypted; begin another one"
        why = why if before["encrypted"] != private else "has begun; --system is for the beginning of a session"
        raise click.UsageError(f"the session {before['name']!r} {why}")
    return Conversation(store if keeps else None, before["name"], store.records(before["name"]), private=private)
