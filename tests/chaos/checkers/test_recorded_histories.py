"""Every verdict of the porcupine and knossos sets, and the operations that knossos' own tests blame."""

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.checkers.linearizable import check
from chaos.checkers.model import Model
from chaos.checkers.verdict import Answer
from chaos.readers import Reading, read_history
from chaos.workloads.kv import KvModel
from chaos.workloads.multi_register import MultiRegisterModel
from chaos.workloads.mutex import MutexModel
from chaos.workloads.register import RegisterModel

DATA = Path(__file__).parents[4] / "shared" / "data"
SETS = ("porcupine", "knossos")


def cases() -> list[Any]:
    found: list[Any] = []
    for name in SETS:
        verdicts = DATA / name / "verdicts.json"
        if not verdicts.exists():
            skip = pytest.mark.skip(reason=f"{verdicts} is not on this machine")
            found.append(pytest.param(Path(name), {}, marks=skip, id=name))
            continue
        for file, verdict in json.loads(verdicts.read_text()).items():
            found.append(pytest.param(DATA / name / file, verdict, id=f"{name}/{file}"))
    return found


def model_for(verdict: dict[str, Any], reading: Reading) -> Model:
    match verdict["model"]:
        case "cas-register":
            assert reading.start == verdict["initial"], "the reader knows where its source starts"
            return RegisterModel(reading.start)
        case "kv-put-append-get":
            return KvModel(verdict["initial"])
        case "mutex":
            return MutexModel(verdict["initial"])
        case "multi-register":
            return MultiRegisterModel({f":{name}": value for name, value in verdict["initial"].items()})
    raise AssertionError(f"a model we do not have: {verdict['model']}")


@pytest.mark.parametrize(("file", "verdict"), cases())
def test_verdict(file: Path, verdict: dict[str, Any]) -> None:
    """None of them needs to be unknown, not even those listed as hard; the bound is a tenth of the usual one."""
    reading = read_history(file.read_text())
    expected = Answer.VALID if verdict["expected"] else Answer.INVALID
    assert check(reading.operations, model_for(verdict, reading), steps_max=200_000).answer is expected


@pytest.mark.parametrize(
    ("file", "event"),
    (("rethink-fail-minimal.edn", 4), ("bad-analysis.edn", 14), ("immediate-failure.edn", 3)),
)
def test_the_blamed_operation_is_the_one_the_source_blames(file: str, event: int) -> None:
    """Asserted by knossos' wgl_test.clj as an index of the history; our times count events from 1."""
    path = DATA / "knossos" / "cas-register" / file
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    reading = read_history(path.read_text())
    story = check(reading.operations, RegisterModel(0)).story
    assert story is not None and story.stuck.returned_at == event + 1
