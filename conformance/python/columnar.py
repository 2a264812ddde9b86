"""Parquet and ORC files read back by pyarrow, DuckDB and pyorc, every value compared.

Records are drawn at random from a seed, with the value that each column must hold; the example
`convert` of millstream-columnar, whose path CONFORMANCE_CONVERT holds, makes files of them. Needs
pyarrow, duckdb and pyorc. A case is one file read by one reader.
"""

import datetime
import decimal
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import traceback
import zoneinfo

import duckdb
import pyarrow.orc
import pyarrow.parquet
import pyorc
from pyorc.predicates import PredicateColumn

CONVERT = os.environ["CONFORMANCE_CONVERT"]
SEED = int(os.environ.get("CONFORMANCE_SEED", "1"))
ROWS = int(os.environ.get("CONFORMANCE_ROWS", "5000"))
EPOCH = datetime.datetime(1970, 1, 1)

COLUMNS = [
    ("flag", "boolean"),
    ("tiny", "tinyint"),
    ("small", "smallint"),
    ("num", "int"),
    ("big", "bigint"),
    ("counter", "bigint"),
    ("ratio", "float"),
    ("level", "double"),
    ("price", "decimal(10,2)"),
    ("huge", "decimal(38,10)"),
    ("label", "string"),
    ("kind", "string"),
    ("code", "char(4)"),
    ("tag", "varchar(5)"),
    ("raw", "binary"),
    ("day", "date"),
    ("moment", "timestamp"),
    ("nothing", "string"),
    ("list", "array<int>"),
    ("texts", "array<string>"),
    ("props", "map<string,bigint>"),
    ("years", "map<int,string>"),
    ("person", "struct<name:string,age:int,tags:array<string>>"),
    ("deep", "array<struct<k:string,m:map<string,array<double>>>>"),
]

PIECES = ["", "a", "bc", "Zürich", "日本", "😀", 'q"t', "back\\slash", "tab\t", "line\n", "\u0001", "x" * 40]


