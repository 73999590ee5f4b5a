"""What is said to a model and what it answers: messages, tools, formats, completions.

Every class is a `Model`: a typed view over JSON. Request classes take keywords; wherever one is accepted, so is a
plain mapping of the same shape. Meaning and ranges are those of Venice's API reference, chat completions
(https://docs.venice.ai/api-reference/endpoint/chat/completions).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NotRequired, TypeAlias, TypedDict, TypeVar, cast, overload

from msgspec import Meta

from .._base import Model, Response, fixed, is_object, is_private, mark_private, plain
from .returned import turn_to_send

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
ScalarT = TypeVar("ScalarT", str, int, float, bool, None)


class CacheControl(Model):
    """Marks the end of a prompt prefix worth caching; `ttl` such as `"1h"` is a beta feature."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: str | None = None
    """How long the prefix is kept, such as `"1h"`; a beta feature."""


class BasePart(Model):
    """The base of all parts of a content."""

    cache_control: CacheControl | Mapping[str, Any] | None = None
    """Marks the end of a prompt prefix worth caching."""


class TextContent(BasePart):
    """A piece of text; `text` has at least one character."""

    text: Annotated[str, Meta(min_length=1)]
    """The text, of at least one character."""
    type: Literal["text"] = "text"


class ImageUrl(Model):
    """A public http(s) address or a `data:image/...;base64,` address; at least 64 pixels a side."""

    url: str
    """A public http(s) address without redirects, or `data:image/...;base64,...`; at most 25 MB."""
    detail: str | None = None
    """Not documented by Venice; sent as it is."""


class ImageContent(BasePart):
    """An image, for models with `supportsVision`."""

    image_url: ImageUrl | Mapping[str, Any]
    """Where the image is."""
    type: Literal["image_url"] = "image_url"


class InputAudio(Model):
    """Base64 audio, never an address."""

    data: str
    """The audio in base64."""
    format: Literal["wav", "mp3", "aiff", "aac", "ogg", "flac", "m4a", "pcm16", "pcm24"] | None = None
    """How the audio is encoded."""


class AudioContent(BasePart):
    """Audio, for models with `supportsAudioInput`."""

    input_audio: InputAudio | Mapping[str, Any]
    """The audio itself."""
    type: Literal["input_audio"] = "input_audio"


class VideoUrl(Model):
    """A public http(s) address, a `data:video/...` address or a YouTube link."""

    url: str
    """Where the video is."""


class VideoContent(BasePart):
    """A video, for models with `supportsVideoInput`."""

    video_url: VideoUrl | Mapping[str, Any]
    """Where the video is."""
    type: Literal["video_url"] = "video_url"


class File(Model):
    """A document as a data address or a public address; at most 25 MB. The server reads its text."""

    file_data: str
    """The document: `data:...;base64,...`, or a public address."""
    filename: str | None = None
    """Its name, for the model."""


class FileContent(BasePart):
    """A document; any text model can be given one."""

    file: File | Mapping[str, Any]
    """The document."""
    type: Literal["file"] = "file"


ContentPart: TypeAlias = TextContent | ImageContent | AudioContent | VideoContent | FileContent | Mapping[str, Any]
TextPart: TypeAlias = TextContent | Mapping[str, Any]


class BaseMessage(Model):
    """The base of all kinds of messages. To mypy, `[SystemMessage(...), UserMessage(...)]` is a list of these."""

    name: str | None = None
    """Name of who speaks, where several have the role."""


class SystemMessage(BaseMessage):
    """Instructions that set the model's behaviour."""

    content: str | Sequence[TextPart]
    """A text, or parts of text."""
    role: Literal["system"] = "system"


class DeveloperMessage(BaseMessage):
    """Instructions from the application's developer."""

    content: str | Sequence[TextPart]
    """A text, or parts of text."""
    role: Literal["developer"] = "developer"


class UserMessage(BaseMessage):
    """A message of the user: text, or parts of text, images, audio, video and files."""

    content: str | Sequence[ContentPart]
    """A text, or a list of parts."""
    role: Literal["user"] = "user"


