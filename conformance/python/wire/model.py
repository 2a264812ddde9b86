"""The public model, read from the pinned botocore: an oracle for shapes and constraints."""

import base64

import botocore.session

from . import cbor
from .protocol import JSON

_model = botocore.session.get_session().get_service_model("kinesis")
OPERATIONS = list(_model.operation_names)


def input_of(operation):
    """The shape of an operation's input, or None."""
    return _model.operation_model(operation).input_shape


def output_of(operation):
    """The shape of an operation's output, or None."""
    return _model.operation_model(operation).output_shape


def errors_of(operation):
    """The names of the errors that an operation declares."""
    return {shape.name for shape in _model.operation_model(operation).error_shapes}


def lower_first(name):
    """A member as error texts name it."""
    return name[0].lower() + name[1:]


def check(shape, value, encoding, path="output"):
    """Refuses an answer that does not fit its shape, or has members the model does not know."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{path}: {value!r}"
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{path}: unknown members {unknown}"
        # StreamId is reserved: the model demands it, the clients do not, and we issue none.
        missing = set(shape.required_members) - set(value) - {"StreamId"}
        assert not missing, f"{path}: missing members {missing}"
        for name, member in value.items():
            if member is not None or name in shape.required_members:  # null is as good as absent
                check(shape.members[name], member, encoding, f"{path}.{name}")
    elif kind == "list":
        assert isinstance(value, list), f"{path}: {value!r}"
        for item in value:
            check(shape.member, item, encoding, f"{path}[]")
    elif kind == "map":
        for item in value.values():
            check(shape.value, item, encoding, f"{path}{{}}")
    elif kind == "string":
        assert isinstance(value, str), f"{path}: {value!r}"
        assert not shape.enum or value in shape.enum, f"{path}: {value!r}"
    elif kind == "blob":
        data = base64.b64decode(value, validate=True) if encoding == JSON else value
        assert isinstance(data, bytes), f"{path}: {value!r}"
    elif kind == "timestamp":
        _check_timestamp(value, encoding, path)
    elif kind == "boolean":
        assert isinstance(value, bool), f"{path}: {value!r}"
    elif kind in ("integer", "long"):
        assert isinstance(value, int) and not isinstance(value, bool), f"{path}: {value!r}"
    else:
        raise AssertionError(f"{path}: {kind}")


def _check_timestamp(value, encoding, path):
    if encoding == JSON:
        assert isinstance(value, (int, float)), f"{path}: {value!r}"
        millis = value * 1000
    else:
        assert isinstance(value, cbor.Tag) and value.number == 1, f"{path}: {value!r}"
        assert isinstance(value.value, int), f"{path}: not an integer of milliseconds: {value!r}"
        millis = value.value
    assert 1.4e12 < millis < 4e12, f"{path}: not a moment of this age: {value!r}"
