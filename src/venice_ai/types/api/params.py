"""What a chat request may say: every optional parameter once, with its type and its range, and the shape of messages.

The client checks a request against this before it is sent, the emulator when it arrives, and the signatures of
`create` and its siblings unpack `ChatParams`. Source: Venice's OpenAPI document, schema `ChatCompletionRequest`
(https://docs.venice.ai/api-reference/endpoint/chat/completions). Ranges it leaves open and the prose closes are closed
here (`n` from 1, at most 4 `stop` sequences).

Keys that are not listed travel to the server untouched, in the request and in every object of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeAlias, cast

from msgspec import UNSET, Meta, Struct, UnsetType
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from . import chat

CHAT_PATH: Final = "/chat/completions"
"""Where requests go, below the root of the API."""

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity: TypeAlias = Literal["low", "medium", "high", "auto"]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]

# -- objects inside the parameters ---------------------------------------------------------------------------------------


class VeniceSwitches(TypedDict, total=False):
    """Venice's own switches; see `VeniceParameters`."""

    character_slug: str
    strip_thinking_response: bool
    disable_thinking: bool
    enable_e2ee: bool
    enable_web_search: Literal["auto", "off", "on"]
    enable_web_scraping: bool
    enable_web_citations: bool
    include_search_results_in_stream: bool
    return_search_results_as_documents: bool
    include_venice_system_prompt: bool
    enable_x_search: bool


class Reasoning(TypedDict, total=False):
    """How a reasoning model thinks; see `ReasoningConfig`."""

    effort: Effort
    summary: Literal["auto", "concise", "detailed"]
    enabled: bool


class StreamSwitches(TypedDict, total=False):
    """What a stream carries beside content; see `StreamOptions`."""

    include_usage: bool


class TextSwitches(TypedDict, total=False):
    """How wordy the text is."""

    verbosity: Verbosity


class Fallback(TypedDict):
    """A model to use in place of one that cannot answer."""

    model: str


class _Function(TypedDict, total=False):
    description: str
    parameters: dict[str, Any]
    strict: bool


class Function(_Function):
    """A function the model may call."""

    name: str


class ToolObject(TypedDict, total=False):
    """A tool: a `function`, or one of Venice's own types `web_search` and `x_search`."""

    function: Function
    type: str
    id: str


def lacks_function(tool: Mapping[str, Any]) -> bool:
    """Whether a `ToolObject` is neither of the two: the types cannot say it."""
    return "function" not in tool and tool.get("type") not in {"web_search", "x_search"}


class FunctionName(TypedDict):
    """Names a function."""

    name: str


class FunctionChoice(TypedDict):
    """Makes the model call one function."""

    type: str
    function: FunctionName


