"""Parquet files as pyarrow writes them, each beside the rows that must be read from it.

    python3 -m venv env && env/bin/pip install numpy pyarrow && env/bin/python tests/golden/data/make_parquet.py
    env/bin/python tests/golden/data/make_parquet.py --check FILE.parquet ROWS.jsonl   # one that fettle wrote
"""
import base64
import datetime
import decimal
import json
import math
import pathlib
import random
import sys
import uuid

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

HERE = pathlib.Path(__file__).parent / "parquet"


def plain(value):
    """A value as a JSON row shows it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            return {key: plain(item) for key, item in value}
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        text = value.strftime("%Y-%m-%dT%H:%M:%S")
        return text + (".%06d" % value.microsecond).rstrip("0") if value.microsecond else text
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        text = value.strftime("%H:%M:%S")
        return text + (".%06d" % value.microsecond).rstrip("0") if value.microsecond else text
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, numpy.floating):
        return plain(float(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def write(name, table, **options):
    pq.write_table(table, HERE / f"{name}.parquet", **options)
    rows = pq.read_table(HERE / f"{name}.parquet").to_pylist()
    text = "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows)
    (HERE / f"{name}.jsonl").write_text(text)


def flat(count, draw):
    maybe = lambda value: None if draw.random() < 0.3 else value
    rows = []
    for i in range(count):
        rows.append({
            "id": f"row-{i}", "flag": maybe(draw.random() < 0.5), "small": maybe(draw.randint(-99, 99)),
            "large": maybe(draw.randint(-2**62, 2**62)), "single": maybe(draw.random()), "double": maybe(draw.gauss(0, 1)),
            "word": maybe(draw.choice(["red", "grün", "蓝", "", 'a "quote"\n\t\\'])), "raw": maybe(b"bytes"),
            "when": maybe(datetime.datetime(2023, 7, 1, 12, 30, 5, draw.choice([0, 123456]))),
            "day": maybe(datetime.date(1969 + i % 60, 1 + i % 12, 3)),
            "price": maybe(decimal.Decimal(draw.randint(-10**6, 10**6)).scaleb(-2)),
            "huge": maybe(decimal.Decimal(draw.randint(-10**30, 10**30)).scaleb(-5)), "byte": maybe(draw.randint(0, 255)),
            "unsigned": maybe(draw.randint(2**63, 2**64 - 1)),
        })
    types = {"id": pa.string(), "flag": pa.bool_(), "small": pa.int32(), "large": pa.int64(), "single": pa.float32(),
             "double": pa.float64(), "word": pa.string(), "raw": pa.binary(), "when": pa.timestamp("us"), "day": pa.date32(),
             "price": pa.decimal128(9, 2), "huge": pa.decimal128(38, 5), "byte": pa.uint8(), "unsigned": pa.uint64()}
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def nested(count, draw):
    rows = []
    for i in range(count):
        turns = [{"role": draw.choice(["user", "assistant"]), "content": "word " * draw.randint(0, 30) + str(i),
                  "weight": draw.choice([None, 0.0, 1.0])} for _ in range(draw.randint(0, 5))]
        rows.append({
            "messages": None if i % 11 == 3 else turns,
            "grid": draw.choice([None, [], [[]], [None, [1, None, 2]], [[1], [], [2, 3]]]),
            "tags": draw.choice([None, [("d", [4])], [("a", [1, 2]), ("b", None), ("c", [])]]),
            "meta": draw.choice([None, {"source": None, "scores": {"best": i, "all": [i, None]}},
                                 {"source": "web", "scores": None}]),
            "mask": [draw.random() < 0.5 for _ in range(draw.randint(0, 40))],
        })
    turn = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.float64())])
    meta = pa.struct([("source", pa.string()),
                      ("scores", pa.struct([("best", pa.int64()), ("all", pa.list_(pa.int64()))]))])
    schema = pa.schema([("messages", pa.list_(turn)), ("grid", pa.list_(pa.list_(pa.int32()))),
                        ("tags", pa.map_(pa.string(), pa.list_(pa.int32()))), ("meta", meta),
                        pa.field("mask", pa.list_(pa.field("element", pa.bool_(), nullable=False)), nullable=False)])
    return pa.Table.from_pylist(rows, schema=schema)


def encoded(count, draw):
    """Columns for every encoding of values, and the encoding of each."""
    maybe = lambda value: None if draw.random() < 0.2 else value
    edges = [-2**31, 2**31 - 1, 0, 1, -1]
    rows = [{
        "delta32": draw.choice(edges) if i % 7 == 0 else i * 3 + draw.randint(0, 9),
        "delta64": maybe(draw.choice([-2**63, 2**63 - 1]) if i % 31 == 5 else draw.randint(-10**12, 10**12)),
        "same": 5, "length": maybe(draw.choice(["", "red", "grün " * draw.randint(0, 20), "蓝"])),
        "prefix": maybe(f"https://example.org/{draw.choice('ab')}/{i // 9}/" + "x" * draw.randint(0, 3)),
        "fixed_prefix": maybe(b"%08d" % (i // 3)), "split32": maybe(draw.gauss(0, 1)), "split64": maybe(draw.gauss(0, 1)),
        "split_int": maybe(draw.randint(-2**31, 2**31 - 1)), "split_long": maybe(draw.randint(-2**62, 2**62)),
        "split_fixed": maybe(b"%04d" % draw.randint(0, 9999)), "runs": maybe(i % 50 < 30),
    } for i in range(count)]
    columns = {"delta32": (pa.int32(), "DELTA_BINARY_PACKED"), "delta64": (pa.int64(), "DELTA_BINARY_PACKED"),
               "same": (pa.int64(), "DELTA_BINARY_PACKED"), "length": (pa.string(), "DELTA_LENGTH_BYTE_ARRAY"),
               "prefix": (pa.string(), "DELTA_BYTE_ARRAY"), "fixed_prefix": (pa.binary(8), "DELTA_BYTE_ARRAY"),
               "split32": (pa.float32(), "BYTE_STREAM_SPLIT"), "split64": (pa.float64(), "BYTE_STREAM_SPLIT"),
               "split_int": (pa.int32(), "BYTE_STREAM_SPLIT"), "split_long": (pa.int64(), "BYTE_STREAM_SPLIT"),
               "split_fixed": (pa.binary(4), "BYTE_STREAM_SPLIT"), "runs": (pa.bool_(), "RLE")}
    schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()])
    return pa.Table.from_pylist(rows, schema=schema), {name: encoding for name, (_, encoding) in columns.items()}


def odd(count, draw):
    rows = [{
        "time_ms": datetime.time(i % 24, 5, 6, 7000), "time_us": datetime.time(i % 24, 5, 6, 789),
        "stamp_ms": datetime.datetime(1960 + i, 2, 3, 4, 5, 6, 7000),
        "stamp_tz": datetime.datetime(2020, 2, 3, 4, 5, i % 60, tzinfo=datetime.timezone.utc).replace(tzinfo=None),
        "id": uuid.UUID(int=draw.getrandbits(128)).bytes, "half": numpy.float16(draw.gauss(0, 1)),
        "dictionary": draw.choice(["a", "b", None]), "large": "text" * (i % 3), "nothing": None,
        "wide": decimal.Decimal(draw.randint(-10**50, 10**50)).scaleb(-7),
        "rows": draw.choice([None, [], [{"a": 1, "b": None}], [{"a": None, "b": ["x", None]}, None]]),
    } for i in range(count)]
    schema = pa.schema([("time_ms", pa.time32("ms")), ("time_us", pa.time64("us")), ("stamp_ms", pa.timestamp("ms")),
                        ("stamp_tz", pa.timestamp("us")), ("id", pa.uuid()), ("half", pa.float16()),
                        ("dictionary", pa.dictionary(pa.int8(), pa.string())), ("large", pa.large_string()),
                        ("nothing", pa.null()), ("wide", pa.decimal256(60, 7)),
                        ("rows", pa.list_(pa.struct([("a", pa.int16()), ("b", pa.list_(pa.string()))])))])
    return pa.Table.from_pylist(rows, schema=schema)


class PlainKeys(pe.KmsClient):
    """Keys that are no secret."""

    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key, master_key_identifier):
        return base64.b64decode(wrapped_key)


def write_encrypted(name, plaintext_footer):
    factory = pe.CryptoFactory(lambda config: PlainKeys())
    how = pe.EncryptionConfiguration(footer_key="k", column_keys={"k": ["b"]}, plaintext_footer=plaintext_footer)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), how)
    with pq.ParquetWriter(HERE / f"{name}.parquet", pa.schema([("a", pa.int64()), ("b", pa.string())]),
                          encryption_properties=properties) as writer:
        writer.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}))


def check(parquet, rows):
    """Exits with 1 where the file does not hold these rows; keys that a row lacks must be null."""
    def filled(value, like):
        if isinstance(like, dict) and isinstance(value, dict):
            return {key: filled(value.get(key), like[key]) for key in like}
        if isinstance(like, list) and isinstance(value, list) and len(like) == len(value):
            return [filled(a, b) for a, b in zip(value, like)]
        return value
    found = [plain(row) for row in pq.read_table(parquet).to_pylist()]
    wanted = [json.loads(line) for line in open(rows, encoding="utf-8") if line.strip()]
    if len(found) != len(wanted):
        sys.exit(f"{len(found)} rows, expected {len(wanted)}")
    for i, (a, b) in enumerate(zip(found, wanted)):
        if a != filled(b, a) or not set(b) <= set(a):
            sys.exit(f"row {i}: {a}\nexpected {b}")
    print(f"{len(found)} rows equal")


def main():
    if sys.argv[1:2] == ["--check"]:
        return check(*sys.argv[2:4])
    HERE.mkdir(exist_ok=True)
    draw = random.Random(7)
    write("flat_snappy_v1", flat(120, draw))
    write("flat_zstd_v2", flat(120, draw), compression="zstd", data_page_version="2.0", row_group_size=50)
    write("flat_none_plain", flat(60, draw), compression="none", use_dictionary=False)
    write("nested_gzip_v1", nested(90, draw), compression="gzip")
    write("nested_zstd_v2", nested(200, draw), compression="zstd", data_page_version="2.0", row_group_size=70,
          data_page_size=256, write_batch_size=8)
    write("nested_snappy_pages", nested(200, draw), data_page_size=128, write_batch_size=4, use_dictionary=False)
    write("old_timestamps", flat(20, draw).select(["id", "when"]), use_deprecated_int96_timestamps=True)
    table, encodings = encoded(250, draw)
    for name, version in (("encodings_v1", "1.0"), ("encodings_v2", "2.0")):
        write(name, table, use_dictionary=False, column_encoding=encodings, data_page_version=version, compression="zstd",
              data_page_size=2048, write_batch_size=100)
    for codec in ("brotli", "lz4"):  # pyarrow's lz4 is LZ4_RAW
        write(f"nested_{codec}", nested(60, draw), compression=codec)
    write("odd_types", odd(25, draw), store_schema=False)
    # A dictionary that grows too large is given up in the middle of the column.
    long = [{"text": f"{i % 400} " + "word " * 20} for i in range(600)]
    write("dictionary_given_up", pa.Table.from_pylist(long), dictionary_pagesize_limit=4096, data_page_size=4096,
          write_batch_size=50, compression="zstd")
    if not (HERE / "encrypted_column.parquet").exists():  # the keys are drawn, so the bytes differ each time
        write_encrypted("encrypted_column", True)
        write_encrypted("encrypted_footer", False)
    write("empty", flat(1, draw).slice(0, 0))


main()
