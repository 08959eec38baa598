"""A reader for EDN, the notation of Clojure's data, as far as histories need it.

nil, true, false, integers, decimals and ratios, strings, characters, keywords and symbols (as strings; a keyword keeps
its colon), vectors and lists (tuples), maps (dicts), sets (frozensets), comments, `#_` discards; tags are dropped and
their value kept. Keys of maps and members of sets are made hashable.
"""

import re
from bisect import bisect_right
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[\s,]|;[^\n]*)+)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<char>\\(?:newline|space|tab|return|formfeed|backspace|u[0-9a-fA-F]{4}|\S))
  | (?P<discard>\#_)
  | (?P<open>\#\{|[\[({])
  | (?P<close>[\])}])
  | (?P<tag>\#[A-Za-z][^\s,;"\[\](){}\\]*)
  | (?P<atom>\#\#\w+|[^\s,;"\[\](){}\\#][^\s,;"\[\](){}\\]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_DEPTH_MAX = 100  # of brackets in brackets
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_INTEGER = re.compile(r"[+-]?\d+N?$")
_RATIO = re.compile(r"[+-]?\d+/\d+$")
_DECIMAL = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?M?$")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CONSTANTS: dict[str, object] = {"nil": None, "null": None, "true": True, "false": False}
_NAMED_CHARS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r", "formfeed": "\f", "backspace": "\b"}


class EdnError(ValueError):
    """The text is not EDN. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(slots=True)
class _Nest:
    """An opened bracket and what was read inside it so far."""

    bracket: str
    offset: int
    items: list[tuple[int, object]] = field(default_factory=list)  # where each began
    discards: int = 0


class Document:
    """All forms of a text, with the line at which each began."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line_ends = [match.start() for match in re.finditer("\n", text)]

    def events(self) -> Iterator[tuple[int, object]]:
        """Line and value of each form at the top; of a vector or list at the top, each of its members."""
        for offset, form in self._forms():
            if isinstance(form, _Members):
                for inner, member in form.located:
                    yield self._line(inner), member
            else:
                yield self._line(offset), form

    def forms(self) -> list[object]:
        """The values at the top."""
        return [tuple(form) if isinstance(form, _Members) else form for _, form in self._forms()]

    def _forms(self) -> list[tuple[int, object]]:
        top = _Nest("", 0)
        nests = [top]
        for kind, token, offset in self._tokens():
            nest = nests[-1]
            if kind == "open":
                if len(nests) > _DEPTH_MAX:
                    raise EdnError(self._line(offset), f"more than {_DEPTH_MAX} brackets inside each other")
                nests.append(_Nest(token, offset))
            elif kind == "close":
                self._close(nests, token, offset)
            elif kind == "discard":
                nest.discards += 1
            elif kind != "tag":
                self._add(nest, offset, self._scalar(kind, token, offset))
        if len(nests) > 1:
            raise EdnError(self._line(nests[-1].offset), f"this {nests[-1].bracket} is never closed")
        return top.items

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        offset = 0
        text = self._text
        while offset < len(text):
            match = _TOKEN.match(text, offset)
            if match is None:
                raise EdnError(self._line(offset), f"cannot read from here: {text[offset : offset + 30]!r}")
            kind = str(match.lastgroup)
            if kind != "space":
                yield kind, match.group(), offset
            offset = match.end()

    def _close(self, nests: list[_Nest], token: str, offset: int) -> None:
        nest = nests[-1]
        if len(nests) == 1 or _CLOSES[nest.bracket] != token:
            raise EdnError(self._line(offset), f"{token} closes nothing")
        nests.pop()
        self._add(nests[-1], nest.offset, self._collection(nest))

    def _add(self, nest: _Nest, offset: int, value: object) -> None:
        if nest.discards:
            nest.discards -= 1
        else:
            nest.items.append((offset, value))

    def _collection(self, nest: _Nest) -> object:
        values = [value for _, value in nest.items]
        if nest.bracket == "{":
            if len(values) % 2:
                raise EdnError(self._line(nest.offset), "a map needs as many values as keys")
            return dict(zip(map(hashable, values[::2]), values[1::2], strict=True))
        if nest.bracket == "#{":
            return frozenset(map(hashable, values))
        return _Members(nest.items)

    def _scalar(self, kind: str, token: str, offset: int) -> object:
        if kind == "string":
            return (
                re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, token[1:-1], flags=re.DOTALL)
                if "\\" in token
                else token[1:-1]
            )
        if kind == "char":
            return _char(token[1:])
        try:
            return _atom(token)
        except (ValueError, ZeroDivisionError) as error:
            raise EdnError(self._line(offset), f"not a number: {token!r}") from error

    def _line(self, offset: int) -> int:
        return bisect_right(self._line_ends, offset - 1) + 1


class _Members(tuple[object, ...]):
    """A vector or list that still knows where its members began."""

    located: list[tuple[int, object]]

    def __new__(cls, located: list[tuple[int, object]]) -> "_Members":
        self = super().__new__(cls, (value for _, value in located))
        self.located = located
        return self


def parse(text: str) -> object:
    """The one value in a text. Raises EdnError."""
    forms = Document(text).forms()
    if len(forms) != 1:
        raise EdnError(1, f"one value expected, {len(forms)} found")
    return forms[0]


def hashable(value: object) -> Hashable:
    """The value with maps as frozensets of pairs, so that it can be a state or a key."""
    if isinstance(value, dict):
        return frozenset((key, hashable(item)) for key, item in value.items())
    if isinstance(value, tuple):
        return tuple(hashable(item) for item in value)
    return value


def _atom(token: str) -> object:
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    if _INTEGER.match(token):
        return int(token.rstrip("N"))
    if _RATIO.match(token):
        return Fraction(token)
    if _DECIMAL.match(token):
        return float(token.rstrip("M"))
    return token


def _char(name: str) -> str:
    if len(name) == 5 and name.startswith("u"):
        return chr(int(name[1:], 16))
    return _NAMED_CHARS.get(name, name)


def _unescaped(match: re.Match[str]) -> str:
    escape = match.group(1)
    return chr(int(escape[1:], 16)) if len(escape) == 5 else _ESCAPES.get(escape, escape)