class ToolCallFunction(Model):
    """The function a model wants called; `arguments` is JSON text as the model wrote it."""

    name: str
    """The function to call."""
    arguments: str
    """Its arguments as JSON text, which need not be valid."""

    @property
    def arguments_dict(self) -> dict[str, Any]:
        """The arguments as a dict; an empty text means none. JSON text of JSON text is read, too.

        Raises:
            ValueError: the text is not JSON.
            TypeError: it is JSON, but not an object.
        """
        value = read_arguments(self.get("arguments"))
        if not isinstance(value, dict):
            raise TypeError(f"the arguments are {value!r:.100}, not a JSON object")
        return cast("dict[str, Any]", value)

    @fixed
    def parse_as(self, kind: type[T]) -> T:
        """The arguments as an object of a class, such as the one given to `tool_from_model`; an empty text means none.

        Raises:
            pydantic.ValidationError: they are not JSON, or do not fit the class.
        """
        from pydantic import TypeAdapter

        text = self.arguments or "{}"
        with suppress(ValueError, RecursionError):  # what is not JSON is an error of pydantic's
            text = json.dumps(read_arguments(text))
        return TypeAdapter(kind).validate_json(text)


def read_arguments(given: Any) -> Any:
    """The JSON of a call's arguments, also of JSON text of JSON text; `{}` if nothing was given, a ValueError if not JSON."""
    value: Any = {} if given is None else given
    while isinstance(value, str):
        try:
            value = json.loads(value, strict=False) if value.strip() else {}
        except ValueError:
            if value is given:
                raise
            break  # JSON text of a text that is not JSON
    return plain(value)


class ToolCall(Model):
    """A call the model asks for. Pair results with calls by `id` only: `index` is not unique."""

    id: str
    """Identifies the call; the result names it as `tool_call_id`."""
    function: ToolCallFunction
    """What to call, and with what."""
    type: str = "function"
    """`"function"` nearly always."""
    index: int | None = None
    """Place of the call in the turn. Not unique."""


class AssistantMessage(BaseMessage):
    """An earlier turn of the model. Send it back as it came: signatures and reasoning details matter to some models."""

    content: str | Sequence[TextPart] | None = None
    """A text, parts of text, or None beside tool calls."""
    role: Literal["assistant"] = "assistant"
    reasoning_content: str | None = None
    """The reasoning before the answer."""
    reasoning_details: Sequence[Mapping[str, Any]] | None = None
    """Reasoning in the form of its provider, to be sent back unchanged; never null."""
    thought_signature: str | None = None
    """Signature of the reasoning, to be sent back unchanged."""
    tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None = None
    """The calls that the model asked for."""

    _nested = {"tool_calls": ToolCall}

    @classmethod
    def from_response(cls, response: ChatCompletionResponse, choice_index: int = 0) -> AssistantMessage:
        """The assistant turn of a response, with every field it came with.

        What no request may hold (content parts that are not text, fields of another type, halves of surrogate pairs) is mended
        or left out, and logged; `reply.choices[0].message` itself is treated in the same way when it is sent.

        Raises:
            ValueError: the response has no such choice.
        """
        message = choice_at(response, choice_index).message
        turn = cls._adopt(turn_to_send(message))
        if is_private(message):
            mark_private(turn)
        return turn


class ToolMessage(BaseMessage):
    """The result of the tool call `tool_call_id`, for the model."""

    content: str
    """The result as text."""
    tool_call_id: str
    """`id` of the call that is answered."""
    role: Literal["tool"] = "tool"
    reasoning_content: str | None = None
    """Accepted by Venice; rarely of use."""
    tool_calls: Sequence[Any] | None = None
    """Accepted by Venice; rarely of use."""


class ChatMessage(BaseMessage):
    """The message of a choice. It can be sent back: what no request may hold is mended or left out then, and logged."""

    role: str
    """`"assistant"`."""
    content: str | list[Any] | None = None
    """The answer: a text, a list of parts, or None if the model sent no content."""
    reasoning_content: str | None = None
    """The reasoning before the answer, where the model shows it."""
    reasoning_details: list[Any] | None = None
    """Reasoning in the form of its provider."""
    thought_signature: str | None = None
    """Signature of the reasoning."""
    refusal: str | None = None
    """Why the model refused, where it did."""
    tool_calls: list[ToolCall] | None = None
    """The calls that the model asks for; None if none."""

    @property
    def text(self) -> str | None:
        """The text of `content`, joined where it came in parts; None if there is no text."""
        return content_text(self.content)


Message: TypeAlias = (
    UserMessage | AssistantMessage | SystemMessage | ToolMessage | DeveloperMessage | ChatMessage | Mapping[str, Any]
)
"""A message: an object, or a mapping of the same shape."""
Messages: TypeAlias = str | Iterable[Message | BaseMessage]
"""The messages of a call, the oldest first; a text is one message of the user."""


