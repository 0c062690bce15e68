"""The Python that is checked in beside a .proto is what the compiler makes of it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_messages_that_are_checked_in_are_those_that_the_compiler_makes(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="make install brings grpcio-tools")
    proto = "wardround_common/control/control.proto"
    included = f"-I{files('grpc_tools') / '_proto'}"
    out = [f"--{what}_out={tmp_path}" for what in ("python", "pyi", "grpc_python")]
    assert protoc.main(["protoc", included, f"-I{ROOT / 'common'}", *out, proto]) == 0
    made = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.name for path in made] == ["control_pb2.py", "control_pb2.pyi", "control_pb2_grpc.py"]
    for path in made:
        here = ROOT / "common" / path.relative_to(tmp_path)
        assert here.read_text("utf-8") == path.read_text("utf-8"), f"{here.name} is not what 'make protos' makes"
