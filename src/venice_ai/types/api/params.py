"""The parameters of a chat request: every optional one once, with its type and its range, and the shape of messages.

The client checks a request against this before it is sent, the emulator when it arrives. Source: Venice's OpenAPI document,
`ChatCompletionRequest` (https://docs.venice.ai/api-reference/endpoint/chat/completions); ranges that only its prose closes are
closed here, too. Keys that are not listed travel to the server untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeAlias, Union, get_args, get_origin

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct
from typing_extensions import TypedDict

from .._base import Model, is_array, is_object
from . import chat

CHAT_PATH: Final = "/chat/completions"
"""Where requests go, below the root of the API."""

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity: TypeAlias = Literal["low", "medium", "high", "auto"]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
_list_of: Any = list  # of values, which type checkers do not take in brackets
_union: Any = Union

# The classes of `types.api.chat` say what messages, tools and formats are; the classes that check JSON are made from them. A
# field that has one value alone, `role` or `type`, tells which class is meant, and must be there.


@cache
def _checker(kind: type[Model]) -> type[Struct]:
    """The class with which msgspec checks the JSON of a request class."""
    hints = {name: eval(text, chat.__dict__) for name, text in kind._fields.items()}  # noqa: S307  # nosec B307  # ours
    fields, constants = list[Any](), kind._constants.items()  # noqa: SLF001  # the tables of the class
    tag = next((each for each in constants if get_origin(hints[each[0]]) is Literal), (None, None))
    for name, hint in hints.items():
        if name != tag[0]:
            checked = _checked(_OTHERWISE.get((kind, name), hint))
            required = name in kind._required and (kind, name) != (chat.Tool, "function")  # noqa: SLF001  # see lacks_function
            fields.append((name, checked) if required else (name, *_optional(kind, name, checked)))
    return defstruct(kind.__name__, fields, tag_field=tag[0], tag=tag[1], kw_only=True, forbid_unknown_fields=kind in _FORMATS)


def _optional(kind: type[Model], name: str, checked: Any) -> tuple[Any, Any]:
    """The type and the default of a field that may be left out. In a message it may be null as well, in a part it may not."""
    if issubclass(kind, chat.BaseMessage) and name != "reasoning_details":
        return checked, None
    kinds = get_args(checked) if get_origin(checked) in {Union, UnionType} else [checked]
    return _union[(UnsetType, *(each for each in kinds if each is not type(None)))], UNSET


def _checked(hint: Any) -> Any:
    """A type as JSON has it: of a class and a mapping in its place the class's checker, of a sequence a list."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        objects = [each for each in args if isinstance(each, type) and issubclass(each, Model)]
        return _union[tuple(_checked(each) for each in args if not (objects and get_origin(each) is Mapping))]
    if origin is Sequence:
        return _list_of[_checked(args[0])]
    return _checker(hint) if isinstance(hint, type) and issubclass(hint, Model) else hint  # type: ignore[arg-type]  # classes are hashable


# What a model said may be sent back as it came, also where it does not fit.
_OTHERWISE: dict[tuple[type[Model], str], Any] = {(chat.AssistantMessage, "tool_calls"): list[Any] | None}
_FORMATS = (chat.TextResponseFormat, chat.JSONObjectFormat, chat.JSONSchemaFormat)


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
    """The options of a stream; see `StreamOptions`."""

    include_usage: bool


class TextSwitches(TypedDict, total=False):
    """How wordy the text is."""

    verbosity: Verbosity


class Fallback(TypedDict):
    """A model to use in place of one that cannot answer."""

    model: str


def lacks_function(tool: Mapping[str, Any]) -> bool:
    """Whether a tool is neither a function nor one of Venice's own: the types cannot say it."""
    return "function" not in tool and tool.get("type") not in {"web_search", "x_search"}


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
    ToolsLike: TypeAlias = Sequence[chat.Tool | Mapping[str, Any]]
    ToolChoiceLike: TypeAlias = Literal["none", "auto", "required"] | chat.SpecificToolChoice | Mapping[str, Any]
    FormatLike: TypeAlias = (
        chat.JSONSchemaFormat | chat.JSONObjectFormat | chat.TextResponseFormat | type[Any] | Mapping[str, Any]
    )
    TextLike: TypeAlias = TextSwitches | UntypedMapping
    FallbacksLike: TypeAlias = Sequence[Fallback | UntypedMapping]
else:
    VeniceParametersLike = VeniceSwitches
    ReasoningLike = Reasoning
    StreamOptionsLike = StreamSwitches
    ToolsLike = _list_of[_checker(chat.Tool)]
    _Name = defstruct("FunctionName", [("name", str)])
    ToolChoiceLike = Literal["none", "auto", "required"] | defstruct("FunctionChoice", [("type", str), ("function", _Name)])
    FormatLike = _union[tuple(map(_checker, _FORMATS))]
    TextLike = TextSwitches
    FallbacksLike = Annotated[list[Fallback], Meta(max_length=10)]


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
    stop: str | Annotated[Sequence[str], Meta(min_length=1, max_length=4)] | None
    """One to four texts at which the answer ends."""
    stop_token_ids: Sequence[int] | None
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
    """OpenAI's switch for storing an answer on the server; passed on to the model."""
    include: Sequence[str] | None
    """OpenAI's names of parts to add to the response; passed on to the model."""
    metadata: Mapping[str, Any] | None
    """OpenAI's field for data of your own about the request; passed on. Venice wants texts as values."""
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


_MEDIA: Final = {"image_url": "supportsVision", "input_audio": "supportsAudioInput", "video_url": "supportsVideoInput"}
_SUPPORT: Final = {
    **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls"), "supportsFunctionCalling"),
    "response_format": "supportsResponseSchema",
    **dict.fromkeys(("logprobs", "top_logprobs"), "supportsLogProbs"),
}


def needed_capabilities(body: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """The capabilities without which a model refuses a request, and the parameters that need them, by their paths."""
    messages = body.get("messages")
    for index, message in enumerate(messages if is_array(messages) else ()):
        content = message.get("content") if is_object(message) else None
        for place, part in enumerate(content if is_array(content) else ()):
            if is_object(part) and part.get("type") in _MEDIA:
                yield _MEDIA[part["type"]], ("messages", index, "content", place)
    for name, flag in _SUPPORT.items():
        value = body.get(name)
        as_text = name == "response_format" and (not is_object(value) or value.get("type", "text") == "text")
        if not (value is None or value is False or as_text):
            yield flag, (name,)


OBJECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "venice_parameters": dict.fromkeys(VeniceSwitches.__annotations__),
    "reasoning": dict.fromkeys(Reasoning.__annotations__),
    "stream_options": dict.fromkeys(StreamSwitches.__annotations__),
    "text": dict.fromkeys(TextSwitches.__annotations__),
    "tools": {"id": None, "function": dict.fromkeys(("description", "parameters", "strict"))},
    "response_format": {"json_schema": dict.fromkeys(("name", "description", "strict", "schema"))},
}
"""The parameters that are objects, or lists of them, with the fields that may be left out, and those of objects inside them.

In schemas, `metadata` and unknown fields null is a value.
"""

MESSAGES = (chat.SystemMessage, chat.DeveloperMessage, chat.UserMessage, chat.AssistantMessage, chat.ToolMessage)

Conversation: type[Struct] = defstruct(
    "Conversation",
    [("messages", Annotated[_list_of[_union[tuple(map(_checked, MESSAGES))]], Meta(min_length=1)])],
    namespace={"__doc__": "The messages of a request: at least one."},
    module=__name__,
)
