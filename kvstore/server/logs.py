"""Structured logs: one line an event, as text for people or JSON for machines, always with the node's name."""

import logging
import sys

import msgspec

from kvstore.node.config import LogConfig


class JsonFormatter(logging.Formatter):
    """{"at", "level", "logger", "node", "message", "error"?}"""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "node": self._node,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def set_up_logs(config: LogConfig, node: str) -> None:
    """Log to stderr, in the configured form and from the configured level."""
    handler = logging.StreamHandler(sys.stderr)
    if config.format == "json":
        handler.setFormatter(JsonFormatter(node))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-7s {node} %(name)s  %(message)s"))
    root = logging.getLogger("kvstore")
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    root.propagate = False
