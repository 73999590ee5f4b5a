"""Spans and metrics for OpenTelemetry, which `spans.py` alone imports: where there is no telemetry, nothing does."""
