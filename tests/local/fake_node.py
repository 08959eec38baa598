"""Stands in for a node: answers /readyz and /api/v1/status, goes on SIGTERM, misbehaves when told to.

    python fake_node.py FOLDER/n2/node.toml

A file `order` in the node's data folder tells it what to do: `die` at once, `linger` on SIGTERM, be
`mute` (never ready), `complain`.
"""

import json
import signal
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from kvstore.node.config import parse_config

FILE = Path(sys.argv[1])
CONFIG = parse_config(FILE.read_text(), str(FILE))
DATA = FILE.parent / CONFIG.node.data
DATA.mkdir(exist_ok=True)
ORDER = (DATA / "order").read_text().strip() if (DATA / "order").exists() else ""


class Door(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = self.path != "/readyz" or ORDER != "mute"
        facts = {"node": CONFIG.node.id, "runs": len((DATA / "runs").read_text()), "leads": 1, "replicas": 8}
        facts["problems"] = ["the clock is off"] if ORDER == "complain" else []
        body = json.dumps(facts).encode() if ready else b"not ready: mute by order"
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


def go(*_: object) -> None:
    if ORDER != "linger":
        (DATA / "clean").touch()
        raise SystemExit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, go)
    print("node", CONFIG.node.id, "begins", tomllib.loads(FILE.read_text())["cluster"]["id"])
    if ORDER == "die":
        raise SystemExit("nothing goes without a reason")
    with (DATA / "runs").open("a") as runs:
        runs.write(".")
    assert CONFIG.listen is not None
    host, _, port = CONFIG.listen.http.partition(":")
    HTTPServer((host, int(port)), Door).serve_forever()


if __name__ == "__main__":
    main()
