"""`python -m venice_ai.cli` is `venice-chat`."""

from . import main

main()
