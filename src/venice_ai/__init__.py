"""Talk to language models in private: the Python client for Venice AI's Chat Completions API.

::

    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        reply = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}]
        )
        print(reply.text)

The names below are loaded when they are first used, so that importing the package costs next to nothing.
"""

# Type checkers take this for true. Importing `typing` for it would be most of the package's start-up.
TYPE_CHECKING = False  # pyright: ignore[reportConstantRedefinition]  # the star below brings the one of `typing`

_NAMES = {
    "_client": "VeniceClient",
    "_core.settings": "Timeout",
    "_limits.budget": "Budget",
    "_limits.rate_share": "RateShare",
    "_sync.client": "SyncVeniceClient",
    "_sync.streams": "SyncChatStream SyncStream SyncToolStream",
    "_sync.parsed_stream": "SyncParsedChatStream",
    "_version": "__version__",
    "batches.items": "BatchItem BatchProgress",
    "batches.journal": "Journal",
    "costs": "ChatCostEstimate Spending estimate_completion_cost",
    "exceptions": (
        "APIConnectionError APIError APIResponseProcessingError APITimeoutError AuthenticationError BudgetExceededError "
        "CircuitOpenError ConflictError ConnectError ConnectTimeoutError GatewayTimeoutError InternalServerError "
        "InvalidArgumentError InvalidRequestError MaxIterationsExceededError ModelGoneError ModelOverloadedError "
        "ModelSubstitutedWarning NoChoicesError NoMatchingModelError NoToolCallsError NotFoundError OutputError "
        "OutputInvalidError OutputMissingError OutputRefusedError OutputTruncatedError PayloadTooLargeError "
        "PaymentRequiredError PermissionDeniedError RateLimitError ResponseFormatNotStrictError "
        "SchemaNotStrictError ServiceUnavailableError StreamConsumedError StreamInterruptedError StreamTimeoutError "
        "TeeAttestationError TeeDowngradeWarning TeeEncryptionError TeeError ToolArgumentsError ToolCallInsteadError "
        "ToolLoopPausedError ToolSignatureError ToolTimeoutError UnknownToolError UnprocessableEntityError "
        "UnsupportedMediaTypeError VeniceError"
    ),
    "helpers": "attachment",
    "resources.chat.arguments": "BatchRequest ChatRequest",
    "resources.chat.parsed": "ParsedChatStream",
    "resources.chat.tool_runner": "ToolStream",
    "streaming": "ChatStream Stream",
    "tee.types": "TeeOptions",
    "telemetry": "Telemetry",
    "tools": (
        "Approval FunctionTool RoundFinished TextDelta ToolCallFinished ToolCallStarted ToolContext ToolEvent ToolLoop "
        "tool_from_function tool_from_model"
    ),
    "types.api.chat": (
        "AssistantMessage AudioContent ChatCompletionResponse ChatMessage ChatUsage DeveloperMessage FileContent "
        "ImageContent ImageUrl JSONObjectFormat JSONSchemaFormat Message ParsedChatCompletion Partial ReasoningConfig "
        "SpecificToolChoice StreamOptions SystemMessage TextContent TextResponseFormat Tool ToolCall ToolCallFunction "
        "ToolChoice ToolFunction ToolLoopResult ToolLoopState ToolMessage UserMessage VeniceParameters VideoContent"
    ),
    "types.api.params": "ChatParams",
    "types.api.streaming": "ChatCompletionChunk ChunkModelFactory",
    "types.limits": "LimitsSnapshot ModelLimits RateLimitKind WaitNotice",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

if TYPE_CHECKING:
    # fmt: off
    # isort: off
    from ._client import VeniceClient as VeniceClient
    from ._core.settings import Timeout as Timeout
    from ._limits.budget import Budget as Budget
    from ._limits.rate_share import RateShare as RateShare
    from ._sync.client import SyncVeniceClient as SyncVeniceClient
    from ._sync.parsed_stream import SyncParsedChatStream as SyncParsedChatStream
    from ._sync.streams import SyncChatStream as SyncChatStream, SyncStream as SyncStream, SyncToolStream as SyncToolStream
    from ._version import __version__ as __version__
    from .batches.items import BatchItem as BatchItem, BatchProgress as BatchProgress
    from .batches.journal import Journal as Journal
    from .costs import ChatCostEstimate as ChatCostEstimate, Spending as Spending
    from .costs import estimate_completion_cost as estimate_completion_cost
    from .exceptions import OutputInvalidError as OutputInvalidError, OutputTruncatedError as OutputTruncatedError
    from .exceptions._tree import *  # noqa: F403  # every class in it
    from .helpers import attachment as attachment
    from .resources.chat.arguments import BatchRequest as BatchRequest
    from .resources.chat.arguments import ChatRequest as ChatRequest
    from .resources.chat.parsed import ParsedChatStream as ParsedChatStream
    from .resources.chat.tool_runner import ToolStream as ToolStream
    from .streaming import ChatStream as ChatStream, Stream as Stream
    from .tee.types import TeeOptions as TeeOptions
    from .telemetry import Telemetry as Telemetry
    from .tools import (
        Approval as Approval, FunctionTool as FunctionTool, RoundFinished as RoundFinished, TextDelta as TextDelta,
        ToolCallFinished as ToolCallFinished, ToolCallStarted as ToolCallStarted, ToolContext as ToolContext,
        ToolEvent as ToolEvent, ToolLoop as ToolLoop, tool_from_function as tool_from_function,
        tool_from_model as tool_from_model,
    )
    from .types.api.chat import (
        AssistantMessage as AssistantMessage, AudioContent as AudioContent, ChatCompletionResponse as ChatCompletionResponse,
        ChatMessage as ChatMessage, ChatUsage as ChatUsage, DeveloperMessage as DeveloperMessage, FileContent as FileContent,
        ImageContent as ImageContent, ImageUrl as ImageUrl, JSONObjectFormat as JSONObjectFormat,
        JSONSchemaFormat as JSONSchemaFormat, Message as Message, ParsedChatCompletion as ParsedChatCompletion,
        Partial as Partial, ReasoningConfig as ReasoningConfig, SpecificToolChoice as SpecificToolChoice,
        StreamOptions as StreamOptions, SystemMessage as SystemMessage, TextContent as TextContent,
        TextResponseFormat as TextResponseFormat, Tool as Tool, ToolCall as ToolCall, ToolCallFunction as ToolCallFunction,
        ToolChoice as ToolChoice, ToolFunction as ToolFunction, ToolLoopResult as ToolLoopResult,
        ToolLoopState as ToolLoopState, ToolMessage as ToolMessage, UserMessage as UserMessage,
        VeniceParameters as VeniceParameters, VideoContent as VideoContent,
    )
    from .types.api.params import ChatParams as ChatParams
    from .types.api.streaming import ChatCompletionChunk as ChatCompletionChunk, ChunkModelFactory as ChunkModelFactory
    from .types.limits import LimitsSnapshot as LimitsSnapshot, ModelLimits as ModelLimits
    from .types.limits import RateLimitKind as RateLimitKind, WaitNotice as WaitNotice
    # isort: on
    # fmt: on


def __getattr__(name: str) -> object:
    if name == "__all__":  # tools need not read it: they see the imports above
        return [each for each in __dir__() if each in _HOMES]
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    from importlib.util import find_spec  # a star and `help` load every name that is listed, and one needs an extra

    return sorted(name for name in {*globals(), *_HOMES} if name != "Telemetry" or find_spec("opentelemetry"))
