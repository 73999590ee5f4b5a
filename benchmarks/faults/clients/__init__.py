"""The clients. Each module has `WAYS`: for each kind of fault, the ways to call; and `PACKAGES`, whose errors are its own.

A way fills what the caller heard. Only `ours` is type checked against its package; the others are not installed here.
"""
