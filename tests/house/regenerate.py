"""Makes kvstore/v1 from proto/: run `python tests/house/regenerate.py` after a change of a .proto file.

The output is committed, so that an installation needs no compiler; `test_generated.py` proves it fresh.
"""

import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
PACKAGE = Path("kvstore", "v1")
INIT = '"""Generated from proto/kvstore/v1 by tests/house/regenerate.py: never edited, never read by people."""\n'


def generate(target: Path) -> None:
    """Write target/kvstore/v1. The import path `kvstore.v1` comes out right because proto/ has the same folders."""
    contracts = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto" / PACKAGE).glob("*.proto"))
    if not contracts:
        raise SystemExit("no .proto file below proto/kvstore/v1")
    wellknown = files("grpc_tools").joinpath("_proto")
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    includes = [f"-I{ROOT / 'proto'}", f"-I{wellknown}"]
    if protoc.main(["protoc", *includes, *outputs, *contracts]) != 0:
        raise SystemExit("protoc refused: its message is above")
    (target / PACKAGE / "__init__.py").write_text(INIT, encoding="utf-8")


def contents(package: Path) -> dict[str, bytes]:
    """Every file of a generated package by name."""
    return {path.name: path.read_bytes() for path in sorted(package.glob("*.py*")) if path.is_file()}


def main() -> None:
    """Replace kvstore/v1 by what proto/ says now; files of a removed .proto go too."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        made = Path(folder) / PACKAGE
        committed = ROOT / PACKAGE
        committed.mkdir(parents=True, exist_ok=True)
        for name in contents(committed).keys() - contents(made).keys():
            (committed / name).unlink()
        for name in contents(made):
            shutil.copyfile(made / name, committed / name)
            print(PACKAGE / name)


if __name__ == "__main__":
    main()
