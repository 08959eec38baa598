"""`python -m chaos check`: judge a recorded history from a file. The only place in the checkers with a clock.

Exit status: 0 valid, 1 invalid, 3 unknown (the time ran out), 2 the file is no history or the arguments are wrong.
The last line on standard output begins with `valid`, `invalid` or `unknown`.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import BinaryIO, NoReturn

import click

from chaos.checkers.linearizable import by_key
from chaos.checkers.linearizable import check as check_linearizable
from chaos.checkers.model import Model
from chaos.checkers.verdict import Answer, Story, Verdict
from chaos.history import Outcome
from chaos.readers import MalformedHistory, Reading, read_history
from chaos.readers.edn import EdnError, hashable, parse
from chaos.workloads.kv import KvModel
from chaos.workloads.multi_register import MultiRegisterModel
from chaos.workloads.mutex import FREE, HELD, MutexModel
from chaos.workloads.register import RegisterModel

STEPS_MAX = 10_000_000  # bounds memory where somebody asks for hours
_ORDER_SHOWN_MAX = 10  # operations of the longest order: its end is where it hurts
_OTHERS_SHOWN_MAX = 20
_WIDTH_MAX = 160  # characters of one line of the story
_EXIT = {Answer.VALID: 0, Answer.INVALID: 1, Answer.UNKNOWN: 3}
_UNSAID = object()  # no --initial was given


def _register(initial: object, start: Hashable) -> Model:
    return RegisterModel(start if initial is _UNSAID else hashable(initial))


def _kv(initial: object, start: Hashable) -> Model:
    if initial is _UNSAID or initial is None:
        return KvModel()
    return KvModel(initial if isinstance(initial, str) else str(initial))


def _mutex(initial: object, start: Hashable) -> Model:
    if initial not in (_UNSAID, FREE, HELD):
        raise click.BadParameter(f"a mutex starts {FREE} or {HELD}", param_hint="--initial")
    return MutexModel(HELD if initial == HELD else FREE)


def _multi_register(initial: object, start: Hashable) -> Model:
    if isinstance(initial, dict):
        return MultiRegisterModel({register: hashable(value) for register, value in initial.items()}, start)
    return MultiRegisterModel(start_of_others=start if initial is _UNSAID else hashable(initial))


# name -> the model, from what --initial said and from where registers start in the source of the history
MODELS: dict[str, Callable[[object, Hashable], Model]] = {
    "cas-register": _register,
    "kv": _kv,
    "multi-register": _multi_register,
    "mutex": _mutex,
    "register": _register,
}


@click.command()
@click.option("--model", "model_name", required=True, type=click.Choice(sorted(MODELS)), help="What the object is.")
@click.option("--initial", metavar="V", help="The value at the start, as JSON or EDN: nil, 0, '\"a\"', '{:x 0 :y 0}'.")
@click.option("--time-limit", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Seconds to search.")
@click.argument("file", type=click.File("rb"))
def check(model_name: str, initial: str | None, time_limit: float, file: BinaryIO) -> None:
    """Judge the history in FILE (- for standard input): is it linearizable?

    Jepsen logs, EDN events and our own JSON lines are told apart by their content; each is read under the rules of its
    source, which also says where registers start unless --initial does.

    Exit status: 0 valid, 1 invalid, 3 unknown, 2 bad file or arguments.
    """
    name = "standard input" if file is sys.stdin.buffer else str(file.name)
    reading = _read(name, file)
    model = MODELS[model_name](_initial(initial), reading.start)
    _refuse_foreign_operations(name, reading, model)
    for line in _told_reading(name, reading):
        click.echo(line)
    begun = time.monotonic()
    verdict = check_linearizable(
        reading.operations, model, steps_max=STEPS_MAX, out_of_time=lambda: time.monotonic() - begun > time_limit
    )
    click.echo(f"searched for {time.monotonic() - begun:.3f} s, {verdict.steps} steps")
    for line in _told(verdict):
        click.echo(_one_line(line))
    sys.exit(_EXIT[verdict.answer])


def _read(name: str, file: BinaryIO) -> Reading:
    content = file.read()
    try:
        return read_history(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(name, f"line {line}: not UTF-8 text")
    except MalformedHistory as error:
        _refuse(name, str(error))


def _refuse_foreign_operations(name: str, reading: Reading, model: Model) -> None:
    """Find an operation that the model lacks before the search does, and name its line."""
    for operation, line in zip(reading.operations, reading.lines, strict=True):
        try:
            tuple(model.calls([operation]))
        except ValueError as error:
            _refuse(name, f"line {line}: {error}")


def _refuse(name: str, problem: str) -> NoReturn:
    click.echo(f"{name}: {problem}", err=True)
    sys.exit(2)


def _initial(text: str | None) -> object:
    if text is None:
        return _UNSAID
    try:
        return parse(text)
    except EdnError as error:
        raise click.BadParameter(f"not a value: {error}", param_hint="--initial") from error


def _told_reading(name: str, reading: Reading) -> Iterator[str]:
    counts = Counter(operation.outcome for operation in reading.operations)
    outcomes = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)
    keys = len(by_key(reading.operations))
    yield (
        f"read {name} ({reading.source}): {len(reading.operations)} operations ({outcomes}), "
        f"{keys} {'key' if keys == 1 else 'keys'}"
    )
    for note in reading.notes:
        yield f"note: {note}"


def _told(verdict: Verdict) -> Iterator[str]:
    if verdict.story is not None:
        yield from _told_story(verdict.story)
    yield str(verdict)


def _told_story(story: Story) -> Iterator[str]:
    yield "the longest beginning that has an order" + ("" if story.key is None else f", key {story.key!r}") + ":"
    left_out = len(story.placed) - _ORDER_SHOWN_MAX
    if left_out > 0:
        yield f"  … {left_out} operations before"
    yield from (f"  {operation}" for operation in story.placed[-_ORDER_SHOWN_MAX:])
    if story.states:
        yield f"state then: {' or '.join(repr(state) for state in story.states)}"
    yield "open at the same time:" if story.concurrent else "nothing else is open at the same time"
    yield from (f"  {operation}" for operation in story.concurrent[:_OTHERS_SHOWN_MAX])
    if len(story.concurrent) > _OTHERS_SHOWN_MAX:
        yield f"  … and {len(story.concurrent) - _OTHERS_SHOWN_MAX} more"
    yield "returns next, and nothing it could follow gives this answer:"
    yield f"  {story.stuck}"


def _one_line(line: str) -> str:
    """Long values are cut in the middle, so that the verdict stays readable and stays the last line."""
    line = line.replace("\n", "⏎")
    half = _WIDTH_MAX // 2
    return line if len(line) <= _WIDTH_MAX else f"{line[:half]} … {line[-half:]}"
