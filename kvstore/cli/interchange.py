"""The files that import reads and export writes: JSON lines or CSV, every byte of keys and values kept.

jsonl   {"key": "user:1", "value": "Ada"}      bytes that are not UTF-8 are {"b64": "…"}; other JSON as a value
                                               stands for its own text
csv     key,value                              a header, then one pair a row; {"b64":"…"} in a cell as in formats.py
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from kvstore.cli.formats import bytes_from, bytes_from_csv, csv_bytes, csv_row, json_bytes

FORMATS = ("jsonl", "csv")
HEADER = ["key", "value"]
LINE_BYTES_MAX = 64 << 20
"""A longer line is no line: the file is something else."""
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Pair:
    """One key and value, and the line of the file where they begin."""

    line: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no pair, and why."""

    line: int
    why: str


def format_of(name: str, given: str | None) -> str:
    """The format of a file: as given, else by its name, else jsonl."""
    return given or ("csv" if name.lower().endswith(".csv") else "jsonl")


def read_pairs(lines: Iterable[bytes], form: str) -> Iterator[Pair | BadLine]:
    """Every line of a file as a pair or as what is wrong with it; empty lines are skipped."""
    return _read_csv(lines) if form == "csv" else _read_jsonl(lines)


def _read_jsonl(lines: Iterable[bytes]) -> Iterator[Pair | BadLine]:
    decoder = msgspec.json.Decoder()
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            yield _pair_from(number, decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield BadLine(number, f"not JSON: {error}")
        except ValueError as error:
            yield BadLine(number, str(error))


def _pair_from(number: int, document: object) -> Pair:
    if not isinstance(document, dict):
        raise ValueError('expected an object such as {"key": "a", "value": "b"}')
    missing = [name for name in HEADER if name not in document]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing")
    key = document["key"]
    if not isinstance(key, str) and not (isinstance(key, dict) and set(key) == {"b64"}):
        raise ValueError('the key must be text or {"b64": "…"}')
    return Pair(number, bytes_from(key), bytes_from(document["value"]))


def _read_csv(lines: Iterable[bytes]) -> Iterator[Pair | BadLine]:
    csv.field_size_limit(LINE_BYTES_MAX)
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), strict=True)
    began = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadLine(began, f"not CSV: {error}")
            began = reader.line_num + 1
            continue
        if row and not (began == 1 and row == HEADER):
            yield _row_of(began, row)
        began = reader.line_num + 1


def _row_of(number: int, row: list[str]) -> Pair | BadLine:
    if len(row) != len(HEADER):
        return BadLine(number, f"expected 2 cells, key and value, got {len(row)}")
    try:
        key, value = map(bytes_from_csv, row)
    except UnicodeEncodeError:
        return BadLine(number, "not UTF-8")
    except ValueError as error:
        return BadLine(number, f"broken base64: {error}")
    return Pair(number, key, value)


def write_pairs(pairs: Iterable[tuple[bytes, bytes]], form: str) -> Iterator[bytes]:
    """The same file from pairs, in chunks."""
    return _chunked(_csv_rows(pairs) if form == "csv" else _json_lines(pairs))


def _json_lines(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    encode = msgspec.json.encode
    for key, value in pairs:
        yield encode({"key": json_bytes(key), "value": json_bytes(value)}) + b"\n"


def _csv_rows(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    yield csv_row(HEADER)
    for key, value in pairs:
        yield csv_row((csv_bytes(key), csv_bytes(value)))


def _chunked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Many short lines as few writes."""
    waiting, size = [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