class Drawn:
    """Random values, each with the JSON that stands for it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.counter = 0

    def integer(self, bits):
        bound = 1 << (bits - 1)
        pick = self.random.randrange(4)
        if pick == 0:
            return self.random.randrange(-bound, bound)
        if pick == 1:
            return self.random.choice([-bound, bound - 1, 0, -1, 1])
        return self.random.randrange(-min(100, bound), min(100, bound))

    def text(self):
        return "".join(self.random.choice(PIECES) for _ in range(self.random.randrange(4)))

    def double(self):
        return self.random.choice([0.0, -0.5, 1e300, 5e-324, self.random.random(), self.random.gauss(0, 1e6)])

    def moment(self):
        """A timestamp to the microsecond, in one of the forms that the OpenX reader takes."""
        while True:
            seconds = self.random.randrange(-2_000_000_000, 6_000_000_000)
            micros = self.random.choice([0, 0, 120_000, self.random.randrange(1_000_000)])
            # ORC cannot hold the last second before 1970.
            if seconds != -1:
                break
        value = EPOCH + datetime.timedelta(seconds=seconds, microseconds=micros)
        forms = [value.isoformat() + "Z", value.isoformat(" ")]
        if micros == 0:
            forms.append(seconds)
            forms.append(str(seconds))
        if seconds > 1_000_000_000 and micros % 1000 == 0:
            forms.append(seconds * 1000 + micros // 1000)
        return value, self.random.choice(forms)

    def value(self, name, kind):
        """A value as readers give it, and as JSON."""
        draw = self.random
        if name == "counter":
            self.counter += draw.choice([1, 1, 1, 5])
            return self.counter, self.counter
        if name == "kind":
            value = draw.choice(["view", "click", "purchase"])
            return value, value
        if kind == "boolean":
            value = draw.random() < 0.5
            return value, draw.choice([value, str(value).lower()])
        if kind in ("tinyint", "smallint", "int", "bigint"):
            value = self.integer({"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}[kind])
            return value, draw.choice([value, value, str(value)])
        if kind == "float":
            value = struct.unpack("f", struct.pack("f", draw.gauss(0, 1000)))[0]
            return value, value
        if kind == "double":
            value = self.double()
            return value, draw.choice([value, repr(value)])
        if kind.startswith("decimal"):
            precision, scale = (int(number) for number in kind[8:-1].split(","))
            bound = 10**precision
            unscaled = draw.choice([draw.randrange(-bound + 1, bound), draw.randrange(-999, 999), bound - 1])
            value = decimal.Decimal(unscaled).scaleb(-scale, decimal.Context(prec=60))
            return value, draw.choice([Literal(f"{value:f}"), f"{value:f}"])
        if kind == "string":
            value = self.text()
            return value, value
        if kind == "char(4)":
            value = self.text()
            return value[:4].rstrip(" "), value
        if kind == "varchar(5)":
            value = self.text()
            return value[:5], value
        if kind == "binary":
            value = self.text()
            return value.encode(), value
        if kind == "date":
            value = datetime.date(1900, 1, 1) + datetime.timedelta(days=draw.randrange(100_000))
            return value, draw.choice([value.isoformat(), f"{value.year}-{value.month}-{value.day}"])
        if kind == "timestamp":
            return self.moment()
        return self.nested(name)

    def several(self, draw_one, most=4):
        pairs = [draw_one() for _ in range(self.random.randrange(most))]
        return [value for value, _ in pairs], [given for _, given in pairs]

    def maybe(self, draw_one):
        return (None, None) if self.random.random() < 0.2 else draw_one()

    def mapping(self, draw_key, draw_value):
        keys = list({draw_key() for _ in range(self.random.randrange(4))})
        pairs = {key: draw_value() for key in keys}
        return {key: pair[0] for key, pair in pairs.items()}, {str(key): pair[1] for key, pair in pairs.items()}

    def nested(self, name):
        draw = self.random

        def number():
            value = self.integer(32)
            return value, value

        def text():
            value = self.text()
            return value, value

        def real():
            value = self.double()
            return value, value

        if name == "list":
            return self.several(lambda: self.maybe(number), 20)
        if name == "texts":
            return self.several(lambda: self.maybe(text))
        if name == "props":
            return self.mapping(lambda: draw.choice(["alpha", "beta", "gamma", "é"]), lambda: self.maybe(number))
        if name == "years":
            return self.mapping(lambda: draw.randrange(1990, 2030), lambda: self.maybe(text))
        if name == "person":
            return self.person()
        assert name == "deep", name

        def item():
            label = self.maybe(text)
            reals = lambda: self.maybe(lambda: self.several(lambda: self.maybe(real)))
            inner = self.maybe(lambda: self.mapping(lambda: draw.choice("abc"), reals))
            return {"k": label[0], "m": inner[0]}, {"k": label[1], "m": inner[1]}

        return self.several(lambda: self.maybe(item))

    def person(self):
        name, age = self.text(), self.integer(32)
        tags = self.maybe(lambda: self.several(lambda: (lambda text: (text, text))(self.text())))
        value = {"name": name, "age": age, "tags": tags[0]}
        given = {"Name": name, "AGE": str(age), "tags": tags[1], "unknown": {"deep": [1, {"a": None}]}}
        if self.random.random() < 0.3:
            value["age"] = None
            del given["AGE"]
        return value, given

    def record(self):
        """A row as readers give it, and its JSON."""
        row, given = {}, []
        for name, kind in COLUMNS:
            chance = self.random.random()
            row[name] = None
            if name == "nothing" or chance < 0.1:
                continue
            if chance < 0.2 and name != "counter":
                given.append((name, None))
                continue
            row[name], text = self.value(name, kind)
            given.append((self.random.choice([name, name, name, name.upper()]), text))
        if self.random.random() < 0.3:
            self.random.shuffle(given)
        if self.random.random() < 0.2:
            given.append(("extra.key", {"list": [1, 2.5, "x", {"y": []}]}))
        return row, rendered(dict(given), self.random.random() < 0.5, self.random.random() < 0.5)


class Literal(str):
    """Text that stands in JSON as it is."""


def rendered(value, spaces, escape):
    """JSON, with or without blanks, with or without escapes."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, dict):
        comma, colon = (" , ", " : ") if spaces else (",", ":")
        entries = (json.dumps(key, ensure_ascii=escape) + colon + rendered(item, spaces, escape) for key, item in value.items())
        return "{" + comma.join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(rendered(item, spaces, escape) for item in value) + "]"
    return json.dumps(value, ensure_ascii=escape)


