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
    from .exceptions import InvalidRequestError as InvalidRequestError
    from .exceptions import ModelGoneError as ModelGoneError
    from .exceptions import NoMatchingModelError as NoMatchingModelError
    from .exceptions import NotFoundError as NotFoundError
    from .exceptions import PayloadTooLargeError as PayloadTooLargeError
    from .exceptions import PaymentRequiredError as PaymentRequiredError
    from .exceptions import PermissionDeniedError as PermissionDeniedError
    from .exceptions import RateLimitError as RateLimitError
    from .exceptions import SchemaNotStrictError as SchemaNotStrictError
    from .exceptions import ServiceUnavailableError as ServiceUnavailableError
    from .exceptions import StreamConsumedError as StreamConsumedError
    from .exceptions import StreamInterruptedError as StreamInterruptedError
    from .exceptions import StreamTimeoutError as StreamTimeoutError
    from .exceptions import UnprocessableEntityError as UnprocessableEntityError
    from .exceptions import UnsupportedMediaTypeError as UnsupportedMediaTypeError
    from .exceptions import VeniceError as VeniceError
    from .streaming import ChatStream as ChatStream
    from .streaming import Stream as Stream
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
    from .types.api.chat import ReasoningConfig as ReasoningConfig
    from .types.api.chat import StreamOptions as StreamOptions
    from .types.api.chat import SystemMessage as SystemMessage
    from .types.api.chat import TextContent as TextContent
    from .types.api.chat import Tool as Tool
    from .types.api.chat import ToolCall as ToolCall
    from .types.api.chat import ToolCallFunction as ToolCallFunction
    from .types.api.chat import ToolChoice as ToolChoice
    from .types.api.chat import ToolFunction as ToolFunction
    from .types.api.chat import ToolMessage as ToolMessage
    from .types.api.chat import UserMessage as UserMessage
    from .types.api.chat import VeniceParameters as VeniceParameters
    from .types.api.streaming import ChatCompletionChunk as ChatCompletionChunk
    from .types.api.streaming import ChunkModelFactory as ChunkModelFactory

_HOMES = {
    "VeniceClient": "_client",
    "Timeout": "_config",
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
    "InvalidRequestError": "exceptions",
    "ModelGoneError": "exceptions",
    "NoMatchingModelError": "exceptions",
    "NotFoundError": "exceptions",
    "PayloadTooLargeError": "exceptions",
    "PaymentRequiredError": "exceptions",
    "PermissionDeniedError": "exceptions",
    "RateLimitError": "exceptions",
    "SchemaNotStrictError": "exceptions",
    "ServiceUnavailableError": "exceptions",
    "StreamConsumedError": "exceptions",
    "StreamInterruptedError": "exceptions",
    "StreamTimeoutError": "exceptions",
    "UnprocessableEntityError": "exceptions",
    "UnsupportedMediaTypeError": "exceptions",
    "VeniceError": "exceptions",
    "ChatStream": "streaming",
    "Stream": "streaming",
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
    "ReasoningConfig": "types.api.chat",
    "StreamOptions": "types.api.chat",
    "SystemMessage": "types.api.chat",
    "TextContent": "types.api.chat",
    "Tool": "types.api.chat",
    "ToolCall": "types.api.chat",
    "ToolCallFunction": "types.api.chat",
    "ToolChoice": "types.api.chat",
    "ToolFunction": "types.api.chat",
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
    "GatewayTimeoutError",
    "ImageContent",
    "ImageUrl",
    "InternalServerError",
    "InvalidRequestError",
    "JSONSchemaFormat",
    "Message",
    "ModelGoneError",
    "NoMatchingModelError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ReasoningConfig",
    "SchemaNotStrictError",
    "ServiceUnavailableError",
    "Stream",
    "StreamConsumedError",
    "StreamInterruptedError",
    "StreamOptions",
    "StreamTimeoutError",
    "SystemMessage",
    "TextContent",
    "Timeout",
    "Tool",
    "ToolCall",
    "ToolCallFunction",
    "ToolChoice",
    "ToolFunction",
    "ToolMessage",
    "UnprocessableEntityError",
    "UnsupportedMediaTypeError",
    "UserMessage",
    "VeniceClient",
    "VeniceError",
    "VeniceParameters",
    "__version__",
    "estimate_completion_cost",
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
