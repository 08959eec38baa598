r"""The words of a shell line: how they are split, quoted and continued, and how bytes are shown.

    line   := word* [ "|" command of the system's shell ]
    word   := bare | "…" with \n \t \r \0 \" \\ \xHH | '…' as it stands | { … } or [ … ] balanced | <<END block
    bare   := anything without a blank; quotes inside it are ordinary characters (it's, a"b)

Quotes count only where a word begins (or right after `--option=`), so that an apostrophe never opens a string. Every
word is bytes: as `str` it is UTF-8 with surrogate escapes, the form in which Python hands over a command line too.
"""

import re
from dataclasses import dataclass, field

ENCODING, ERRORS = "utf-8", "surrogateescape"

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\"}
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_NOT_BARE_AT_START = frozenset("\"'{[<|\\#@-")
_OPTION_THEN_QUOTE = re.compile(r"""--[a-z][a-z-]*=(?=["'])""")
_PIPE = re.compile(r"\|(?=\s|$)")
_BLOCK = re.compile(r"<<([A-Za-z_]\w*)")
_CLOSERS = {"{": "}", "[": "]"}


class Word(str):
    """One word: its bytes as text with surrogate escapes, and whether quotes made it literal."""

    __slots__ = ("quoted",)
    quoted: bool

    def __new__(cls, text: str, quoted: bool = False) -> "Word":
        word = super().__new__(cls, text)
        word.quoted = quoted
        return word

    @property
    def data(self) -> bytes:
        return self.encode(ENCODING, ERRORS)


def word_of(data: bytes, quoted: bool = False) -> Word:
    """Any bytes as a word."""
    return Word(data.decode(ENCODING, ERRORS), quoted)


class Unfinished(Exception):
    """The line goes on: an open quote, bracket or block. `waiting_for` says what would close it."""

    def __init__(self, waiting_for: str) -> None:
        super().__init__(f"the line ends before {waiting_for}")
        self.waiting_for = waiting_for


class Misquoted(ValueError):
    """The line can never become words; the message says why and where."""


@dataclass(slots=True)
class Line:
    """What one line says: words, and perhaps where its raw reply should be piped."""

    words: list[Word] = field(default_factory=list)
    pipe: str | None = None


@dataclass(slots=True)
class _Scanner:
    """A place in a text. It stands before a word, reads it, and stands behind it."""

    text: str
    at: int = 0

    def skip_blanks(self) -> bool:
        """Move to the next word; False at the end of the text."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def word(self) -> Word:
        char = self.text[self.at]
        if char in "\"'":
            return Word(self._quoted(), quoted=True)
        if option := _OPTION_THEN_QUOTE.match(self.text, self.at):
            self.at = option.end()
            return Word(option[0] + self._quoted())
        start = self.at
        if char in _CLOSERS:
            self._pass_brackets()
        while self.at < len(self.text) and not self.text[self.at].isspace():
            self.at += 1
        return Word(self.text[start : self.at])

    def _quoted(self) -> str:
        quote, start = self.text[self.at], self.at
        end = self._closing_quote(quote, start + 1)
        self.at = end + 1
        if self.at < len(self.text) and not self.text[self.at].isspace():
            raise Misquoted(f"a closing {quote} must be followed by a space, not by {self.text[self.at]!r}")
        inside = self.text[start + 1 : end]
        return unescape(inside) if quote == '"' else inside

    def _closing_quote(self, quote: str, at: int) -> int:
        while at < len(self.text):
            if self.text[at] == quote:
                return at
            at += 2 if quote == '"' and self.text[at] == "\\" else 1
        raise Unfinished(f"the closing {quote}")

    def _pass_brackets(self) -> None:
        """Pass over a balanced {…} or […]; strings inside are JSON's, so a brace in them does not count."""
        expected: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at = self._closing_quote('"', self.at + 1)
            elif char in _CLOSERS:
                expected.append(_CLOSERS[char])
            elif char == expected[-1]:
                expected.pop()
            self.at += 1
            if not expected:
                return
        raise Unfinished(f"the closing {expected[-1]}")


