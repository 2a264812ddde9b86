"""The CBOR of the wire: enough to write any request and to see every type of an answer.

A library would hide what has to be seen: a timestamp is tag 1 around an integer of milliseconds,
which libraries take for seconds and refuse.
"""

import struct


class Tag:
    """A tagged value."""

    def __init__(self, number, value):
        self.number, self.value = number, value

    def __repr__(self):
        return f"Tag({self.number}, {self.value!r})"


def head(major, count):
    """The head of an item."""
    if count < 24:
        return bytes([major << 5 | count])
    for size, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if count < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | size]) + struct.pack(form, count)
    raise ValueError(count)


def encode(value):
    """Definite lengths, as the clients write them."""
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    if isinstance(value, Tag):
        return head(6, value.number) + encode(value.value)
    raise TypeError(type(value))


def encode_indefinite(value):
    """Lists and maps of indefinite length, as the real service and some clients write them."""
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(encode_indefinite, value)) + b"\xff"
    if isinstance(value, dict):
        return b"\xbf" + b"".join(encode(k) + encode_indefinite(v) for k, v in value.items()) + b"\xff"
    return encode(value)


BREAK = object()


def decode(data):
    """One value, and nothing after it."""
    value, end = _item(data, 0)
    assert end == len(data), f"{len(data) - end} bytes after the value"
    return value


def _item(data, at):
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if low == 31:
        if major == 7:
            return BREAK, at
        return _indefinite(data, at, major)
    count = low
    if low >= 24:
        size = 1 << low - 24
        assert low < 28, f"reserved length {low}"
        count = int.from_bytes(data[at : at + size], "big")
        if major == 7 and low > 24:
            form = {25: ">e", 26: ">f", 27: ">d"}[low]
            return struct.unpack(form, data[at : at + size])[0], at + size
        at += size
    if major == 0:
        return count, at
    if major == 1:
        return -1 - count, at
    if major in (2, 3):
        text = bytes(data[at : at + count])
        assert len(text) == count, "a string is cut short"
        return (text if major == 2 else text.decode()), at + count
    if major == 4:
        items = []
        for _ in range(count):
            value, at = _item(data, at)
            items.append(value)
        return items, at
    if major == 5:
        members = {}
        for _ in range(count):
            key, at = _item(data, at)
            members[key], at = _item(data, at)
        return members, at
    if major == 6:
        value, at = _item(data, at)
        return Tag(count, value), at
    return {20: False, 21: True, 22: None}[count], at


def _indefinite(data, at, major):
    items = []
    while True:
        value, at = _item(data, at)
        if value is BREAK:
            break
        items.append(value)
    if major == 4:
        return items, at
    if major == 5:
        return dict(zip(items[::2], items[1::2])), at
    return (b"" if major == 2 else "").join(items), at
