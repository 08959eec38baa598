"""The file is found, read and understood, or the message says what is wrong with it."""

from pathlib import Path

import pytest

from kvstore.core.errors import ConfigError
from kvstore.server.config_file import read_config

FILE = """
[node]
id = "n1"
data = "data/n1"
[cluster]
id = "demo"
nodes = [{id = "n1", client = "127.0.0.1:7401", peer = "127.0.0.1:7601", http = "127.0.0.1:7501"}]
"""


def test_data_lies_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "n1.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path.parent)
    config = read_config(Path(tmp_path.name) / "n1.toml")
    assert config.node.data == str(tmp_path.resolve() / "data" / "n1")


def test_an_absolute_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "n1.toml").write_text(FILE.replace("data/n1", str(tmp_path / "elsewhere")))
    assert read_config(tmp_path / "n1.toml").node.data == str(tmp_path / "elsewhere")


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "n1.toml"
    with pytest.raises(ConfigError, match=r"n1\.toml: cannot be read: No such file"):
        read_config(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"n1\.toml: expected UTF-8 text"):
        read_config(file)
    file.write_text(FILE.replace("7401", "no"))
    with pytest.raises(ConfigError, match=r"n1\.toml: cluster\.nodes\[0\]\.client: expected an address"):
        read_config(file)
