"""That the table of attacks is covered row by row, and that no reply whatever gets anything but a refusal through."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.shared import shared
from venice_ai.exceptions import TeeAttestationError
from venice_ai.tee import TeeOptions

from ..fakes import ScriptedReply, answer
from .enclave import Enclave, client_of, created
from .evidence import Case, failed

ROWS = range(1, 63)
# A test names its rows in its name or in the ids of its cases.
_NAMED = re.compile(r"def test_(?:row_)?(\d\d?)_|id=f?\"(?:row )?(\d\d?)[ :-]")


def test_every_row_has_a_test() -> None:
    sources = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    named = {int(next(filter(None, groups))) for source in sources for groups in _NAMED.findall(source)}

    assert sorted(set(ROWS) - named) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *("verified", "nonce", "request_nonce", "nonce_source", "model", "signing_address", "signing_public_key", "signing_key"),
    *("signing_algo", "tee_hardware", "tee_provider", "intel_quote", "quote", "event_log", "info", "vm_config"),
    *("nvidia_payload", "server_verification", "api_version", "attestation", "compose_manager_attestation"),
]


def _asked(reply: Callable[[dict[str, Any]], ScriptedReply]) -> tuple[BaseException | None, int]:
    """What a chat comes to whose enclave gives this reply, and how many chats were sent."""
    enclave = Enclave()
    enclave.attestation = reply

    async def ask() -> BaseException | None:
        async with client_of(enclave, tee=TeeOptions()) as client:
            try:
                await created(client, e2ee=True)
            except Exception as error:  # noqa: BLE001  # which one it is is what is looked at
                return error
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(ask()), len(enclave.chats)


@given(field=st.sampled_from(FIELDS), wrong=JSON)
def test_whatever_a_field_of_the_reply_holds_it_is_refused_or_harmless(field: str, wrong: Any) -> None:
    error, chats = _asked(lambda reply: answer({**reply, field: wrong}))

    assert error is None or isinstance(error, TeeAttestationError)
    assert chats == (error is None)


@given(body=st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_whatever_the_reply_is_nothing_is_sent(body: bytes) -> None:
    error, chats = _asked(lambda _: ScriptedReply(body, status=200, headers={"content-type": "application/json"}))

    assert isinstance(error, TeeAttestationError)
    assert chats == 0


def test_a_quote_that_was_cut_for_the_record_is_no_quote() -> None:
    reply = shared("tee/attestation_gemma.json")
    case = Case(reply, reply["model"], bytes.fromhex(reply["nonce"]), 1_795_375_060.0)

    assert "quote_parse" in failed(case.judged())
