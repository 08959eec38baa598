"""kvstore node: one node in this process, and the checks that go with it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from kvstore.cli.context import Context, Refused
from kvstore.cli.formats import counted, size
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed, Where
from kvstore.cli.results import Done, Line, Report, Result, Table

DAMAGED = 1
INCLINED = 100
POLLER = "-event_engine_client,-event_engine_listener"
"""What gRPC shall not try out. The loop that it tries to replace costs a node a tenth less CPU for puts that come 64 or
512 at a time, and the same for everything else (grpcio 1.85, 3 nodes on 2 cores)."""
ADVICE = {"ConfigError": "correct the file, then: kvstore node check-config FILE", "Unavailable": ""}
"""A TOML table longer than this does not go on one line."""


def run(context: Context, parsed: Parsed) -> Result:
    os.environ.setdefault(
        "GRPC_EXPERIMENTS", POLLER
    )  # it is read while grpc is being imported, here for the first time
    from kvstore.server.config_file import read_config
    from kvstore.server.main import run as run_node

    if not __debug__:
        raise Refused("a node does not run under python -O: its assertions guard the data", "run it without -O")
    file = parsed.text("config")
    if file is None:
        raise Refused("node run needs --config FILE", "kvstore node show-config prints one to begin with")
    return Result(exit_code=run_node(read_config(file)))


def check_config(context: Context, parsed: Parsed) -> Result:
    from kvstore.server.config_file import read_config

    file = str(parsed.word("file"))
    config = read_config(file)
    whole = f"cluster {config.cluster.id} of {counted(len(config.cluster.nodes), 'node')}"
    says = f"{file} is valid: node {config.node.id} in {whole}"
    return Done(says=says, facts={"file": file, "node": config.node.id, "cluster": config.cluster.id, "valid": True})


def show_config(context: Context, parsed: Parsed) -> Result:
    from kvstore.server.config_file import read_config

    file = parsed.text("file")
    config = read_config(file) if file is not None else _example()
    text = f"# {file}, with every default\n" if file is not None else "# A node alone, with every default\n"
    document = {field.name: _plain(getattr(config, field.name)) for field in fields(config)}
    lines = text + "\n".join(_tables(document))
    return Report(blocks=[Line(line) for line in lines.splitlines()], document=document, raw=lines)


def _example() -> Any:
    from kvstore.node.config import ClusterConfig, ListenConfig, MemberConfig, NodeConfig, SelfConfig

    doors = {"client": "127.0.0.1:7401", "http": "127.0.0.1:7501", "peer": "127.0.0.1:7601"}
    return NodeConfig(
        node=SelfConfig(id="n1", data="./n1"),
        cluster=ClusterConfig(id="example", nodes=(MemberConfig(id="n1", **doors),)),
        listen=ListenConfig(**doors),
    )


def _plain(part: Any) -> Any:
    if is_dataclass(part) and not isinstance(part, type):
        return {field.name: _plain(getattr(part, field.name)) for field in fields(part)}
    return [_plain(item) for item in part] if isinstance(part, tuple | list) else part


def _tables(document: Mapping[str, Any]) -> Iterator[str]:
    """The document as TOML: a table for each part."""
    for name, part in document.items():
        if part is None:
            continue
        yield f"\n[{name}]"
        for key, value in part.items():
            yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        line = "[" + ", ".join(map(_toml, value)) + "]"
        return line if len(line) < INCLINED else "[\n  " + ",\n  ".join(map(_toml, value)) + ",\n]"
    return msgspec.json.encode(value).decode()  # strings, integers and booleans look the same in JSON and TOML


def verify(context: Context, parsed: Parsed) -> Result:
    from kvstore.server.verify import verify_directory

    folder = str(parsed.word("dir"))
    context.note(f"reading every record in {folder} ...")
    found = verify_directory(folder)
    rows = dict(sorted(found.rows.items()))
    manifest = found.manifest
    whose = f"node {manifest.node} of cluster {manifest.cluster}" if manifest is not None else "nobody knows whose"
    tables = ", ".join(f"{count:,} {name}" for name, count in rows.items()) or "no rows"
    findings = [Line(f"  {finding}", "bad") for finding in found.findings]
    if found.omitted:
        findings.append(Line(f"  and {found.omitted:,} more", "bad"))
    verdict = (
        Line("OK: sound", "good")
        if found.is_sound
        else Line(f"{counted(len(found.findings) + found.omitted, 'problem')} found", "bad")
    )
    document = {
        "dir": folder,
        "sound": found.is_sound,
        "size_bytes": found.size_bytes,
        "rows": rows,
        "findings": [{"place": place, "problem": problem} for place, problem in found.findings],
        "omitted": found.omitted,
    }
    blocks: list[Line | Table] = [Line(f"{folder}: {whose}, {size(found.size_bytes)}: {tables}"), *findings, verdict]
    return Report(blocks=blocks, document=document, exit_code=0 if found.is_sound else DAMAGED)


COMMANDS = (
    Command(
        ("node", "run"),
        "run a node in this process, until SIGTERM or Ctrl-C",
        run,
        section="running nodes",
        where=Where.CLI,
        advice=ADVICE,
        options=(Option("config", kind=Kind.FILE, metavar="FILE", help="its configuration (required)"),),
        examples=(Example("node run --config n1.toml"),),
    ),
    Command(
        ("node", "check-config"),
        "check a configuration file",
        check_config,
        section="running nodes",
        where=Where.CLI,
        advice=ADVICE,
        arguments=(Argument("file", Kind.FILE),),
    ),
    Command(
        ("node", "show-config"),
        "print a configuration with every default",
        show_config,
        section="running nodes",
        where=Where.CLI,
        advice=ADVICE,
        arguments=(Argument("file", Kind.FILE, required=False, help="without it: a configuration to begin with"),),
        examples=(Example("node show-config > n1.toml"),),
    ),
    Command(
        ("node", "verify"),
        "read every record of a stopped node's data and check it",
        verify,
        section="running nodes",
        where=Where.CLI,
        advice=ADVICE,
        arguments=(Argument("dir", Kind.FOLDER, metavar="DIR", help="node.data of its configuration"),),
        examples=(Example("node verify ./n1"),),
        about="It changes nothing. The node must not be running.",
    ),
)
