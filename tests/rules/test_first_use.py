"""What a first call imports: on a thread of its own, once, and with the error of the import."""

from __future__ import annotations

import sys
import threading

import pytest

from venice_ai._core.first_use import load, whole


def test_a_module_is_loaded_though_others_were_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)

    load("json", "colorsys")

    assert "colorsys" in sys.modules


def test_a_module_that_is_missing_is_an_error_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ImportError, match="no_such_module"):
            load("no_such_module")


def test_the_work_is_done_on_a_thread_of_its_own() -> None:
    assert whole(threading.get_ident) != threading.get_ident()