class ToolFunction(Model):
    """A function the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    """1 to 64 letters, digits, `_` or `-`."""
    description: str | None = None
    """What the function does, for the model."""
    parameters: Mapping[str, Any] | None = None
    """JSON schema of its arguments."""
    strict: bool | None = None
    """Make the model keep exactly to the schema."""


class Tool(Model):
    """A tool the model may call."""

    function: ToolFunction | Mapping[str, Any]
    """The function."""
    type: str = "function"
    """`"function"`, or a type of Venice's own."""
    id: str | None = None
    """An id of the tool; optional."""


class SpecificToolChoice(Model):
    """Makes the model call this one function: `function={"name": ...}`."""

    function: Mapping[str, Any]
    """`{"name": ...}`."""
    type: Literal["function"] = "function"


class ToolChoice:
    """The values of `tool_choice`, by name."""

    @staticmethod
    def auto() -> Literal["auto"]:
        """The model decides."""
        return "auto"

    @staticmethod
    def none() -> Literal["none"]:
        """The model calls nothing."""
        return "none"

    @staticmethod
    def required() -> Literal["required"]:
        """The model calls at least one tool."""
        return "required"

    @staticmethod
    def function(name: str) -> SpecificToolChoice:
        """The model calls this function."""
        return SpecificToolChoice(function={"name": name})


class TextResponseFormat(Model):
    """Ordinary text."""

    type: Literal["text"] = "text"


class JSONObjectFormat(Model):
    """Any JSON object (deprecated by Venice in favour of a schema)."""

    type: Literal["json_object"] = "json_object"


class JSONSchemaFormat(Model):
    """JSON that fits `json_schema={"name": ..., "strict": True, "schema": {...}}`."""

    json_schema: Mapping[str, Any]
    """`name`, `strict` and `schema`."""
    type: Literal["json_schema"] = "json_schema"


class StreamOptions(Model):
    """`include_usage` asks for a last chunk with the usage; streams ask for it unless this is given."""

    include_usage: bool | None = None
    """Send the usage in a last chunk."""


class ReasoningConfig(Model):
    """How a reasoning model thinks. `reasoning_effort` wins over `effort`."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How hard to think."""
    summary: Literal["auto", "concise", "detailed"] | None = None
    """How long a summary of the reasoning to give."""
    enabled: bool | None = None
    """Whether to reason at all."""


class VeniceParameters(Model):
    """Venice's own switches. Only what is given is sent; Venice's defaults hold for the rest."""

    character_slug: str | None = None
    """A public character to answer as."""
    strip_thinking_response: bool | None = None
    """Leave the reasoning out of the answer; False if not given."""
    disable_thinking: bool | None = None
    """Turn reasoning off where the model can; False if not given."""
    enable_e2ee: bool | None = None
    """End-to-end encryption; `e2ee=True` of the call sets it."""
    enable_web_search: Literal["auto", "off", "on"] | None = None
    """Search the web for the answer: `"off"` if not given."""
    enable_web_scraping: bool | None = None
    """Read up to 5 addresses of the last user message; False if not given."""
    enable_web_citations: bool | None = None
    """Have the model mark its sources; False if not given."""
    include_search_results_in_stream: bool | None = None
    """Send search results in the stream; experimental, False if not given."""
    return_search_results_as_documents: bool | None = None
    """Give search results as a tool call that was made up for them."""
    include_venice_system_prompt: bool | None = None
    """Put Venice's own system prompt first, of 1,000 to 1,700 tokens; True if not given."""
    enable_x_search: bool | None = None
    """Search X, with models that have `supportsXSearch`; False if not given."""


class TokenDetails(Model):
    """A finer count: cached and newly cached prompt tokens, or reasoning tokens."""

    cached_tokens: int | None = None
    """Prompt tokens read from the cache."""
    cache_creation_input_tokens: int | None = None
    """Prompt tokens written to the cache."""
    reasoning_tokens: int | None = None
    """Completion tokens spent on reasoning."""