BAD = [
    '{"num": "oops"}', '{"tiny": 128}', '{"list": [1, "x"]}', '{"deep": [{"k": "a", "m": {"a": [1, true]}}], "num": 1}',
    '{"person": 42}', '{"label": "never seen", "num": ', "nope", "", '{"price": 123456789.99}',
    '{"label": "never seen"}{"num": "oops"}', "[1]", "17", '{"day": "2024-02-30"}', '{"flag": 1, "label": "never seen"}',
]


def drawn_table(rows):
    """Rows, the lines they come from, and which lines are bad."""
    drawn, table, lines, bad = Drawn(SEED), [], [], []
    for index in range(rows):
        if index % 97 == 13:
            bad.append(len(lines))
            lines.append(BAD[index // 97 % len(BAD)])
        row, text = drawn.record()
        table.append(row)
        lines.append(text)
        if index % 1000 == 500:
            # Two objects in one record are two rows.
            row, text = drawn.record()
            table.append(row)
            lines[-1] += text
    return table, lines, bad


class Files:
    """Files made by the example, in a folder that is removed."""

    def __init__(self, folder):
        self.folder = folder
        self.table, lines, self.bad = drawn_table(ROWS)
        self.columns = os.path.join(folder, "columns")
        self.input = os.path.join(folder, "input")
        with open(self.columns, "w", encoding="utf-8") as file:
            file.writelines(f"{name}\t{kind}\n" for name, kind in COLUMNS)
        with open(self.input, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def made(self, settings):
        path = os.path.join(self.folder, "file." + settings["format"])
        arguments = [f"{key}={item}" for key, value in settings.items() for item in (value if isinstance(value, list) else [value])]
        command = [CONVERT, self.columns, self.input, path, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        refused = [int(line.split("\t")[0]) for line in done.stdout.splitlines()]
        assert refused == self.bad, f"refused {refused}, wanted {self.bad}"
        return path


def normal(value, kind):
    """A reader's value as the generator has it."""
    if value is None:
        return None
    if kind == "timestamp":
        if hasattr(value, "to_pydatetime"):
            value = value.to_pydatetime(warn=False)
        return value.replace(tzinfo=None)
    if kind.startswith("char"):
        return value.rstrip(" ")
    if kind == "binary":
        return bytes(value)
    if kind.startswith("decimal"):
        return decimal.Decimal(value)
    if kind == "deep":
        return [item and {"k": item["k"], "m": mapped(item["m"])} for item in value]
    if kind.startswith("map"):
        return mapped(value)
    return value


def mapped(value):
    return dict(value) if isinstance(value, list) else value


def compare(found, table):
    assert len(found) == len(table), f"{len(found)} rows, wanted {len(table)}"
    for index, (row, wanted) in enumerate(zip(found, table)):
        for name, kind in COLUMNS:
            value = normal(row[name], "deep" if name == "deep" else kind)
            assert value == wanted[name], f"row {index}, {name}: found {value!r}, wanted {wanted[name]!r}"


def read_pyarrow_parquet(path, table):
    file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
    compare(file.read().to_pylist(), table)
    bounds(file, table)


def bounds(file, table):
    """The statistics of row groups hold of the rows in them."""
    start = 0
    for group in range(file.metadata.num_row_groups):
        meta = file.metadata.row_group(group)
        rows = table[start : start + meta.num_rows]
        start += meta.num_rows
        for index in range(meta.num_columns):
            column = meta.column(index)
            name = column.path_in_schema
            if name not in ("num", "counter", "price", "kind", "day", "nothing"):
                continue
            values = [row[name] for row in rows if row[name] is not None]
            statistics = column.statistics
            assert statistics.null_count == len(rows) - len(values), name
            assert statistics.has_min_max == bool(values), name
            if values:
                assert (statistics.min, statistics.max) == (min(values), max(values)), name
            assert column.has_offset_index and column.has_column_index, name


def read_duckdb(path, table):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    relation = connection.sql(f"SELECT * FROM read_parquet('{path}')")
    names = relation.columns
    compare([dict(zip(names, row)) for row in relation.fetchall()], table)
    # Filters are answered from statistics where they can be.
    for name, value in [("num", 7), ("kind", "click"), ("counter", 500), ("counter", 10**9)]:
        query = f"SELECT count(*) FROM read_parquet('{path}') WHERE {name} = ?"
        count = connection.execute(query, [value]).fetchone()[0]
        assert count == sum(row[name] == value for row in table), f"{name} = {value}: {count}"


def read_pyarrow_orc(path, table):
    compare(pyarrow.orc.ORCFile(path).read().to_pylist(), table)


def read_pyorc(path, table):
    with open(path, "rb") as file:
        reader = pyorc.Reader(file, struct_repr=pyorc.StructRepr.DICT, timezone=zoneinfo.ZoneInfo("UTC"))
        compare(list(reader), table)
        seek(file, table)
        stripes = [stripe.bytes_length for stripe in reader.iter_stripes()]
        assert len(stripes) > 1, "one stripe does not try much"
        for name in ("num", "counter", "price", "kind", "day"):
            index = 1 + next(place for place, row in enumerate(flattened()) if row == name)
            statistics = reader[index].statistics
            values = [row[name] for row in table if row[name] is not None]
            assert statistics["number_of_values"] == len(values), name
            assert statistics["has_null"] == (len(values) < len(table)), name
            assert statistics["minimum"] == min(values) and statistics["maximum"] == max(values), name


def seek(file, table):
    """Any row can be found through the row index."""
    names = [name for name, _ in COLUMNS if name != "nothing"]
    options = {"struct_repr": pyorc.StructRepr.DICT, "timezone": zoneinfo.ZoneInfo("UTC")}
    reader = pyorc.Reader(file, column_names=names, **options)
    choose = random.Random(SEED)
    found = 0
    for _ in range(300):
        row = choose.randrange(len(table) - 3)
        try:
            reader.seek(row)
            rows = [{"nothing": None, **next(reader)} for _ in range(3)]
        except pyorc.ParseError as error:
            # The library cannot step over text without a byte in it, in files of its own neither.
            assert "lastBuffer_ is null" in str(error), error
            continue
        compare(rows, table[row : row + 3])
        found += 1
    assert found > 100, f"only {found} of 300 rows could be sought"


def flattened():
    """The columns' numbers in ORC: nested ones count those below them too."""
    below = {"list": 1, "texts": 1, "props": 2, "years": 2, "person": 4, "deep": 6}
    for name, _ in COLUMNS:
        yield name
        yield from [None] * below.get(name, 0)


def read_pyorc_filtered(path, table):
    """What a filter leaves out has no row that matches; what is not there costs no row at all."""
    kinds = {"counter": pyorc.TypeKind.LONG, "label": pyorc.TypeKind.STRING, "level": pyorc.TypeKind.DOUBLE}
    for name, kind in kinds.items():
        wanted = [row[name] for row in table if row[name] is not None]
        present = random.Random(SEED).sample(wanted, 20)
        absent = {"counter": 10**12, "label": "nowhere to be found", "level": 123.456789}[name]
        for value in [*present, absent]:
            with open(path, "rb") as file:
                predicate = PredicateColumn(kind, name=name) == value
                reader = pyorc.Reader(file, struct_repr=pyorc.StructRepr.DICT, predicate=predicate)
                found = [row[name] for row in reader]
            count = sum(item == value for item in wanted)
            assert found.count(value) == count, f"{name} = {value!r}: {found.count(value)}, wanted {count}"
            if value == absent:
                assert len(found) < len(table) / 2, f"{name}: a filter for {value!r} read {len(found)} rows"


def cases():
    """Each file's settings, and who reads it."""
    small = {"page_bytes": 6000, "block_bytes": 300_000}
    for compression in ("none", "snappy", "deflate"):
        for version in ("old", "new"):
            for dictionary in (0, 1):
                base = {"compression": compression, "version": version, "dictionary": dictionary}
                yield {"format": "parquet", **base, **small}, [read_pyarrow_parquet, read_duckdb]
                bloom = {"bloom": ["counter", "label", "level", "moment", "price", "day"]}
                orc = {"format": "orc", **base, "block_bytes": 300_000, "stride": 1000}
                yield {**orc, **bloom}, [read_pyarrow_orc, read_pyorc, read_pyorc_filtered]
    yield {"format": "parquet"}, [read_pyarrow_parquet, read_duckdb]
    yield {"format": "parquet", "timestamp": "micros", **small}, [read_pyarrow_parquet, read_duckdb]
    yield {"format": "orc", "padding": "true", "block_bytes": 300_000, "dictionary": 0.5}, [read_pyarrow_orc, read_pyorc]


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder)
        for settings, readers in cases():
            path = files.made(settings)
            for reader in readers:
                try:
                    reader(path, files.table)
                    passed += 1
                except Exception:  # noqa: BLE001 - a case may fail in any way
                    failed += 1
                    print(f"  failed: {reader.__name__} {settings}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
