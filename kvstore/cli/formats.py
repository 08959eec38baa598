"""How one cell looks: to people, in tab-separated lines, in JSON and in CSV. Bytes are never shown with loss.

In JSON, bytes that are not UTF-8 become `{"b64": "…"}`. CSV has no types, so there the same text stands in the cell,
and a value that really begins with `{"b64":` is written in that form too: what is read back is what was written.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from kvstore.cli.results import Column, Shape
from kvstore.cli.words import ENCODING, ERRORS, escape, printable
from kvstore.core.errors import InvalidRequest

KEY_FORMATS = ("text", "hex", "base64")
OUTPUTS = ("table", "raw", "json", "jsonl", "csv")
_NEEDS_QUOTES = re.compile(r'[,"\r\n]|^\s|\s$')
_B64_BEGINS = '{"b64":'


def key_from(text: str, key_format: str) -> bytes:
    """The key that a word means. Raises InvalidRequest if the word is not in the key format."""
    try:
        if key_format == "hex":
            return bytes.fromhex(text)
        if key_format == "base64":
            return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest(f"{text!r} is not {key_format}, as --key-format {key_format} asks for") from error
    return text.encode(ENCODING, ERRORS)


def key_text(key: bytes, key_format: str) -> str:
    """A key for people."""
    if key_format == "hex":
        return key.hex()
    return base64.b64encode(key).decode() if key_format == "base64" else printable(key)


def json_bytes(data: bytes) -> str | dict[str, str]:
    """Text if it is UTF-8, else {"b64": …}."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def csv_bytes(data: bytes) -> str:
    """The same for a cell without types."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = _B64_BEGINS
    if text.startswith(_B64_BEGINS):
        return _B64_BEGINS + '"' + base64.b64encode(data).decode() + '"}'
    return text


def csv_row(cells: Iterable[str]) -> bytes:
    r"""One line of CSV (RFC 4180, but ended by \n). Python's own writer leaves a lone \r unquoted before 3.13."""
    return (",".join(map(_csv_cell, cells)) + "\n").encode("utf-8", "backslashreplace")


def _csv_cell(text: str) -> str:
    plain = text and not _NEEDS_QUOTES.search(text)
    return text if plain else '"' + text.replace('"', '""') + '"'


def bytes_from(field: Any) -> bytes:
    """The inverse of `json_bytes`; any other JSON stands for its own text. Raises ValueError for broken base64."""
    match field:
        case str():
            return field.encode()
        case {"b64": str(text), **rest} if not rest:
            return base64.b64decode(text, validate=True)
        case _:
            return msgspec.json.encode(field)


def bytes_from_csv(cell: str) -> bytes:
    """The inverse of `csv_bytes`. Raises ValueError for broken base64."""
    return bytes_from(msgspec.json.decode(cell)) if cell.startswith(_B64_BEGINS) else cell.encode()


def for_programs(column: Column, cell: Any, key_format: str) -> Any:
    """A cell as JSON."""
    if cell is None:
        return None
    match column.shape:
        case Shape.KEY:
            return json_bytes(cell) if key_format == "text" else key_text(cell, key_format)
        case Shape.VALUE:
            return json_bytes(cell)
        case Shape.TIME:
            return iso_time(cell)
        case Shape.MILLIS:
            return round(cell, 3)
        case Shape.REPLICAS:
            return list(cell.nodes)
        case _:
            return cell


def for_csv(column: Column, cell: Any, key_format: str) -> str:
    if cell is None:
        return ""
    match column.shape:
        case Shape.KEY if key_format != "text":
            return key_text(cell, key_format)
        case Shape.KEY | Shape.VALUE:
            return csv_bytes(cell)
        case Shape.REPLICAS:
            return " ".join(cell.nodes)
        case _:
            return _plain(for_programs(column, cell, key_format))


def for_lines(column: Column, cell: Any, key_format: str) -> str:
    r"""A cell of a tab-separated line: one line always, and `\t \n \\ \xHH` can be read back."""
    if cell is None:
        return ""
    match column.shape:
        case Shape.KEY if key_format != "text":
            return key_text(cell, key_format)
        case Shape.KEY | Shape.VALUE:
            return escape(cell)
        case Shape.REPLICAS:
            return str(cell)
        case _:
            return _plain(for_programs(column, cell, key_format))


def for_people(column: Column, cell: Any, key_format: str) -> str:
    if cell is None:
        return "-"
    match column.shape:
        case Shape.KEY:
            return key_text(cell, key_format)
        case Shape.VALUE:
            return printable(cell)
        case Shape.NUMBER:
            return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.1f}"
        case Shape.MILLIS:
            return millis(cell)
        case Shape.SIZE:
            return size(cell)
        case Shape.TIME:
            return local_time(cell)
        case _:
            return _plain(cell)


def _plain(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell)


def text_of(data: bytes) -> str:
    """A value on a screen of its own: text keeps its lines; what cannot be shown becomes \\xHH."""
    lines = data.split(b"\n")
    return "\n".join("\t".join(printable(part) for part in line.split(b"\t")) for line in lines)


def millis(value: float) -> str:
    """0.42 ms, 1.9 ms, 12 ms, 1.24 s."""
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def size(value: int) -> str:
    """999 B, 4 KiB, 4.1 MiB, 12 GiB: powers of 1024, two digits."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if amount >= 9.95 or amount == int(amount) else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def span(seconds: float) -> str:
    """4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = round(seconds)
    for big, small, big_name, small_name in ((86400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if whole >= big:
            rest = whole % big // small
            return f"{whole // big} {big_name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def counted(count: int, one: str, many: str = "") -> str:
    """1 key, 2,000 keys."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def iso_time(wall_ms: int) -> str:
    moment = datetime.fromtimestamp(wall_ms // 1000, UTC).replace(microsecond=wall_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_time(wall_ms: int) -> str:
    moment = datetime.fromtimestamp(wall_ms / 1000).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{wall_ms % 1000:03d}"
