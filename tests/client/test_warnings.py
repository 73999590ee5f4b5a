"""What was warned of is remembered, but not for ever."""

from __future__ import annotations

import logging

import pytest

from ..fakes import HI, answer, client_of, completion


async def test_warnings_of_ever_more_models_take_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    headers = [{"x-venice-model-deprecation-warning": f"soon {number}"} for number in range(150)]
    client, _ = client_of(*[answer(completion(), headers=each) for each in [*headers, headers[-1]]])
    for number in [*range(150), 149]:
        await client.chat.completions.create(model=f"model {number}", messages=HI)
    assert len(caplog.records) == 150