class ChatUsage(Model):
    """Tokens that were counted, and billed."""

    prompt_tokens: int
    """Tokens of the request."""
    completion_tokens: int
    """Tokens of the answer, reasoning included."""
    total_tokens: int
    """Both together."""
    prompt_tokens_details: TokenDetails | None = None
    """How many prompt tokens were cached."""
    completion_tokens_details: TokenDetails | None = None
    """How many completion tokens were reasoning."""
    cache_read_input_tokens: int | None = None
    """Prompt tokens read from the cache, where the server says so here."""
    cache_creation_input_tokens: int | None = None
    """Prompt tokens written to the cache, where the server says so here."""

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens read from the cache; 0 where the reply does not say."""
        return _first_int(self.cache_read_input_tokens, self.prompt_tokens_details, "cached_tokens")

    @property
    def cache_write_tokens(self) -> int:
        """Prompt tokens written to the cache; 0 where the reply does not say."""
        return _first_int(self.cache_creation_input_tokens, self.prompt_tokens_details, "cache_creation_input_tokens")

    @property
    def reasoning_tokens(self) -> int:
        """Completion tokens spent on reasoning; 0 where the reply does not say."""
        return _first_int(None, self.completion_tokens_details, "reasoning_tokens")


class Cost(Model):
    """The charge for the call, in US dollars and in DIEM."""

    usd: float | None = None
    """US dollars."""
    diem: float | None = None
    """DIEM."""


class WebSearchCitation(Model):
    """A page the answer draws on; `content` may hold HTML, `date` may be empty."""

    title: str
    """Title of the page."""
    url: str
    """Its address."""
    content: str | None = None
    """What was found there; may hold HTML."""
    date: str | None = None
    """When it was published; may be empty."""


class EffectiveParameters(VeniceParameters):
    """The Venice switches in force for an answer, and the pages that a web search found."""

    web_search_citations: list[WebSearchCitation] | None = None
    """The pages that a web search found."""


class TokenLogProb(TypedDict):
    """A token and how likely it was: a dictionary, as the server sent it."""

    token: str
    """Its text."""
    logprob: float
    """The logarithm of its probability, at most 0."""
    bytes: NotRequired[list[int] | None]
    """The bytes of its text in UTF-8, from 0 to 255: a character may be cut into several tokens."""
    top_logprobs: NotRequired[list[TokenLogProb]]
    """The most likely tokens in its place, as many as `top_logprobs` asks for."""


class LogProbs(TypedDict, total=False):
    """Log probabilities of an answer's tokens: a dictionary of lists, or, of some servers, the fields of one token alone."""

    content: list[TokenLogProb] | None
    """The tokens of the text."""
    refusal: list[TokenLogProb] | None
    """The tokens of a refusal."""


class ChatChoice(Model):
    """One of the `n` answers. `finish_reason` is an open set: `stop`, `length`, `tool_calls`, `content_filter` ..."""

    index: int
    """Which of the `n` answers this is, from 0."""
    message: ChatMessage
    """The answer."""
    finish_reason: str | None = None
    """Why it ended: `stop`, `length`, `tool_calls`, `content_filter`, or another word."""
    logprobs: LogProbs | None = None
    """Log probabilities of its tokens, if asked for."""
    stop_reason: Any = None
    """What the provider says besides."""

    _certain = frozenset({"message"})


class BaseCompletion(Model):
    """The base of finished answers and of the chunks of a stream."""

    id: str
    """Identifies the completion; the same in every chunk of a stream."""
    created: int
    """Unix time of its making, in seconds."""
    model: str
    """The model that answers, which may be another than the one asked for."""
    usage: ChatUsage | None = None
    """Tokens that were counted; of a stream, in its last chunk."""
    cost: Cost | None = None
    """What was charged, where the server says; of a stream, in its last chunk."""
    venice_parameters: EffectiveParameters | None = None
    """The Venice switches in force."""


