"""Reads a node's configuration file; what it may say is in kvstore/node/config.py."""

from dataclasses import replace
from pathlib import Path

from kvstore.core.errors import ConfigError
from kvstore.node.config import NodeConfig, parse_config


def read_config(path: str | Path) -> NodeConfig:
    """The configuration in a file; `node.data` is made absolute, from the folder of the file. Raises ConfigError."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: expected UTF-8 text, got other bytes at {error.start}") from error
    config = parse_config(text, str(file))
    data = (file.absolute().parent / config.node.data).resolve()
    return replace(config, node=replace(config.node, data=str(data)))
