"""Which of the known formats a text is."""

from chaos.readers import edn_events, jepsen_log, json_lines
from chaos.readers.reading import MalformedHistory, Reading


def read_history(text: str) -> Reading:
    """Read a history in any known format. Raises MalformedHistory. A text without content is a history of nothing."""
    text = text.removeprefix("\ufeff")
    number, line = _first_telling_line(text)
    if not line:
        return Reading("empty file")
    if line.startswith('{"'):
        return json_lines.read(text)
    if line[0] in "[({#":
        return edn_events.read(text)
    if jepsen_log.is_log_line(line):
        return jepsen_log.read(text)
    raise MalformedHistory(number, f"neither a jepsen log, nor EDN, nor JSON lines: {line[:60]!r}")


def _first_telling_line(text: str) -> tuple[int, str]:
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if bare and not bare.startswith(";"):
            return number, bare
    return 1, ""