class ChatCompletionResponse(BaseCompletion, Response):
    """A finished answer."""

    choices: list[ChatChoice]
    """The answers: `n` of them."""
    object: str = "chat.completion"
    """What kind of object this is."""
    service_tier: str | None = None
    """What the provider says of its tier."""
    system_fingerprint: str | None = None
    """What the provider says of its configuration."""
    prompt_logprobs: Any = None
    """Log probabilities of the prompt, where the provider sends them."""

    _certain = frozenset({"choices"})

    @property
    def text(self) -> str | None:
        """The first choice's text; None if it has none.

        An answer whose budget went into reasoning has none, and is billed: its `finish_reason` is `"length"`. Raise
        `max_completion_tokens`, or lower the reasoning effort; the log says so once for each model.
        """
        return _first_choice(self).message.text

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None where the server did not say."""
        return _first_choice(self).finish_reason

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls the first choice asks for; empty if none."""
        calls = _first_choice(self).message.tool_calls
        return [call for call in calls if isinstance(call, ToolCall)] if isinstance(calls, list) else []

    @fixed
    def parse_as(self, kind: type[T], choice_index: int = 0) -> T:
        """The object of a class in a choice's text: a pydantic model, a dataclass, a TypedDict, or a type such as `list[int]`.

        JSON in one markdown fence, or after reasoning in tags such as `<think>`, is taken out of it; so is that in the
        `{"value": ...}` in which `create` asks for a class that is not a JSON object.

        Raises:
            SchemaNotStrictError: pydantic cannot read the class.
            TypeError: it is not a class.
            OutputRefusedError: the model, or a filter, refused.
            OutputTruncatedError: the answer was cut off.
            ToolCallInsteadError: the choice asks for a tool call, and has no such object.
            OutputMissingError: there is no such choice, or no text.
            OutputInvalidError: the text does not fit the class. It is a `pydantic.ValidationError`, like
                `OutputTruncatedError`; all of them are a `ValueError`.
        """
        from ..._structured.read_output import read
        from ..._structured.strict_schema import is_wrapped

        return read(kind, self, choice_index, wrapped=is_wrapped(kind)).parsed

    @fixed
    def _repr_html_(self) -> str | None:
        from .._html import text

        shown = list[str]()
        for message in (choice.message for choice in self.choices if isinstance(choice, ChatChoice) and not is_private(self)):
            calls = message.tool_calls if isinstance(message.tool_calls, list) else []
            shown += [text(str(message.reasoning_content), "reasoning")] if message.reasoning_content else []
            shown += [text(message.text or "")]
            shown += [text(f"{each.function.name}({each.function.arguments})") for each in calls if isinstance(each, ToolCall)]
        return "".join(shown) or None  # then a notebook shows the repr

    @property
    def web_search_citations(self) -> list[WebSearchCitation]:
        """Pages the answer draws on; empty without a web search."""
        found = getattr(self.venice_parameters, "web_search_citations", None)
        return cast("list[WebSearchCitation]", found) if isinstance(found, list) else []


class Partial(Generic[T_co]):  # noqa: PLW1641  # to type checkers alone it has methods
    """The type of the objects that `stream_parse` yields, for type checkers: any field of the class may not be there yet.

    At run time it is an instance of that class, made without validation. A field that has not come is None, also where the
    class says otherwise, so type checkers ask for a guard before a field is used: `if recipe.title is not None`. Beyond that
    they know nothing of the field. An unfinished TypedDict lacks the keys that have not come: `get` reads them. An unfinished
    list can be iterated over. No object is an instance of `Partial` itself.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any | None: ...
        def get(self, key: str) -> Any | None: ...
        def __len__(self) -> int: ...
        def __eq__(self, other: object) -> bool: ...  # so that it may be compared with an object of the class
        @overload  # what is not an object is shown once it is whole
        def __iter__(  # type: ignore[overload-overlap]  # the first that fits is taken
            self: Partial[list[ScalarT]],
        ) -> Iterator[ScalarT]: ...
        @overload
        def __iter__(self: Partial[list[T]]) -> Iterator[Partial[T]]: ...
        def __iter__(self: Any) -> Iterator[Any]: ...


@dataclass(frozen=True)
class BaseResult:
    """The base of results that may take several answers: the last answer, as it came."""

    response: ChatCompletionResponse
    """The last answer."""

    @property
    def usage(self) -> ChatUsage | None:
        """Tokens of the last answer; `total_usage` has those of all."""
        return self.response.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the last answer ended; None where the server did not say."""
        return self.response.finish_reason


@dataclass(frozen=True)
class ParsedChatCompletion(BaseResult, Generic[T]):
    """An answer, and the object it stands for. `response` is the last answer, if the model was asked again."""

    parsed: T
    """The validated object."""
    attempts: tuple[ChatCompletionResponse, ...] = ()
    """Every answer of the call, oldest first; more than one if the model was asked again."""
    unwrapped: tuple[Literal["think", "fence"], ...] = ()
    """What stood around the JSON and was left out: a `<think>` block, a markdown fence. Empty for an answer as it should be."""

    @property
    def total_usage(self) -> ChatUsage | None:
        """Tokens of all attempts together; None if no answer had any."""
        return summed_usage(self.attempts or (self.response,))

    def __repr__(self) -> str:
        parsed = repr(self.parsed) if self.response.attestation is None else "<end-to-end encrypted, not shown>"
        return f"ParsedChatCompletion(parsed={parsed}, response={self.response!r}, unwrapped={self.unwrapped!r})"


