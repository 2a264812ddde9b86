"""Values of the wrong type, for every member of every input.

The texts are those recorded against the real service; the members come from the public model.
Type errors win over everything else, and say `Message` where all other errors say `message`.
"""

from harness import Suite, equal
from .model import OPERATIONS, input_of
from .protocol import CBOR, JSON, call, raw_call

NUMBER = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
LIST = "Start of list found where not expected"
STRUCTURE = "Start of structure or map found where not expected."
NUMBERS = (23, -2147483648, 2147483648)


def _scalars(kind, article, with_fraction):
    rows = [(True, f"class java.lang.Boolean can not be converted to {article} {kind}")]
    fractions = (34.56,) if with_fraction else ()
    rows += [(n, f"{NUMBER} can not be converted to {article} {kind}") for n in NUMBERS + fractions]
    return rows


WRONG = {
    "string": _scalars("String", "an", True) + [([], LIST), ({}, STRUCTURE)],
    "blob": _scalars("Blob", "a", True) + [
        ([], LIST),
        ({}, STRUCTURE),
        ("23456", "'23456' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes "
                  "but found: 5"),
        ("=+/=", "'=+/=' can not be converted to a Blob: Invalid Base64 character: '='"),
        ("+/+=", "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"),
    ],
    "boolean": [("23", "'23' can not be converted to an Boolean")]
    + [(n, f"{NUMBER} can not be converted to an Boolean") for n in NUMBERS]
    + [([], LIST), ({}, STRUCTURE)],
    "integer": [
        ("23", "class java.lang.String can not be converted to an Integer"),
        (True, "class java.lang.Boolean can not be converted to an Integer"),
        ([], LIST),
        ({}, STRUCTURE),
    ],
    "timestamp": [
        ("23", "class java.lang.String can not be converted to milliseconds since epoch"),
        (True, "class java.lang.Boolean can not be converted to milliseconds since epoch"),
        ([], LIST),
        ({}, STRUCTURE),
    ],
    "list": [(v, "Expected list or null") for v in ("23", True, 34.56) + NUMBERS] + [({}, STRUCTURE)],
    "map": [(v, "Expected map or null") for v in ("23", True, 34.56) + NUMBERS] + [([], LIST)],
    "structure": [(v, "Expected null") for v in ("23", True, 34.56) + NUMBERS] + [([], LIST)],
}

# In CBOR a number is no string either, but the texts were never recorded: only the kind of error counts.
WRONG_IN_CBOR = {
    "string": (True, 23, 34.56, [], {}),
    "blob": (True, 23, [], {}),
    "boolean": ([], {}),
    "integer": ("23", True, [], {}, b"x"),
    "timestamp": ([], {}, True),
    "list": ("23", True, 23, {}),
    "map": ("23", True, 23, []),
    "structure": ("23", True, 23, []),
}


def places(shape, depth=0):
    """Every place in an input as (how to wrap a value there, kind)."""
    if depth:
        yield (lambda value: value), shape.type_name
    if shape.type_name == "structure" and depth < 3:
        for name, member in shape.members.items():
            for wrap, kind in places(member, depth + 1):
                yield (lambda value, n=name, w=wrap: {n: w(value)}), kind
    elif shape.type_name == "list":
        for wrap, kind in places(shape.member, depth + 1):
            yield (lambda value, w=wrap: [w(value)]), kind
    elif shape.type_name == "map":
        for wrap, kind in places(shape.value, depth + 1):
            yield (lambda value, w=wrap: {"a": w(value)}), kind


def _kind(name):
    return "integer" if name == "long" else name


def _json_case(operation):
    def prove():
        for wrap, kind in places(input_of(operation)):
            for value, text in WRONG[_kind(kind)]:
                data = wrap(value)
                answer = call(operation, data, JSON)
                equal(answer.status, 400, f"status for {data!r}")
                equal(answer.body, {"__type": "SerializationException", "Message": text}, f"answer to {data!r}")

    return prove


def _cbor_case(operation):
    def prove():
        for wrap, kind in places(input_of(operation)):
            for value in WRONG_IN_CBOR[_kind(kind)]:
                data = wrap(value)
                answer = call(operation, data, CBOR)
                equal((answer.status, answer.code), (400, "SerializationException"), f"answer to {data!r}: {answer!r}")
                assert "Message" in answer.body and "message" not in answer.body, answer

    return prove


def _null_case(operation, encoding):
    def prove():
        members = input_of(operation).members
        answer = call(operation, dict.fromkeys(members), encoding)
        plain = call(operation, {}, encoding)
        equal((answer.status, answer.body), (plain.status, plain.body), "null is as good as absent")

    return prove


def _unknown_case(encoding):
    def prove():
        extra = {"NewToday": {"a": [1, {"b": None}], "c": b"x" if encoding == CBOR else "eA=="}, "Limit": 1}
        answer = call("ListStreams", extra, encoding)
        equal(answer.status, 200, f"status: {answer!r}")

    return prove


def _empty_body():
    answer = raw_call("ListStreams", b"{}", JSON)
    equal(answer.status, 200, "status")


def suites():
    """One suite an encoding."""
    json_suite, cbor_suite = Suite("raw wire", JSON), Suite("raw wire", CBOR)
    for operation in OPERATIONS:
        shape = input_of(operation)
        if shape is None or not shape.members:
            continue
        sentence = f"{operation}: each member of the wrong type is named as the real service names it"
        json_suite.add([operation], sentence, _json_case(operation))
        cbor_suite.add([operation], f"{operation}: a member of the wrong type is a SerializationException",
                       _cbor_case(operation))
        # Safe to call without arguments only where something is required.
        if shape.required_members:
            for suite, encoding in ((json_suite, JSON), (cbor_suite, CBOR)):
                suite.add([operation], f"{operation}: null members are absent members", _null_case(operation, encoding))
    for suite, encoding in ((json_suite, JSON), (cbor_suite, CBOR)):
        suite.add(["ListStreams"], "members that the model does not know are ignored", _unknown_case(encoding))
    json_suite.add(["ListStreams"], "an empty object is enough where nothing is required", _empty_body)
    return [json_suite, cbor_suite]
