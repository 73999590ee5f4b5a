"""Structured output: a class as a strict JSON schema, and an answer's text as an object of that class."""