def summed_usage(responses: Iterable[ChatCompletionResponse]) -> ChatUsage | None:
    """The tokens of some answers together; None if no answer had any."""
    return reduce(added_usage, (response.usage for response in responses), cast("ChatUsage | None", None))


def added_usage(one: ChatUsage | None, other: object) -> ChatUsage | None:
    """Two counts together, in every number that either has. What is not a usage does not count."""
    if not isinstance(other, ChatUsage):
        return one
    return other if one is None else ChatUsage.model_validate(_added(plain(one), plain(other)))


def _added(one: Any, other: Any) -> Any:
    """Numbers are added, also those in objects; whatever else there is, is the later one's."""
    if is_object(one) and is_object(other):
        return one | {key: _added(one.get(key), value) for key, value in other.items() if value is not None}
    are_counts = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, other))
    return one + other if are_counts else other


@dataclass(frozen=True)
class ToolLoopResult(BaseResult):
    """How a tool loop ended: the last answer, and how it came to it."""

    messages: list[Message]
    """The whole history: what was given, every turn of the model as it came, and every tool's result."""
    iterations: int
    """Round trips that were made."""
    total_usage: ChatUsage | None = None
    """Tokens of all round trips together; None if no answer had any."""

    @property
    def text(self) -> str | None:
        """The last answer's text; None if it has none."""
        return self.response.text


class ToolLoopState(Model):
    """A tool loop between two steps, as plain JSON.

    `model_dump_json()` writes it, `model_validate_json()` reads it, also in another process; `resume=` goes on with it. It
    holds the conversation, and so is as private as that.
    """

    messages: list[dict[str, Any]]
    """The conversation so far."""
    iterations: int
    """Round trips so far."""
    version: int = 1
    """Version of this format."""
    results: Mapping[str, str] | None = None
    """What has been answered of the last turn's calls, by the ids of the calls."""
    waiting: list[str] | None = None
    """Ids of the calls that wait for a person's decision."""
    usage: ChatUsage | None = None
    """Tokens of the round trips so far."""
    sealed: bool | None = None
    """Whether the loop is end-to-end encrypted; then it goes on only so."""

    @property
    def waiting_calls(self) -> list[ToolCall]:
        """The calls that wait for a person's decision."""
        calls = AssistantMessage.model_validate(self.messages[-1]).tool_calls if self.waiting else None
        return [call for call in calls or () if isinstance(call, ToolCall) and call.id in (self.waiting or ())]


class ChunkToolCallFunction(Model):
    """A fragment of the called function's name and arguments."""

    name: str | None = None
    """The name, in the first fragment of a call."""
    arguments: str | None = None
    """The next piece of the JSON text."""


class ChunkToolCall(Model):
    """A fragment of a tool call."""

    index: int | None = None
    """Which call the fragment belongs to."""
    id: str | None = None
    """Identifies the call, in its first fragment."""
    type: str | None = None
    """`"function"`, in the first fragment."""
    function: ChunkToolCallFunction | None = None
    """The next piece of the name and the arguments."""


def choice_at(response: ChatCompletionResponse, index: int) -> ChatChoice:
    """The choice at a position; a ValueError if the response has none there."""
    choices = response.choices
    if not isinstance(choices, list) or not -len(choices) <= index < len(choices):
        raise ValueError(f"the response has no choice {index}; it has {len(choices or [])}")
    return choices[index]


def content_text(content: object) -> str | None:
    """The text of a message's content: a string, or the text parts of a list joined; None if it holds no text."""
    if isinstance(content, str) or content is None:
        return content
    texts = list(content_texts(content))
    return "".join(texts) if texts else None


def content_texts(content: object) -> Iterator[str]:
    """The texts of a message's content: the string, or the text of each part that has one."""
    if isinstance(content, str):
        yield content
    for part in cast("list[Any]", content) if isinstance(content, (list, tuple)) else ():
        text: Any = cast("Mapping[str, Any]", part).get("text") if isinstance(part, (Mapping, Model)) else None
        if isinstance(text, str):
            yield text


def _first_choice(response: ChatCompletionResponse) -> ChatChoice:
    """The first choice; an empty one if it has no choice."""
    choices: Any = response.__dict__.get("choices")
    found: Any = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    return found if isinstance(found, ChatChoice) else ChatChoice.model_validate({})


def _first_int(flat: object, details: object, name: str) -> int:
    value = flat if isinstance(flat, int) else getattr(details, name, None)
    return value if isinstance(value, int) else 0
