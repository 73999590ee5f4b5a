"""OpenTelemetry: spans and metrics of chats, tools and tool loops, with the names of the conventions for generative AI."""

from .spans import Telemetry as Telemetry  # its public home
