"""Puts the fragments of tool calls, and of details of reasoning, together: by index, by id, or by neither."""

from __future__ import annotations

import json
import re
from math import inf
from typing import Any, Final, cast

from ..types._base import Model, is_array, is_object, plain
from ..types._surrogates import paired
from .growing import fields_of, grown, plain_copy


class Details:
    """The details of reasoning. Fragments of one index are one entry as long as their type and id do not change."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._open: dict[int, dict[str, Any]] = {}  # by index

    def add(self, given: Any) -> None:
        for fragment in given if is_array(given) else [given]:
            index: Any = fragment.get("index") if is_object(fragment) else None
            if type(index) is not int:
                self.entries.append(fragment)
                continue
            entry = self._open.setdefault(index, {})
            if any(entry.get(name) and fragment.get(name) and entry[name] != fragment[name] for name in ("type", "id")):
                entry = self._open[index] = {}
            if not entry:
                self.entries.append(entry)
            grown(entry, fragment, "")

    def held(self, fragment: dict[str, Any]) -> Any:
        return self._open.get(index) if type(index := fragment.get("index")) is int else None


class Calls:
    """The tool calls of a choice. An index that is sane joins fragments; a new id opens a new call."""

    def __init__(self) -> None:
        self.calls: list[PartialCall] = []
        self._by_index: dict[int, PartialCall] = {}
        self._by_id: dict[str, PartialCall] = {}

    def add(self, fragments: list[Any]) -> None:
        for fragment in fragments:
            if isinstance(fragment, (dict, Model)):
                given = fields_of(fragment)
                if (call := self._continued(given)) is None:
                    call = PartialCall(_index(given))
                    self.calls.append(call)
                    if call.index is not None:
                        self._by_index[call.index] = call
                call.add(given)
                if given.get("id"):
                    self._by_id.setdefault(repr(given["id"]), call)

    def in_order(self) -> list[PartialCall]:
        """The calls by index, if all have one; else, and those of one index, as they came."""
        indices = [call.index for call in self.calls]
        return self.calls if None in indices else sorted(self.calls, key=lambda call: call.index or 0)

    def held(self, fragment: dict[str, Any]) -> dict[str, Any]:
        """The name and arguments so far of the call that a fragment without a name was added to."""
        call = self._last(_index(fragment))
        return {} if call is None else {"function": {**call.function, "arguments": call.arguments}}

    def _last(self, index: int | None) -> PartialCall | None:
        """The newest call of this index; without one, the newest of all."""
        return self._by_index.get(index) if index is not None else self.calls[-1] if self.calls else None

    def _continued(self, given: dict[str, Any]) -> PartialCall | None:
        """The call that this fragment goes on with, or None if it opens one."""
        index = _index(given)
        if identity := given.get("id"):
            known = self._by_id.get(repr(identity))
            if known is not None or index is None:
                return known
        call = self._last(index)
        return None if call is None or call.ended_by(given, whole=index is None) else call


def _index(fragment: dict[str, Any]) -> int | None:
    index = fragment.get("index")
    return index if type(index) is int and index >= 0 else None


class PartialCall:
    def __init__(self, index: int | None = None) -> None:
        self.index = index
        self.fields: dict[str, Any] = {}
        self.function: dict[str, Any] = {}
        self.arguments = Arguments()
        self._name: list[str] = []
        self._name_length = 0

    def add(self, fragment: dict[str, Any]) -> None:
        given = {key: value for key, value in fragment.items() if value is not None and key != "index"}
        function = given.pop("function", None)
        grown(self.fields, given, "")
        if not isinstance(function, (dict, Model)):
            return
        given = {key: value for key, value in fields_of(function).items() if value is not None}
        name, arguments = given.pop("name", None), given.pop("arguments", None)
        grown(self.function, given, "")
        if isinstance(name, str) and name and not self._is_named(name):
            self._name.append(name)
            self._name_length += len(name)
        if arguments is not None:
            self.arguments.append(arguments if isinstance(arguments, str) else json.dumps(plain(arguments)))

    def ended_by(self, fragment: dict[str, Any], *, whole: bool) -> bool:
        """Whether a fragment belongs to another call; a `whole` call's name, without an index, came in one piece."""
        if identity := fragment.get("id"):
            return bool(self.fields.get("id", identity) != identity)
        function = fragment.get("function")
        name = fields_of(function).get("name") if isinstance(function, (dict, Model)) else None
        # A name never follows arguments, unless a server repeats it on every fragment.
        begun = bool(self._name or self.arguments) if whole else any(self.arguments)
        return bool(name and begun) and (not self._is_named(name) or self.arguments.are_whole())

    def _is_named(self, name: object) -> bool:
        """Whether this is the name so far, which may come in pieces, or be repeated with every fragment."""
        if not isinstance(name, str) or len(name) != self._name_length:  # or many pieces would be joined for each of them
            return False
        self._name = ["".join(self._name)]
        return self._name[0] == name

    def json(self) -> dict[str, Any]:
        call = {"type": "function", **cast("dict[str, Any]", plain_copy(self.fields))}
        function = {"name": paired("".join(self._name)), **plain_copy(self.function)}
        function["arguments"] = paired("".join(self.arguments))
        return {**call, "function": function}


_MARKS: Final = re.compile(r"""["\\\[\]{}]""")
_LONGEST_SCALAR: Final = 64


class Arguments(list[str]):
    """The JSON text of a call's arguments, in pieces, each looked at once: where quotes and brackets balance, it is read."""

    _seen = 0
    _depth: float = 0
    _quoted = _escaped = False

    def are_whole(self) -> bool:
        """Whether the pieces so far are one JSON value."""
        for piece in self[self._seen :]:
            self._look_at(piece)
        self._seen = len(self)
        if self._quoted or self._depth > 0:
            return False
        text = "".join(self)
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            if len(text) > _LONGEST_SCALAR or text.lstrip()[:1] in {"{", "[", '"'}:
                self._depth = inf  # whatever follows, it will not be JSON
            return False
        return True

    def _look_at(self, piece: str) -> None:
        start = 0
        if self._escaped and piece:
            start, self._escaped = 1, False
        while found := _MARKS.search(piece, start):
            mark, start = found[0], found.end()
            if mark == "\\":
                if self._quoted:
                    self._escaped = start == len(piece)
                    start += 1
            elif mark == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if mark in "[{" else -1