class TextFormat(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Ordinary text."""


class ObjectFormat(Struct, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class SchemaFormat(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that fits a schema."""

    json_schema: dict[str, Any]


class _NoValue:
    """A type that no value has. What `UntypedMapping` gives: only `Any` passes for it."""


class UntypedMapping(Protocol):
    """A mapping whose values are `Any` to a type checker, such as a `dict[str, Any]` that was read from a file.

    It stands beside a TypedDict in place of `Mapping[str, Any]`, which a literal with a misspelt key would fit, too.
    """

    def __getitem__(self, key: str, /) -> _NoValue: ...


# The caller may give objects of `types.api.chat` where the wire has JSON objects; they are plain JSON when checked.
if TYPE_CHECKING:
    VeniceParametersLike: TypeAlias = chat.VeniceParameters | VeniceSwitches | UntypedMapping
    ReasoningLike: TypeAlias = chat.ReasoningConfig | Reasoning | UntypedMapping
    StreamOptionsLike: TypeAlias = chat.StreamOptions | StreamSwitches | UntypedMapping
    ToolsLike: TypeAlias = Sequence[chat.Tool | ToolObject | Mapping[str, Any]]
    ToolChoiceLike: TypeAlias = (
        Literal["none", "auto", "required"] | chat.SpecificToolChoice | FunctionChoice | Mapping[str, Any]
    )
    FormatLike: TypeAlias = (
        chat.JSONSchemaFormat | chat.JSONObjectFormat | chat.TextResponseFormat | type[Any] | Mapping[str, Any]
    )
    TextLike: TypeAlias = TextSwitches | UntypedMapping
    FallbacksLike: TypeAlias = Sequence[Fallback | UntypedMapping]
    MetadataLike: TypeAlias = Mapping[str, Any]
    Strings: TypeAlias = Sequence[str]
    Integers: TypeAlias = Sequence[int]
else:
    VeniceParametersLike = VeniceSwitches
    ReasoningLike = Reasoning
    StreamOptionsLike = StreamSwitches
    ToolsLike = list[ToolObject]
    ToolChoiceLike = Literal["none", "auto", "required"] | FunctionChoice
    FormatLike = TextFormat | ObjectFormat | SchemaFormat
    TextLike = TextSwitches
    FallbacksLike = Annotated[list[Fallback], Meta(max_length=10)]
    MetadataLike = dict[str, Any]
    Strings = list[str]
    Integers = list[int]


class CommonParams(TypedDict, total=False):
    """The optional parameters that every kind of chat call takes. None is the same as not given."""

    frequency_penalty: Penalty | None
    """Lowers the likelihood of tokens by how often they occurred; -2 to 2."""
    presence_penalty: Penalty | None
    """Lowers the likelihood of tokens that occurred at all; -2 to 2."""
    repetition_penalty: Annotated[float, Meta(ge=0)] | None
    """Penalty for repetition, from 0; 1 is off."""
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None
    """Cap on all completion tokens, reasoning included."""
    n: Annotated[int, Meta(ge=1)] | None
    """How many answers to make; each is billed."""
    seed: Annotated[int, Meta(gt=0)] | None
    """For answers that can be repeated; above 0."""
    stop: str | Annotated[Strings, Meta(min_length=1, max_length=4)] | None
    """One to four texts at which the answer ends."""
    stop_token_ids: Integers | None
    """Tokens at which the answer ends."""
    temperature: Temperature | None
    """0 (focused) to 2 (random); the model's own default holds if not given."""
    max_temp: Temperature | None
    """Upper bound of dynamic temperature; 0 to 2."""
    min_temp: Temperature | None
    """Lower bound of dynamic temperature; 0 to 2."""
    top_p: Probability | None
    """Nucleus sampling; 0 to 1."""
    min_p: Probability | None
    """Least probability of a token relative to the likeliest; 0 to 1."""
    top_k: Count | None
    """How many of the likeliest tokens to choose from; from 0."""
    logprobs: bool | None
    """Return log probabilities of the tokens."""
    top_logprobs: Count | None
    """How many likeliest tokens to return at each position; from 0."""
    tool_choice: ToolChoiceLike | None
    """`"auto"`, `"none"`, `"required"`, or one function; needs `tools`."""
    parallel_tool_calls: bool | None
    """Whether several tools may be called at once; needs `tools`."""
    reasoning_effort: Effort | None
    """How hard to think; wins over `reasoning.effort`."""
    reasoning: ReasoningLike | None
    """`effort`, `summary`, `enabled`."""
    verbosity: Verbosity | None
    """How wordy to be."""
    text: TextLike | None
    """`{"verbosity": ...}`."""
    prompt_cache_key: str | None
    """Requests that share it are routed to the same cache."""
    prompt_cache_retention: Literal["default", "extended", "24h"] | None
    """How long the prompt stays cached."""
    store: bool | None
    """Accepted for compatibility."""
    include: Strings | None
    """Accepted for compatibility."""
    metadata: MetadataLike | None
    """Accepted for compatibility; Venice wants texts as values."""
    user: str | None
    """Your end user; discarded by Venice."""
    fallbacks: FallbacksLike | None
    """Up to 10 models to fall back to."""
    venice_parameters: VeniceParametersLike | None
    """Venice's own switches."""
    stream_options: StreamOptionsLike | None
    """`{"include_usage": bool}`; usage is asked for unless this is given."""


class AllParams(CommonParams, total=False):
    """The optional parameters of a chat request, as a base of classes that have more fields."""

    response_format: FormatLike | None
    """Text, any JSON object, JSON of a schema, or a class that becomes one: a pydantic model, a dataclass, a TypedDict."""
    tools: ToolsLike | None
    """Tools the model may call."""


class ChatParams(AllParams, total=False, closed=True):
    """The optional parameters of a chat request. None is the same as not given."""


def given_fields(name: str, value: Any) -> Any:
    """The value of a parameter without the fields of ours that are None, which is the same as not given.

    In a schema, in `metadata`, and in fields that are not known, null is a value, and stays.
    """
    return _without_none(value, _OBJECTS[name]) if name in _OBJECTS else value


def _without_none(value: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_without_none(item, fields) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_none(inner, inside) if (inside := fields.get(name)) else inner
        for name, inner in cast("dict[Any, Any]", value).items()
        if inner is not None or name not in fields
    }


_OBJECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "venice_parameters": dict.fromkeys(VeniceSwitches.__annotations__),
    "reasoning": dict.fromkeys(Reasoning.__annotations__),
    "stream_options": dict.fromkeys(StreamSwitches.__annotations__),
    "text": dict.fromkeys(TextSwitches.__annotations__),
    "tools": {"id": None, "function": dict.fromkeys(_Function.__annotations__)},
    "response_format": {"json_schema": dict.fromkeys(("name", "description", "strict", "schema"))},
}
"""The parameters that are objects, or lists of them, with the fields that may be left out, and those of objects inside them."""


