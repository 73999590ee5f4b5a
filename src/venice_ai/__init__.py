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
    "_limits.budget": "Budget Spending",
    "_limits.rate_share": "RateShare",
    "_limits.snapshot": "LimitsSnapshot ModelLimits WaitNotice",
    "_sync.client": "SyncVeniceClient",
    "_sync.streams": "SyncChatStream SyncStream SyncToolStream",
    "_sync.parsed_stream": "SyncParsedChatStream",
    "_version": "__version__",
    "batches.items": "BatchItem BatchProgress",
    "batches.journal": "Journal",
    "costs": "ChatCostEstimate estimate_completion_cost",
    "exceptions": (
        "APIConnectionError APIError APIResponseProcessingError APITimeoutError AuthenticationError BudgetExceededError "
        "CircuitOpenError ConflictError GatewayTimeoutError InternalServerError InvalidArgumentError InvalidRequestError "
        "MaxIterationsExceededError ModelGoneError ModelOverloadedError ModelSubstitutedWarning NoChoicesError "
        "NoMatchingModelError NoToolCallsError NotFoundError OutputError OutputInvalidError OutputMissingError "
        "OutputRefusedError OutputTruncatedError PayloadTooLargeError PaymentRequiredError PermissionDeniedError "
        "RateLimitError RateLimitKind ResponseFormatNotStrictError SchemaNotStrictError ServiceUnavailableError "
        "StreamConsumedError StreamInterruptedError StreamTimeoutError TeeAttestationError TeeDowngradeWarning "
        "TeeEncryptionError TeeError ToolArgumentsError ToolCallInsteadError ToolLoopPausedError ToolSignatureError "
        "ToolTimeoutError UnknownToolError UnprocessableEntityError UnsupportedMediaTypeError VeniceError"
    ),
    "resources.chat.arguments": "ChatRequest",
    "resources.chat.parsed": "ParsedChatStream",
    "resources.chat.tool_runner": "ToolStream",
    "streaming": "ChatStream Stream",
    "tee.types": "TeeOptions",
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
    "types.api.streaming": "ChatCompletionChunk ChunkModelFactory",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

if TYPE_CHECKING:
    from ._client import VeniceClient as VeniceClient
    from ._core.settings import Timeout as Timeout
    from ._limits.budget import Budget as Budget
    from ._limits.budget import Spending as Spending
    from ._limits.rate_share import RateShare as RateShare
    from ._limits.snapshot import LimitsSnapshot as LimitsSnapshot
    from ._limits.snapshot import ModelLimits as ModelLimits
    from ._limits.snapshot import WaitNotice as WaitNotice
    from ._sync.client import SyncVeniceClient as SyncVeniceClient
    from ._sync.parsed_stream import SyncParsedChatStream as SyncParsedChatStream
    from ._sync.streams import SyncChatStream as SyncChatStream
    from ._sync.streams import SyncStream as SyncStream
    from ._sync.streams import SyncToolStream as SyncToolStream
    from ._version import __version__ as __version__
    from .batches.items import BatchItem as BatchItem
    from .batches.items import BatchProgress as BatchProgress
    from .batches.journal import Journal as Journal
    from .costs import ChatCostEstimate as ChatCostEstimate
    from .costs import estimate_completion_cost as estimate_completion_cost
    from .exceptions import OutputInvalidError as OutputInvalidError
    from .exceptions import OutputTruncatedError as OutputTruncatedError
    from .exceptions._tree import *  # noqa: F403  # every class in it
    from .resources.chat.arguments import ChatRequest as ChatRequest
    from .resources.chat.parsed import ParsedChatStream as ParsedChatStream
    from .resources.chat.tool_runner import ToolStream as ToolStream
    from .streaming import ChatStream as ChatStream
    from .streaming import Stream as Stream
    from .tee.types import TeeOptions as TeeOptions
    from .tools import Approval as Approval
    from .tools import FunctionTool as FunctionTool
    from .tools import RoundFinished as RoundFinished
    from .tools import TextDelta as TextDelta
    from .tools import ToolCallFinished as ToolCallFinished
    from .tools import ToolCallStarted as ToolCallStarted
    from .tools import ToolContext as ToolContext
    from .tools import ToolEvent as ToolEvent
    from .tools import ToolLoop as ToolLoop
    from .tools import tool_from_function as tool_from_function
    from .tools import tool_from_model as tool_from_model
    from .types.api.chat import AssistantMessage as AssistantMessage
    from .types.api.chat import AudioContent as AudioContent
    from .types.api.chat import ChatCompletionResponse as ChatCompletionResponse
    from .types.api.chat import ChatMessage as ChatMessage
    from .types.api.chat import ChatUsage as ChatUsage
    from .types.api.chat import DeveloperMessage as DeveloperMessage
    from .types.api.chat import FileContent as FileContent
    from .types.api.chat import ImageContent as ImageContent
    from .types.api.chat import ImageUrl as ImageUrl
    from .types.api.chat import JSONObjectFormat as JSONObjectFormat
    from .types.api.chat import JSONSchemaFormat as JSONSchemaFormat
    from .types.api.chat import Message as Message
    from .types.api.chat import ParsedChatCompletion as ParsedChatCompletion
    from .types.api.chat import Partial as Partial
    from .types.api.chat import ReasoningConfig as ReasoningConfig
    from .types.api.chat import SpecificToolChoice as SpecificToolChoice
    from .types.api.chat import StreamOptions as StreamOptions
    from .types.api.chat import SystemMessage as SystemMessage
    from .types.api.chat import TextContent as TextContent
    from .types.api.chat import TextResponseFormat as TextResponseFormat
    from .types.api.chat import Tool as Tool
    from .types.api.chat import ToolCall as ToolCall
    from .types.api.chat import ToolCallFunction as ToolCallFunction
    from .types.api.chat import ToolChoice as ToolChoice
    from .types.api.chat import ToolFunction as ToolFunction
    from .types.api.chat import ToolLoopResult as ToolLoopResult
    from .types.api.chat import ToolLoopState as ToolLoopState
    from .types.api.chat import ToolMessage as ToolMessage
    from .types.api.chat import UserMessage as UserMessage
    from .types.api.chat import VeniceParameters as VeniceParameters
    from .types.api.chat import VideoContent as VideoContent
    from .types.api.streaming import ChatCompletionChunk as ChatCompletionChunk
    from .types.api.streaming import ChunkModelFactory as ChunkModelFactory
else:
    globals()["__all__"] = sorted(_HOMES)  # a list that tools need not read: they see the imports above


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOMES.keys())
