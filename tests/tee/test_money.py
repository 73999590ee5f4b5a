"""Encrypted chats under a budget, and with fallback models: usage is in clear, privacy is never given up."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai import Budget, InvalidRequestError, ModelGoneError, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, error, text, text_model
from venice_ai.emulator.enclave import Enclave

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

MESSAGES = [UserMessage(content="Where did Casanova hide the key?")]
SEALED = ("TeeAttestation", "E2EE")


def emulator_and_client(**more: Any) -> tuple[Emulator, VeniceClient]:
    enclave = Enclave()
    models = [text_model(name, supports=SEALED) for name in ("e2ee-one", "e2ee-two")]
    emulator = Emulator(models=[*models, text_model("open")], tee=enclave)
    options = enclave.options(verification="hardware")
    return emulator, VeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock, tee=options, max_retries=0, **more
    )


async def test_an_encrypted_chat_is_settled_by_its_usage_and_reserved_by_its_sealed_bytes() -> None:
    budget = Budget(1)
    _, client = emulator_and_client(budget=budget)
    response = await client.chat.completions.create(model="e2ee-one", messages=MESSAGES, e2ee=True, max_completion_tokens=200)
    assert response.usage is not None
    assert [(row.model, row.calls) for row in budget.spent()] == [("e2ee-one", 1)]
    assert 0 < sum(row.usd for row in budget.spent()) < 1
    assert budget.overshoot == 0
    assert budget.remaining == 1 - sum(row.usd for row in budget.spent())


@pytest.mark.parametrize("streams", [False, True])
async def test_an_encrypted_chat_goes_to_another_enclave_and_never_to_a_model_without_one(streams: bool) -> None:
    emulator, client = emulator_and_client(fallback_models=["open", "e2ee-two"])
    emulator.script(error(410), text("sealed by another"))
    if streams:
        stream = await client.chat.completions.stream(model="e2ee-one", messages=MESSAGES, e2ee=True)
        response = await stream.collect()
    else:
        response = await client.chat.completions.create(model="e2ee-one", messages=MESSAGES, e2ee=True)
    assert response.text == "sealed by another"
    assert response.attestation is not None
    assert response.meta.models_tried == ("e2ee-one", "e2ee-two")


async def test_without_another_enclave_among_the_fallbacks_the_failure_is_raised() -> None:
    emulator, client = emulator_and_client(fallback_models=["open"])
    emulator.script(error(410))
    with pytest.raises(ModelGoneError) as caught:
        await client.chat.completions.create(model="e2ee-one", messages=MESSAGES, e2ee=True)
    assert "'open' was not asked, because it has no end-to-end encryption" in caught.value.__notes__[0]
    assert [each.body["model"] for each in emulator.requests if each.method == "POST"] == ["e2ee-one"]


async def test_the_floor_of_a_client_holds_for_fallbacks() -> None:
    _, client = emulator_and_client(fallback_models=["open"], min_privacy="e2ee")
    with pytest.raises(InvalidRequestError, match="not private enough"):
        await client.chat.completions.create(model="open", messages=MESSAGES)
