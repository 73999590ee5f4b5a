"""The scoreboard: what clients do when a server, a proxy or a network misbehaves.

`catalogue` lists the faults as data: the bytes that a server sends, and what is right for a caller to get. `worker` is a
client's process, `clients` are the clients, `verdict` judges what each got by the same rule, and `report` writes the pages.

    python -m benchmarks.faults --write docs/scoreboard.md
"""
