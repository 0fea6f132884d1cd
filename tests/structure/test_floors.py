"""The shape of the core: what may import what, and how much there is to read."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core" / "src" / "manyhands"

#: From the ground up; a floor imports those before it. Floors in one tuple are at the same height.
FLOORS = [
    ("_log", "_here", "_parking"),
    ("errors",),
    ("options", "hooks"),
    ("protocols",),
    ("future",),
    ("primitives",),
    ("executor",),
    ("registry",),
    ("config",),
    ("backend",),
    ("__init__",),
]
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}

#: Beside the floors; the backend loads them when somebody asks for what is in them.
BESIDE = {"vocabulary", "commands", "std", "contract", "cli", "__main__"}

#: Imports on first use that go up on purpose: the vocabulary derives from the backend.
LOADED_ON_USE = {("backend", "vocabulary"), ("backend", "std")}


def part_of(path: Path) -> str:
    """The floor, or the part beside, that a file belongs to."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def modules(part: str) -> list[Path]:
    """Its files."""
    folder = CORE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [CORE / f"{part}.py"]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The parts of manyhands that a file imports, and whether that happens when it is loaded."""
    package = ("manyhands", *path.relative_to(CORE).parts[:-1])
    tree = ast.parse(path.read_text("utf-8"))
    for top in ast.walk(tree):
        for child in ast.iter_child_nodes(top):
            child.parent = top  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join((*base, *((node.module or "").split(".") if node.module else ())))
            names = [f"{prefix}.{alias.name}" for alias in node.names] if prefix == "manyhands" else [prefix]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("manyhands."):
                yield name.split(".")[1], is_eager(node)


def is_eager(node: ast.AST) -> bool:
    """Whether an import runs when its module is loaded (not in a function, not for type checkers only)."""
    while (node := getattr(node, "parent", None)) is not None:  # type: ignore[assignment]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return False
    return True


@pytest.mark.parametrize("floor", [floor for floor in HEIGHT if floor != "__init__"])
def test_imports_go_down(floor: str) -> None:
    """A floor imports only floors below it, also inside functions."""
    for path in modules(floor):
        for imported, eager in imports(path):
            if imported == floor or (not eager and (floor, imported) in LOADED_ON_USE):
                continue
            # What is for type checkers only may name things above; it is not there at run time.
            if not eager and imported not in BESIDE and _for_types_only(path, imported):
                continue
            assert HEIGHT.get(imported, 99) < HEIGHT[floor], f"{path.relative_to(CORE)} imports {imported}"


def _for_types_only(path: Path, imported: str) -> bool:
    tree = ast.parse(path.read_text("utf-8"))
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    return any(imported in ast.unparse(block) for block in blocks)


def test_every_part_is_known() -> None:
    """A new part of the core has to be given its place here."""
    parts = {part_of(path) for path in CORE.rglob("*.py")}

    assert parts == set(HEIGHT) | BESIDE


def test_plugins_import_public_names_only() -> None:
    """A plugin imports ``manyhands`` and nothing inside it, and no other plugin."""
    for path in (CORE.parents[2] / "plugins").rglob("src/**/*.py"):
        own = path.relative_to(path.parents[len(path.parents) - 1]).parts
        package = own[own.index("src") + 1]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name.split(".")[0].startswith("manyhands") and name != "manyhands":
                    assert name.split(".")[0] == package, f"{path} imports {name}"
            if isinstance(node, ast.ImportFrom) and node.module == "manyhands":
                assert not [alias.name for alias in node.names if alias.name.startswith("_")], path


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, comments and docstrings."""
    text = path.read_text("utf-8")
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node) is not None:  # type: ignore[arg-type]
            first = node.body[0]  # type: ignore[attr-defined]
            docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    idle = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in idle:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_the_core_is_small(capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads the floors in an hour: the figure is printed, and growth has to be decided on here."""
    rows = []
    for floor in HEIGHT:
        paths = modules(floor)
        rows.append((floor, sum(map(code_lines, paths)), sum(len(p.read_text("utf-8").splitlines()) for p in paths)))
    total = sum(code for _, code, _ in rows)
    with capsys.disabled():
        print("\nfloor        code  with docstrings, comments and blank lines")
        for floor, code, lines in rows:
            print(f"{floor:12} {code:4}  {lines}")
        print(f"{'together':12} {total:4}  {sum(lines for _, _, lines in rows)}")

    assert total <= 4_200
