"""Warnings that are given once: how many are remembered, and which line a warning names."""

from __future__ import annotations

import linecache
import logging
import sys
import threading
import warnings
from functools import partial

import pytest

from venice_ai._core import caller_warnings

from ..fakes import HI, answer, client_of, completion


async def test_warnings_of_ever_more_models_take_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    headers = [{"x-venice-model-deprecation-warning": f"soon {number}"} for number in range(150)]
    client, _ = client_of(*[answer(completion(), headers=each) for each in [*headers, headers[-1]]])
    for number in [*range(150), 149]:
        await client.chat.completions.create(model=f"model {number}", messages=HI)
    assert len(caplog.records) == 150


def test_texts_that_were_shown_are_remembered_up_to_a_thousand() -> None:
    remembered = sys.modules[__name__].__dict__.setdefault("__warningregistry__", {})
    remembered.clear()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        most = 0
        for number in range(2_500):
            caller_warnings.warn(f"model {number} is odd")
            most = max(most, sum(isinstance(key, tuple) for key in remembered))
        assert most == 1_000
        for _ in range(3):
            caller_warnings.warn("model 2499 is odd")

    assert len(shown) == 2_500 + 1, "the last ones came from another line, and are one"


def test_a_warning_without_code_of_the_caller_names_the_line_that_called_us() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        thread = threading.Thread(target=partial(caller_warnings.warn, "it is odd", ResourceWarning))
        thread.start()
        thread.join()

    assert [(each.filename, each.category) for each in shown] == [(threading.__file__, ResourceWarning)]
    assert "self._target(" in linecache.getline(threading.__file__, shown[0].lineno)
