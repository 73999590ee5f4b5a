"""Tests without mocks: all of `venice_ai.emulator`, recordings of real traffic, and a guard against the network."""

from venice_ai import emulator
from venice_ai.emulator import *  # noqa: F403  # its `__all__` is part of ours

from ._cassette import Cassette, Exchange, Piece
from ._network import no_network
from ._recorder import Recorder
from ._replay import Replay, ScriptedEmulator, ScriptMismatchError

__all__ = ["Cassette", "Exchange", "Piece", "Recorder", "Replay", "ScriptMismatchError", "ScriptedEmulator", "no_network"]
__all__ += emulator.__all__
