"""Venice's own OpenAPI document, turned into requests by `schemathesis`, finds nothing wrong with the emulator.

The document is not the whole of the contract, and in places contradicts the rest of it. It is corrected here in two steps:
`filled` adds answers that the document leaves out and Venice's other pages describe; `narrowed` removes requests that it
allows and those pages refuse.
"""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from venice_ai.emulator import Emulator, run_in_thread, text_model

from ..shared import shared
from .environments import PythonEnvironment, environment, python_env

pytestmark = pytest.mark.interop

CHAT = "/chat/completions"
SEED = 20_260_821
EXAMPLES = 25

DOCUMENT: dict[str, Any] = shared("openapi-chat.json")

# It knows 401 and 403 as answers to a request without credentials. Venice says 402: the document itself has that status,
# with the body of such an answer (`X402InferencePaymentRequired`), under this operation.
NOT_CHECKED = ["ignored_auth"]
# The document leaves open what a model can do, and what its fields may say together (a model that is listed, a tool that
# `tool_choice` names ...), so much of what it allows is refused. The narrowed document is tested with this check.
NOT_CHECKED_UNNARROWED = [*NOT_CHECKED, "positive_data_acceptance"]

UNLISTED_STATUSES = {
    # https://docs.venice.ai/api-reference/error-codes names these for chats; the document does not list them.
    CHAT: ["403", "404", "410", "413", "422"],
    # The document has an enum of types for these, and no answer for a type that is not in it.
    "/models": ["400"],
    "/models/traits": ["400"],
    "/models/compatibility_mapping": ["400"],
}


def filled(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the answers that it leaves out."""
    whole = copy.deepcopy(document)
    refusal = {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StandardError"}}}}
    for path, statuses in UNLISTED_STATUSES.items():
        for operation in whole["paths"][path].values():
            operation["responses"] |= dict.fromkeys(statuses, refusal)
    # It has the parameter `stream`, and no word on what a stream is.
    event = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
    whole["paths"][CHAT]["post"]["responses"]["200"]["content"]["text/event-stream"] = {"schema": event}
    return whole


def narrowed(document: dict[str, Any], model: str) -> dict[str, Any]:
    """The document without the requests that are refused all the same."""
    narrow = filled(document)
    narrow["paths"][CHAT]["post"]["requestBody"]["required"] = True
    fields = narrow["components"]["schemas"]["ChatCompletionRequest"]["properties"]
    fields["model"]["enum"] = [model]
    fields["n"] |= {"minimum": 1, "maximum": 4}
    fields["max_completion_tokens"] |= {"minimum": 1, "maximum": 1_000}
    # "One to four texts": the last branch has neither a type nor a meaning, so that it lets anything pass.
    assert fields["stop"]["anyOf"].pop() == {"nullable": True, "title": "null"}
    # A name or `required` needs tools that fit, which a schema cannot say.
    fields["tool_choice"] = {"type": "string", "enum": ["none", "auto"]}
    # Any object passes for a schema here; one that nothing fits is refused.
    schemas = fields["response_format"]["oneOf"][0]
    schemas["properties"]["json_schema"]["enum"] = [schemas["example"]["json_schema"]]
    fields["venice_parameters"]["properties"]["character_slug"]["pattern"] = "^[a-z]+$"
    return narrow


@pytest.fixture(scope="module")
def schemathesis() -> PythonEnvironment:
    return python_env("schemathesis", ["schemathesis==4.32.5"])


def findings(program: PythonEnvironment, document: dict[str, Any], base_url: str, folder: Path, *options: str) -> str:
    """What it finds wrong; nothing if it finds nothing."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    fixed = ("--phases=examples,fuzzing", f"--max-examples={EXAMPLES}", f"--seed={SEED}", "--generation-database=none")
    done = subprocess.run(
        [program.command("schemathesis"), "run", str(path), f"--url={base_url}", "--header=Authorization:Bearer any",
         "--continue-on-failure", "--warnings=off", "--no-color", *fixed, *options],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        env=environment(),
        cwd=folder,
        check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert f"Seed: {SEED}" in output, output[-2_000:]
    return "" if done.returncode == 0 else "\n".join(line[:400] for line in output.splitlines())[-8_000:]


def test_nothing_contradicts_the_document(schemathesis: PythonEnvironment, base_url: str, tmp_path: Path) -> None:
    excluded = f"--exclude-checks={','.join(NOT_CHECKED_UNNARROWED)}"

    assert not findings(schemathesis, filled(DOCUMENT), base_url, tmp_path, excluded)


def test_everything_that_is_allowed_is_answered(schemathesis: PythonEnvironment, tmp_path: Path) -> None:
    abilities = ("FunctionCalling", "ResponseSchema", "WebSearch", "XSearch", "LogProbs", "Reasoning", "ReasoningEffort",
                 "Vision", "MultipleImages", "AudioInput", "VideoInput")  # fmt: skip
    model = text_model("tuttofare", supports=abilities)
    options = (f"--include-path={CHAT}", "--mode=positive", f"--exclude-checks={','.join(NOT_CHECKED)}")

    with run_in_thread(Emulator(models=[model])) as server:
        assert not findings(schemathesis, narrowed(DOCUMENT, model["id"]), server.url, tmp_path, *options)
