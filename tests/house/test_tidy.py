"""House rules that a reader would else have to enforce: nothing left over, nothing swallowed, nothing nameless."""

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("kvstore", "chaos", "bench", "cluster")
MADE_BY_TOOLS = {"__pycache__", "build", "dist", "htmlcov"}
NOT_OURS = {Path("LICENSE"), Path("kvstore", "v1")}
TEXT = {".py", ".md", ".toml", ".sh", ".proto", ".txt", ".json", ".yaml", ".yml", ".cfg", ".ini", ".svg", ""}

# Written in two halves, so that this file passes its own inspection.
LEFTOVERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
MACHINE_PATHS = re.compile(r"(?<![\w./:})-])/(?:work|root|tmp|home|Users)/\w")
DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"}

Wrong = tuple[int, str]  # line number, what is wrong


def is_skipped(path: Path) -> bool:
    return any(path == skipped or skipped in path.parents for skipped in NOT_OURS)


def files(root: Path) -> Iterator[Path]:
    """Every text file of a checkout, relative to it. Walked, not asked of git: an unpacked archive has no git."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(b for b in below if b not in MADE_BY_TOOLS and (b == ".ci" or not b.startswith(".")))
        for name in sorted(names):
            path = (Path(folder) / name).relative_to(root)
            if path.suffix in TEXT and not name.startswith(".venv") and not is_skipped(path):
                yield path


def modules(root: Path) -> Iterator[Path]:
    return (path for path in files(root) if path.suffix == ".py")


def leftovers(text: str) -> Iterator[Wrong]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := LEFTOVERS.search(line):
            yield number, f"{found[0]}: do it or write an issue"


def machine_paths(text: str) -> Iterator[Wrong]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := MACHINE_PATHS.search(line):
            yield number, f"{found[0]}…: a path of one machine"


def catches_everything(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(name, ast.Name) and name.id in ("Exception", "BaseException") for name in caught)


def does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(line, (ast.Pass, ast.Continue))
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in body
    )


def suppresses_everything(call: ast.Call) -> bool:
    return ast.unparse(call.func).endswith("suppress") and any(
        ast.unparse(arg) in ("Exception", "BaseException") for arg in call.args
    )


def swallowed(text: str) -> Iterator[Wrong]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "bare except: say which errors"
            elif catches_everything(node) and does_nothing(node.body):
                yield node.lineno, "every error is swallowed"
        elif isinstance(node, ast.Call) and suppresses_everything(node):
            yield node.lineno, "every error is suppressed"


def drawers(text: str) -> Iterator[Wrong]:
    """Class names with a word that says nothing: what has a subject has a name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            words = {word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", node.name)}
            if words & DRAWERS:
                yield node.lineno, f"class {node.name}: name the thing it is about"


def told(root: Path, paths: Iterator[Path], rule: Callable[[str], Iterator[Wrong]]) -> list[str]:
    """What a rule finds wrong, as file:line: words."""
    return [
        f"{path}:{number}: {wrong}"
        for path in paths
        for number, wrong in rule((root / path).read_text(encoding="utf-8"))
    ]


def silent_modules(root: Path) -> list[str]:
    """Modules of the product without a first docstring line that says what they are for."""
    return [
        str(path)
        for path in modules(root)
        if path.parts[0] in OURS
        and not (ast.get_docstring(ast.parse((root / path).read_text(encoding="utf-8"))) or "").split("\n")[0].strip()
    ]


def drawer_files(root: Path) -> list[str]:
    return [str(path) for path in files(root) if DRAWERS & {part.partition(".")[0].lower() for part in path.parts}]


def test_something_is_inspected() -> None:
    seen = set(files(ROOT))
    assert {Path("pyproject.toml"), Path("tests/run.sh"), Path(".ci/run"), Path("kvstore/core/errors.py")} <= seen
    assert not any(is_skipped(path) or ".venv" in path.parts for path in seen)


def test_nothing_is_left_over() -> None:
    assert told(ROOT, files(ROOT), leftovers) == []


def test_no_paths_of_one_machine() -> None:
    assert told(ROOT, files(ROOT), machine_paths) == []


def test_no_error_is_swallowed() -> None:
    assert told(ROOT, modules(ROOT), swallowed) == []


def test_every_module_says_what_it_is_for() -> None:
    assert silent_modules(ROOT) == []


def test_no_drawers() -> None:
    assert drawer_files(ROOT) == []
    assert told(ROOT, modules(ROOT), drawers) == []


PLANTED = [
    (leftovers, "x = 1  # " + "TO" + "DO later"),
    (leftovers, "# " + "FIX" + "ME"),
    (machine_paths, 'open("' + "/wo" + "rk/main/x" + '")'),
    (machine_paths, "see " + "/tm" + "p/v/bin/python"),
    (swallowed, "try:\n    f()\nexcept:\n    raise\n"),
    (swallowed, "try:\n    f()\nexcept Exception:\n    pass\n"),
    (swallowed, "while 1:\n    try:\n        f()\n    except (OSError, BaseException):\n        continue\n"),
    (swallowed, "try:\n    f()\nexcept Exception:\n    ...\n"),
    (swallowed, "with contextlib.suppress(Exception):\n    f()\n"),
    (drawers, "class RaftManager: ..."),
    (drawers, "class MiscThings: ..."),
]


@pytest.mark.parametrize(("rule", "text"), PLANTED)
def test_planted_dirt_is_found(rule: Callable[[str], Iterator[Wrong]], text: str) -> None:
    assert len(list(rule(text))) == 1


CLEAN = [
    (leftovers, "todo, fixme and methods called xxx in small letters"),
    (machine_paths, "https://example.org/" + "work/main and $HOME/" + "tmp/x and {tmp_path}/" + "work/x"),
    (swallowed, "try:\n    f()\nexcept OSError:\n    pass\n"),
    (swallowed, "try:\n    f()\nexcept Exception as error:\n    log(error)\n"),
    (drawers, "class Commonality: ..."),
]


@pytest.mark.parametrize(("rule", "text"), CLEAN)
def test_clean_lines_pass(rule: Callable[[str], Iterator[Wrong]], text: str) -> None:
    assert list(rule(text)) == []


def test_planted_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "kvstore" / "v1").mkdir(parents=True)
    (tmp_path / "kvstore" / "utils.py").write_text("x = 1\n")
    (tmp_path / "kvstore" / "fine.py").write_text('"""What it is for."""\n')
    (tmp_path / "kvstore" / "v1" / "generated_pb2.py").write_text("x = 1\n")
    assert silent_modules(tmp_path) == drawer_files(tmp_path) == ["kvstore/utils.py"]
