"""Runs cases and writes down what each proved.

A suite is a client and an encoding. A case is a function that names the operations it proves; it
passes by returning. Each outcome is one JSON line in the file that CONFORMANCE_RESULTS names, from
which `cargo xtask test` renders docs/compatibility.md.
"""

import contextlib
import itertools
import json
import os
import sys
import time
import traceback
import uuid

ENDPOINT = os.environ.get("CONFORMANCE_ENDPOINT", "http://127.0.0.1:4567")
TLS_ENDPOINT = os.environ.get("CONFORMANCE_TLS_ENDPOINT")
CA_FILE = os.environ.get("CONFORMANCE_CA_FILE")
REGION = "us-east-1"
RING = 2**128

_counter = itertools.count()


class Skip(Exception):
    """The case cannot run here; the reason is the message."""


def fresh_name(prefix="conformance"):
    """A name that no other case, suite or run has used."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}-{next(_counter)}"


def eventually(probe, what, seconds=20.0):
    """The first true answer of `probe`; polls, since state changes take time by contract."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def equal(found, wanted, what="value"):
    """Refuses unless both are the same, showing both."""
    assert found == wanted, f"{what}: found {found!r}, wanted {wanted!r}"


class Suite:
    """Cases of one client in one encoding."""

    def __init__(self, client, encoding, service="kinesis"):
        self.client = client
        self.encoding = encoding
        self.service = service
        self.cases = []

    def case(self, *operations):
        """Marks a function as the proof of some operations. Its docstring is the sentence."""

        def keep(function):
            sentence = (function.__doc__ or function.__name__).strip().splitlines()[0]
            self.cases.append((operations, sentence, function))
            return function

        return keep

    def add(self, operations, sentence, function):
        """Adds a case made from a row of a table."""
        self.cases.append((tuple(operations), sentence, function))

    def run(self, *arguments):
        """Runs every case that CONFORMANCE_ONLY does not leave out; gives (passed, failed, skipped)."""
        only = os.environ.get("CONFORMANCE_ONLY", "").lower()
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for operations, sentence, function in self.cases:
            if only and only not in f"{sentence} {' '.join(operations)}".lower():
                continue
            started = time.monotonic()
            outcome, detail = "passed", ""
            try:
                function(*arguments)
            except Skip as reason:
                outcome, detail = "skipped", str(reason)
            except Exception as error:  # noqa: BLE001 - a case may fail in any way
                outcome = "failed"
                detail = f"{type(error).__name__}: {error}"[:2000]
                frames = traceback.extract_tb(error.__traceback__)
                detail += "".join(f" @{f.name}:{f.lineno}" for f in frames[-3:])
            counts[outcome] += 1
            self.write(operations, sentence, outcome, detail, time.monotonic() - started)
        return counts

    def write(self, operations, sentence, outcome, detail, seconds):
        """One line to the results, and one to the person when it is not a pass."""
        line = {
            "client": self.client,
            "encoding": self.encoding,
            "service": self.service,
            "case": sentence,
            "operations": list(operations),
            "outcome": outcome,
            "milliseconds": round(seconds * 1000),
        }
        if detail:
            line["detail"] = detail
        path = os.environ.get("CONFORMANCE_RESULTS")
        if path:
            with open(path, "a", encoding="utf-8") as results:
                results.write(json.dumps(line) + "\n")
        if outcome != "passed":
            print(f"  {outcome}: {self.client} {self.encoding}: {sentence}\n    {detail}", flush=True)


def finish(all_counts):
    """Prints the closing line and leaves with what it means."""
    totals = {key: sum(counts[key] for counts in all_counts) for key in ("passed", "failed", "skipped")}
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    sys.exit(1 if totals["failed"] or not totals["passed"] else 0)


@contextlib.contextmanager
def raises(code, error_type, *fragments):
    """Expects a modelled client error with that code and these parts of its text."""
    try:
        yield
    except error_type as error:
        found = error.response["Error"]
        equal(found["Code"], code, "error code")
        for fragment in fragments:
            assert fragment in found["Message"], f"{fragment!r} is not in {found['Message']!r}"
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        equal(status, 400, "HTTP status")
        return
    raise AssertionError(f"no {code}")
