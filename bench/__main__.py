"""python -m bench: its subcommands. A subcommand's module is imported when it is called."""

import importlib
import signal
import sys
from types import FrameType

import click

COMMANDS = {
    "load": ("bench.load", "Load a fresh local cluster of kvstore and print what it did."),
    "compare": ("bench.compare", "The same load on kvstore and on a peer, in the same run, with ratios."),
    "anti-entropy": ("bench.anti_entropy", "What leaderless replicas pay to see that they are equal, and to mend."),
    "staleness": ("bench.staleness", "How stale leaderless reads are, beside what the WARS model predicts."),
    "floor": ("bench.floor", "What fsync, LMDB, TCP and gRPC cost on this machine."),
}


class LazyGroup(click.Group):
    """Subcommands by name; each module holds its own as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command), f"{module}.command is no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line each, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How fast kvstore is on this machine, compared with what.

    Exit status: 0 done, 1 a measurement failed, 2 wrong usage or a store that is not installed.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(_signal: int, _frame: FrameType | None) -> None:
    """Leave through every `with`, so that a terminated benchmark stops the stores it started."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main(prog_name="python -m bench")
