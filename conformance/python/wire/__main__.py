"""Runs the raw wire suites: `python -m wire [PART ...]`."""

import sys

from harness import finish
from . import constraints, fanout, hostile, iterators, operations, texts, transport, types

PARTS = {
    "transport": transport,
    "operations": operations,
    "types": types,
    "constraints": constraints,
    "texts": texts,
    "iterators": iterators,
    "fanout": fanout,
    "hostile": hostile,
}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(PARTS)
    finish([suite.run() for name in chosen for suite in PARTS[name].suites()])