def split(text: str) -> Line:
    """The words of a line. Raises Unfinished if it goes on below, Misquoted if it cannot be read.

    >>> [str(word) for word in split("put user:1 'Ada Lovelace'").words]
    ['put', 'user:1', 'Ada Lovelace']
    >>> split("get user:1 | jq .name").pipe
    'jq .name'
    """
    line, scanner = Line(), _Scanner(text)
    while scanner.skip_blanks():
        if (block := _BLOCK.match(text, scanner.at)) and _ends_line(text, block.end()):
            line.words.append(_block(text, block))
            return line
        if _PIPE.match(text, scanner.at):
            line.pipe = text[scanner.at + 1 :].strip()
            return line
        line.words.append(scanner.word())
    return line


def _ends_line(text: str, at: int) -> bool:
    return not text[at:].partition("\n")[0].strip()


def _block(text: str, block: re.Match[str]) -> Word:
    """The lines below `<<END` up to a line that says END, joined by newlines; the last line has none."""
    _, newline, below = text[block.end() :].partition("\n")
    lines = below.split("\n")
    if not newline or block[1] not in lines:
        raise Unfinished(f"a line with {block[1]} alone")
    end = lines.index(block[1])
    if any(line.strip() for line in lines[end + 1 :]):
        raise Misquoted(f"nothing may follow the line {block[1]}")
    return Word("\n".join(lines[:end]), quoted=True)


def unescape(inside: str) -> str:
    """What stands between double quotes, as text with surrogate escapes. Raises Misquoted for an unknown escape."""
    out, at = bytearray(), 0
    while at < len(inside):
        if inside[at] != "\\":
            out += inside[at].encode(ENCODING, ERRORS)
            at += 1
        elif (letter := inside[at + 1 : at + 2]) == "x":
            digits = inside[at + 2 : at + 4]
            if not re.fullmatch("[0-9A-Fa-f]{2}", digits):
                raise Misquoted(f"\\x needs two hexadecimal digits, not {digits!r}")
            out.append(int(digits, 16))
            at += 4
        elif letter in _ESCAPES and letter:
            out += _ESCAPES[letter].encode()
            at += 2
        else:
            raise Misquoted(f"\\{letter} is not an escape; inside \"…\" write \\\\ for a backslash, or use '…'")
    return out.decode(ENCODING, ERRORS)


def quote(data: bytes) -> str:
    """A word that `split` reads back as exactly these bytes: bare if it can be, else in double quotes.

    >>> quote(b"user:1"), quote(b"two words"), quote(b"caf\\xe9")
    ('user:1', '"two words"', '"caf\\\\xe9"')
    """
    text = data.decode(ENCODING, ERRORS)
    if text and text[0] not in _NOT_BARE_AT_START and all(char.isprintable() and char != " " for char in text):
        return text
    return '"' + escape(data, '"') + '"'


def escape(data: bytes, special: str = "") -> str:
    r"""Bytes as one line of text that can be read back: \n, \t, \r, \\ and \xHH for all that cannot be shown.

    >>> escape(b"a\tb\xff")
    'a\\tb\\xff'
    """
    return "".join(_escaped(char, special) for char in data.decode(ENCODING, ERRORS))


def _escaped(char: str, special: str) -> str:
    if char in _SHORT and (char != '"' or char in special):
        return _SHORT[char]
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode(ENCODING, ERRORS))


def printable(data: bytes) -> str:
    r"""Bytes for people: as `escape`, but a backslash stays one, so that JSON looks like JSON."""
    return "".join("\\" if char == "\\" else _escaped(char, "") for char in data.decode(ENCODING, ERRORS))


@dataclass(frozen=True, slots=True)
class Typed:
    """A line that is still being typed: whole words, then the beginning of one more."""

    words: list[Word]
    start: int
    """Where in the text the unfinished word begins."""
    begun: str
    """What of it is there, without its opening quote; empty after a blank."""
    quote: str = ""
    piped: bool = False


def typed(text: str) -> Typed:
    """Take a half-typed line apart; it never raises. For completion and hints."""
    words: list[Word] = []
    scanner = _Scanner(text)
    while scanner.skip_blanks():
        start = scanner.at
        if _PIPE.match(text, start):
            return Typed(words, start, "", piped=True)
        try:
            word = scanner.word()
        except (Unfinished, Misquoted):
            quote = text[start] if text[start] in "\"'" else ""
            return Typed(words, start, text[start + len(quote) :], quote)
        if scanner.at == len(text) and not word.quoted:
            return Typed(words, start, word)
        words.append(word)
    return Typed(words, len(text), "")
