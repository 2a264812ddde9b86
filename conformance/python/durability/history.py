"""What clients saw, and whether a store that keeps its promises could have shown it to them.

The checker knows nothing of the server: it is given what was sent, what was acknowledged, what
readers saw while it lived, and what is there at the end.
"""

import threading
from collections import Counter


class History:
    """Everything that was seen, by any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}  # id -> (producer, number)
        self.acked = {}  # id -> (shard, sequence number)
        self.order = {}  # producer -> ids in the order of their acknowledgement
        self.seen = {}  # (shard, sequence number) -> id, by readers before a kill
        self.contradictions = []

    def send(self, identity, producer, number):
        """A record is about to leave."""
        with self.lock:
            self.sent[identity] = (producer, number)

    def acknowledge(self, identity, shard, number):
        """The server has promised to keep it."""
        with self.lock:
            self.acked[identity] = (shard, number)
            self.order.setdefault(self.sent[identity][0], []).append(identity)

    def see(self, shard, number, identity):
        """A reader was given a record."""
        with self.lock:
            other = self.seen.setdefault((shard, number), identity)
            if other != identity:
                self.contradictions.append((shard, number, other, identity))

    def check(self, read, subscribed):
        """Compares with the end: `read` and `subscribed` map a shard to its [(number, id)]."""
        where = {}
        for shard, records in read.items():
            for number, identity in records:
                where.setdefault(identity, []).append((shard, number))
        numbers = Counter(number for records in read.values() for number, _ in records)
        at_end = {place: identity for identity, places in where.items() for place in places}
        unordered = sum(
            int(a) >= int(b) for records in read.values() for (a, _), (b, _) in zip(records, records[1:]))
        for identities in self.order.values():
            promised = [int(self.acked[identity][1]) for identity in identities]
            unordered += sum(a >= b for a, b in zip(promised, promised[1:]))
        return {
            "sent": len(self.sent),
            "acked": len(self.acked),
            "unknown": len(self.sent) - len(self.acked),
            "unknown_kept": sum(identity in where for identity in self.sent if identity not in self.acked),
            "acked_lost": sum(identity not in where for identity in self.acked),
            "acked_moved": sum(
                identity in where and place not in where[identity] for identity, place in self.acked.items()),
            "seen_lost": sum(place not in at_end for place in self.seen),
            "reordered": unordered,
            "duplicated": sum(len(places) - 1 for places in where.values()),
            "sequence_numbers_reused": sum(count - 1 for count in numbers.values()) + len(self.contradictions)
            + sum(at_end.get(place, identity) != identity for place, identity in self.seen.items()),
            "phantoms": sum(identity not in self.sent for identity in where),
            "readers_disagree": sum(read[shard] != subscribed.get(shard) for shard in read),
        }


FAULTS = ("acked_lost", "acked_moved", "seen_lost", "reordered", "duplicated", "sequence_numbers_reused", "phantoms",
          "readers_disagree")


def verdict(figures):
    """Refuses a history with any fault."""
    wrong = {name: figures[name] for name in FAULTS if figures[name]}
    assert not wrong, f"{wrong} in {figures}"


def check_the_checker():
    """a history with each fault in it is refused, and a sound one is not"""

    def made(acked=(("a", "s", "1"), ("b", "s", "2")), end=(("1", "a"), ("2", "b")), subscribed=None, seen=()):
        history = History()
        for place, (identity, shard, number) in enumerate(acked):
            history.send(identity, "p", place)
            history.acknowledge(identity, shard, number)
        for number, identity in seen:
            history.see("s", number, identity)
        read = {"s": list(end)}
        return history.check(read, read if subscribed is None else {"s": list(subscribed)})

    verdict(made())
    mutants = {
        "acked_lost": made(end=[("1", "a")]),
        "acked_moved": made(end=[("1", "a"), ("3", "b")]),
        "seen_lost": made(seen=[("9", "c")]),
        "reordered": made(end=[("2", "b"), ("1", "a")]),
        "duplicated": made(end=[("1", "a"), ("2", "b"), ("3", "b")]),
        "sequence_numbers_reused": made(seen=[("1", "z")]),
        "phantoms": made(end=[("1", "a"), ("2", "b"), ("3", "x")]),
        "readers_disagree": made(subscribed=[("1", "a")]),
    }
    for fault, figures in mutants.items():
        assert figures[fault], f"{fault} was not seen in {figures}"
