"""Imports point down only (DESIGN, "Rooms")."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {  # room: the rooms of `bot` it may import
    "errors": set(),
    "settings": {"errors"},
    "crisis": {"errors", "crisis"},
    "content": {"errors", "content"},
    "store": {"errors", "settings", "store"},
    "desk": {"errors", "settings", "crisis", "content", "store", "desk"},
    "channels": {"errors", "settings", "crisis", "content", "store", "desk", "channels"},
    "console": {"errors", "settings", "crisis", "content", "store", "desk", "console"},
    "assistant": {"assistant"},
}
PURE = ("crisis", "content")
IMPURE = ("fastapi", "starlette", "sqlalchemy", "httpx", "aiohttp", "uvicorn", "requests", "socket", "subprocess")


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(room: str) -> list[Path]:
    folder = ROOT / "bot" / room
    return sorted(folder.rglob("*.py")) or sorted((ROOT / "bot").glob(f"{room}.py"))


@pytest.mark.parametrize("room", LAYERS)
def test_imports_point_down(room: str) -> None:
    for path in files_of(room):
        rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("bot.")}
        assert rooms <= LAYERS[room], f"{path.relative_to(ROOT)} imports {rooms - LAYERS[room]}"


@pytest.mark.parametrize("room", PURE)
def test_the_guard_and_the_library_reach_nothing_outside(room: str) -> None:
    for path in files_of(room):
        if "training" in path.parts:
            continue
        found = {name for name in imports_of(path) if name.split(".")[0] in IMPURE}
        assert not found, f"{path.relative_to(ROOT)} imports {found}"
        assert "os.environ" not in path.read_text()


def test_assistant_and_actions_import_nothing_of_bot() -> None:
    for path in [*files_of("assistant"), *(ROOT / "actions").glob("*.py")]:
        rooms = {name for name in imports_of(path) if name.split(".")[0] == "bot"}
        assert all(name.startswith("bot.assistant") for name in rooms), f"{path.name} imports {rooms}"
