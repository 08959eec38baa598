"""The door: `python -m chaos COMMAND`. Each command lives in its own module, loaded only when it is asked for."""

from importlib import import_module

import click

# name -> (module, the click command in it, what help says of it)
COMMANDS = {
    "check": ("chaos.checkers.command", "check", "Judge a recorded history."),
    "mutate": ("chaos.mutations.command", "mutate", "Break safety rules and see who notices."),
    "sim": ("chaos.simulating.command", "sim", "Play bad days in the simulator."),
}


class LateGroup(click.Group):
    """A group that imports a command's module only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command), f"{module}.{name} is not a command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=LateGroup)
def main() -> None:
    """Try to break kvstore, and judge what its clients saw."""


if __name__ == "__main__":
    main(prog_name="python -m chaos")
