"""Values that break a constraint of the model, for every member of every input.

All violations are collected, and each is told in the sentence that the real service uses. Their order
is not a contract (the real service's is that of a hash map), so sentences are compared as a set.
"""

import re

from harness import Suite, equal
from .model import OPERATIONS, input_of, lower_first
from .protocol import CBOR, JSON, call

FAILED = "failed to satisfy constraint: "
NOT_NULL = "Value null at '{}' " + FAILED + "Member must not be null"


def nulls(shape, given, path=""):
    """The sentences for required members that are absent."""
    found = set()
    for name, member in shape.members.items():
        place = path + lower_first(name)
        if name not in given:
            if name in shape.required_members:
                found.add(NOT_NULL.format(place))
        elif member.type_name == "structure":
            found |= nulls(member, given[name], place + ".")
    return found


def lengths(metadata):
    """Both limits of a length, as lists and maps tell them of their members."""
    return (f"[Member must have length less than or equal to {metadata['max']}, "
            f"Member must have length greater than or equal to {metadata['min']}]")


def violations(shape, place):
    """Bad values for a shape with the sentences that each earns."""
    kind, rules = shape.type_name, shape.metadata
    if kind == "string" and getattr(shape, "enum", None):
        yield "x", {("enum", place, frozenset(shape.enum))}
    elif kind == "string":
        yield from _strings(rules, place)
    elif kind in ("integer", "long"):
        for key, sign, words in (("min", -1, "greater"), ("max", 1, "less")):
            if key in rules:
                bad = rules[key] + sign
                yield bad, {f"Value '{bad}' at '{place}' {FAILED}Member must have value {words} than or equal to "
                            f"{rules[key]}"}
    elif kind == "list" and rules.get("min", 0) > 0:
        yield [], {f"Value '[]' at '{place}' {FAILED}Member must have length greater than or equal to 1"}
        if shape.member.type_name == "string" and "max" in shape.member.metadata:
            bad = "k" * (shape.member.metadata["max"] + 1)
            yield ["a", bad], {f"Value '[a, {bad}]' at '{place}' {FAILED}Member must satisfy constraint: "
                               f"{lengths(shape.member.metadata)}"}
    elif kind == "map" and rules.get("min", 0) > 0:
        yield {}, {f"Value '{{}}' at '{place}' {FAILED}Member must have length greater than or equal to 1"}
        bad = "k" * (shape.key.metadata["max"] + 1)
        yield {bad: "v"}, {f"Value '{{{bad}=v}}' at '{place}' {FAILED}Map keys must satisfy constraint: "
                           f"{lengths(shape.key.metadata)}"}
        bad = "v" * (shape.value.metadata["max"] + 1)
        yield {"k": bad}, {f"Value '{{k={bad}}}' at '{place}' {FAILED}Map value must satisfy constraint: "
                           f"{lengths(shape.value.metadata)}"}
        many = {f"k{i}": "v" for i in range(rules["max"] + 1)}
        yield many, {("prefix", place, f"Member must have length less than or equal to {rules['max']}")}


def _strings(rules, place):
    pattern = rules.get("pattern")
    candidates = [""] if rules.get("min", 0) > 0 or pattern else []
    if rules.get("max", 0) and rules["max"] <= 4096:
        candidates.append("a" * (rules["max"] + 1))
    if pattern:
        candidates += ["a b", "é"]
    for bad in candidates:
        found = set()
        if len(bad) < rules.get("min", 0):
            found.add(f"Value '{bad}' at '{place}' {FAILED}Member must have length greater than or equal to "
                      f"{rules['min']}")
        if len(bad) > rules.get("max", 2**31):
            found.add(f"Value '{bad}' at '{place}' {FAILED}Member must have length less than or equal to "
                      f"{rules['max']}")
        if pattern and not re.fullmatch(pattern, bad):
            found.add(f"Value '{bad}' at '{place}' {FAILED}Member must satisfy regular expression pattern: {pattern}")
        if found:
            yield bad, found


def rows(shape, path=""):
    """Every bad input of one bad member, with its sentences."""
    for name, member in shape.members.items():
        place = path + lower_first(name)
        for bad, found in violations(member, place):
            yield {name: bad}, found
        if member.type_name == "structure":
            for inner, found in rows(member, place + "."):
                yield {name: inner}, found
        if member.type_name == "list" and member.member.type_name == "structure":
            for inner, found in rows(member.member, place + ".1.member."):
                yield {name: [inner]}, found | nulls(member.member, inner, place + ".1.member.")


def read(message):
    """The sentences of a text; the count in front must be theirs."""
    match = re.fullmatch(r"(\d+) validation errors? detected: (.*)", message, re.DOTALL)
    assert match, f"not a validation text: {message[:300]!r}"
    sentences = re.split(r"; (?=Value )", match[2])
    equal(int(match[1]), len(sentences), f"count in {message[:300]!r}")
    equal("errors" in message.split(":")[0], len(sentences) > 1, "plural")
    return set(sentences)


def agree(found, wanted):
    """Whether the sentences are those wanted; enum values may come in any order."""
    if len(found) != len(wanted):
        return False
    for rule in wanted:
        if isinstance(rule, str):
            hit = rule in found
        elif rule[0] == "prefix":
            hit = any(f"at '{rule[1]}' {FAILED}{rule[2]}" in text for text in found)
        else:
            hit = any(
                f"at '{rule[1]}' {FAILED}Member must satisfy enum value set: [" in text
                and frozenset(text.rpartition("[")[2].rstrip("]").split(", ")) == rule[2]
                for text in found
            )
        if not hit:
            return False
    return True


def _case(operation, encoding):
    def prove():
        shape = input_of(operation)
        tried = 0
        for data, wanted in rows(shape):
            wanted = wanted | nulls(shape, data)
            answer = call(operation, data, encoding)
            shown = repr(data)[:200]
            equal((answer.status, answer.code), (400, "ValidationException"), f"answer to {shown}: {answer!r}")
            found = read(answer.message)
            assert agree(found, wanted), f"for {shown}: found {sorted(found)}, wanted {sorted(map(str, wanted))}"
            tried += 1
        if shape.required_members:
            answer = call(operation, {}, encoding)
            equal(answer.code, "ValidationException", f"answer to nothing: {answer!r}")
            equal(read(answer.message), nulls(shape, {}), "sentences")

    return prove


def suites():
    """One suite an encoding."""
    found = []
    for encoding in (JSON, CBOR):
        suite = Suite("raw wire", encoding)
        for operation in OPERATIONS:
            shape = input_of(operation)
            if shape is not None and shape.members:
                suite.add([operation], f"{operation}: every constraint of every member is told", _case(operation, encoding))
        found.append(suite)
    return found