# -- messages ------------------------------------------------------------------------------------------------------------


class CacheControlObject(Struct):
    """Marks a cached prefix."""

    type: Literal["ephemeral"]
    ttl: str | UnsetType = UNSET


class Part(Struct, tag_field="type"):
    """A part of a message's content."""

    cache_control: CacheControlObject | UnsetType = UNSET


class TextPartObject(Part, tag="text", kw_only=True):
    """Text."""

    text: Annotated[str, Meta(min_length=1)]


class Address(Struct):
    """Where an image or a video is."""

    url: str


class ImagePart(Part, tag="image_url", kw_only=True):
    """An image."""

    image_url: Address


class Audio(Struct):
    """Base64 audio."""

    data: str
    format: Literal["wav", "mp3", "aiff", "aac", "ogg", "flac", "m4a", "pcm16", "pcm24"] | UnsetType = UNSET


class AudioPart(Part, tag="input_audio", kw_only=True):
    """Audio."""

    input_audio: Audio


class VideoPart(Part, tag="video_url", kw_only=True):
    """A video."""

    video_url: Address


class FileObject(Struct):
    """A document."""

    file_data: str
    filename: str | UnsetType = UNSET


class FilePart(Part, tag="file", kw_only=True):
    """A document."""

    file: FileObject


class _Message(Struct, tag_field="role"):
    name: str | None = None


class System(_Message, tag="system", kw_only=True):
    """A system message."""

    content: str | list[TextPartObject]


class Developer(_Message, tag="developer", kw_only=True):
    """A developer message."""

    content: str | list[TextPartObject]


class User(_Message, tag="user", kw_only=True):
    """A user message."""

    content: str | list[TextPartObject | ImagePart | AudioPart | VideoPart | FilePart]


class Assistant(_Message, tag="assistant", kw_only=True):
    """An assistant message."""

    content: str | list[TextPartObject] | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | UnsetType = UNSET
    thought_signature: str | None = None
    tool_calls: list[Any] | None = None


class ToolResult(_Message, tag="tool", kw_only=True):
    """What a tool answered."""

    content: str
    tool_call_id: str
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


MessageObject: TypeAlias = System | Developer | User | Assistant | ToolResult


class Conversation(Struct):
    """The messages of a request: at least one."""

    messages: Annotated[list[MessageObject], Meta(min_length=1)]
