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
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._client import VeniceClient as VeniceClient
    from ._config import Timeout as Timeout
    from ._sync import SyncVeniceClient as SyncVeniceClient
    from ._sync_parsing import SyncParsedChatStream as SyncParsedChatStream
    from ._sync_streams import SyncChatStream as SyncChatStream
    from ._sync_streams import SyncStream as SyncStream
    from ._sync_streams import SyncToolStream as SyncToolStream
    from ._version import __version__ as __version__
    from .costs import ChatCostEstimate as ChatCostEstimate
    from .costs import estimate_completion_cost as estimate_completion_cost
    from .exceptions import APIConnectionError as APIConnectionError
    from .exceptions import APIError as APIError
    from .exceptions import APIResponseProcessingError as APIResponseProcessingError
    from .exceptions import APITimeoutError as APITimeoutError
    from .exceptions import AuthenticationError as AuthenticationError
    from .exceptions import ConflictError as ConflictError
    from .exceptions import GatewayTimeoutError as GatewayTimeoutError
    from .exceptions import InternalServerError as InternalServerError
    from .exceptions import InvalidArgumentError as InvalidArgumentError
    from .exceptions import InvalidRequestError as InvalidRequestError
    from .exceptions import MaxIterationsExceededError as MaxIterationsExceededError
    from .exceptions import ModelGoneError as ModelGoneError
    from .exceptions import NoChoicesError as NoChoicesError
    from .exceptions import NoMatchingModelError as NoMatchingModelError
    from .exceptions import NotFoundError as NotFoundError
    from .exceptions import OutputError as OutputError
    from .exceptions import OutputInvalidError as OutputInvalidError
    from .exceptions import OutputRefusedError as OutputRefusedError
    from .exceptions import OutputTruncatedError as OutputTruncatedError
    from .exceptions import PayloadTooLargeError as PayloadTooLargeError
    from .exceptions import PaymentRequiredError as PaymentRequiredError
    from .exceptions import PermissionDeniedError as PermissionDeniedError
    from .exceptions import RateLimitError as RateLimitError
    from .exceptions import SchemaNotStrictError as SchemaNotStrictError
    from .exceptions import ServiceUnavailableError as ServiceUnavailableError
    from .exceptions import StreamConsumedError as StreamConsumedError
    from .exceptions import StreamInterruptedError as StreamInterruptedError
    from .exceptions import StreamTimeoutError as StreamTimeoutError
    from .exceptions import ToolArgumentsError as ToolArgumentsError
    from .exceptions import ToolCallInsteadError as ToolCallInsteadError
    from .exceptions import ToolLoopPausedError as ToolLoopPausedError
    from .exceptions import ToolSignatureError as ToolSignatureError
    from .exceptions import ToolTimeoutError as ToolTimeoutError
    from .exceptions import UnknownToolError as UnknownToolError
    from .exceptions import UnprocessableEntityError as UnprocessableEntityError
    from .exceptions import UnsupportedMediaTypeError as UnsupportedMediaTypeError
    from .exceptions import VeniceError as VeniceError
    from .resources.chat.parsing import ParsedChatStream as ParsedChatStream
    from .resources.chat.tool_runs import ToolStream as ToolStream
    from .streaming import ChatStream as ChatStream
    from .streaming import Stream as Stream
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
    from .types.api.chat import ChatCompletionResponse as ChatCompletionResponse
    from .types.api.chat import ChatMessage as ChatMessage
    from .types.api.chat import ChatUsage as ChatUsage
    from .types.api.chat import DeveloperMessage as DeveloperMessage
    from .types.api.chat import FileContent as FileContent
    from .types.api.chat import ImageContent as ImageContent
    from .types.api.chat import ImageUrl as ImageUrl
    from .types.api.chat import JSONSchemaFormat as JSONSchemaFormat
    from .types.api.chat import Message as Message
    from .types.api.chat import ParsedChatCompletion as ParsedChatCompletion
    from .types.api.chat import ReasoningConfig as ReasoningConfig
    from .types.api.chat import StreamOptions as StreamOptions
    from .types.api.chat import SystemMessage as SystemMessage
    from .types.api.chat import TextContent as TextContent
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
    from .types.api.streaming import ChatCompletionChunk as ChatCompletionChunk
    from .types.api.streaming import ChunkModelFactory as ChunkModelFactory

