"""`python -m venice_ai` is `venice-chat`."""

from .cli import main

main()