_HOMES = {
    "VeniceClient": "_client",
    "Timeout": "_config",
    "SyncVeniceClient": "_sync",
    "SyncChatStream": "_sync_streams",
    "SyncParsedChatStream": "_sync_parsing",
    "SyncStream": "_sync_streams",
    "SyncToolStream": "_sync_streams",
    "__version__": "_version",
    "ChatCostEstimate": "costs",
    "estimate_completion_cost": "costs",
    "APIConnectionError": "exceptions",
    "APIError": "exceptions",
    "APIResponseProcessingError": "exceptions",
    "APITimeoutError": "exceptions",
    "AuthenticationError": "exceptions",
    "ConflictError": "exceptions",
    "GatewayTimeoutError": "exceptions",
    "InternalServerError": "exceptions",
    "InvalidArgumentError": "exceptions",
    "InvalidRequestError": "exceptions",
    "MaxIterationsExceededError": "exceptions",
    "ModelGoneError": "exceptions",
    "NoChoicesError": "exceptions",
    "NoMatchingModelError": "exceptions",
    "NotFoundError": "exceptions",
    "OutputError": "exceptions",
    "OutputInvalidError": "exceptions",
    "OutputRefusedError": "exceptions",
    "OutputTruncatedError": "exceptions",
    "PayloadTooLargeError": "exceptions",
    "PaymentRequiredError": "exceptions",
    "PermissionDeniedError": "exceptions",
    "RateLimitError": "exceptions",
    "SchemaNotStrictError": "exceptions",
    "ServiceUnavailableError": "exceptions",
    "StreamConsumedError": "exceptions",
    "StreamInterruptedError": "exceptions",
    "StreamTimeoutError": "exceptions",
    "ToolArgumentsError": "exceptions",
    "ToolCallInsteadError": "exceptions",
    "ToolLoopPausedError": "exceptions",
    "ToolSignatureError": "exceptions",
    "ToolTimeoutError": "exceptions",
    "UnknownToolError": "exceptions",
    "UnprocessableEntityError": "exceptions",
    "UnsupportedMediaTypeError": "exceptions",
    "VeniceError": "exceptions",
    "ParsedChatStream": "resources.chat.parsing",
    "ToolStream": "resources.chat.tool_runs",
    "ChatStream": "streaming",
    "Stream": "streaming",
    "Approval": "tools",
    "FunctionTool": "tools",
    "RoundFinished": "tools",
    "TextDelta": "tools",
    "ToolCallFinished": "tools",
    "ToolCallStarted": "tools",
    "ToolContext": "tools",
    "ToolEvent": "tools",
    "ToolLoop": "tools",
    "tool_from_function": "tools",
    "tool_from_model": "tools",
    "AssistantMessage": "types.api.chat",
    "ChatCompletionResponse": "types.api.chat",
    "ChatMessage": "types.api.chat",
    "ChatUsage": "types.api.chat",
    "DeveloperMessage": "types.api.chat",
    "FileContent": "types.api.chat",
    "ImageContent": "types.api.chat",
    "ImageUrl": "types.api.chat",
    "JSONSchemaFormat": "types.api.chat",
    "Message": "types.api.chat",
    "ParsedChatCompletion": "types.api.chat",
    "ReasoningConfig": "types.api.chat",
    "StreamOptions": "types.api.chat",
    "SystemMessage": "types.api.chat",
    "TextContent": "types.api.chat",
    "Tool": "types.api.chat",
    "ToolCall": "types.api.chat",
    "ToolCallFunction": "types.api.chat",
    "ToolChoice": "types.api.chat",
    "ToolFunction": "types.api.chat",
    "ToolLoopResult": "types.api.chat",
    "ToolLoopState": "types.api.chat",
    "ToolMessage": "types.api.chat",
    "UserMessage": "types.api.chat",
    "VeniceParameters": "types.api.chat",
    "ChatCompletionChunk": "types.api.streaming",
    "ChunkModelFactory": "types.api.streaming",
}

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseProcessingError",
    "APITimeoutError",
    "Approval",
    "AssistantMessage",
    "AuthenticationError",
    "ChatCompletionChunk",
    "ChatCompletionResponse",
    "ChatCostEstimate",
    "ChatMessage",
    "ChatStream",
    "ChatUsage",
    "ChunkModelFactory",
    "ConflictError",
    "DeveloperMessage",
    "FileContent",
    "FunctionTool",
    "GatewayTimeoutError",
    "ImageContent",
    "ImageUrl",
    "InternalServerError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "JSONSchemaFormat",
    "MaxIterationsExceededError",
    "Message",
    "ModelGoneError",
    "NoChoicesError",
    "NoMatchingModelError",
    "NotFoundError",
    "OutputError",
    "OutputInvalidError",
    "OutputRefusedError",
    "OutputTruncatedError",
    "ParsedChatCompletion",
    "ParsedChatStream",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ReasoningConfig",
    "RoundFinished",
    "SchemaNotStrictError",
    "ServiceUnavailableError",
    "Stream",
    "StreamConsumedError",
    "StreamInterruptedError",
    "StreamOptions",
    "StreamTimeoutError",
    "SyncChatStream",
    "SyncParsedChatStream",
    "SyncStream",
    "SyncToolStream",
    "SyncVeniceClient",
    "SystemMessage",
    "TextContent",
    "TextDelta",
    "Timeout",
    "Tool",
    "ToolArgumentsError",
    "ToolCall",
    "ToolCallFinished",
    "ToolCallFunction",
    "ToolCallInsteadError",
    "ToolCallStarted",
    "ToolChoice",
    "ToolContext",
    "ToolEvent",
    "ToolFunction",
    "ToolLoop",
    "ToolLoopPausedError",
    "ToolLoopResult",
    "ToolLoopState",
    "ToolMessage",
    "ToolSignatureError",
    "ToolStream",
    "ToolTimeoutError",
    "UnknownToolError",
    "UnprocessableEntityError",
    "UnsupportedMediaTypeError",
    "UserMessage",
    "VeniceClient",
    "VeniceError",
    "VeniceParameters",
    "__version__",
    "estimate_completion_cost",
    "tool_from_function",
    "tool_from_model",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOMES.keys())
