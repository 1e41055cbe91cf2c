"""The shape of the house: who may import whom, and where Flask, the database, the clock and floats may be."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path for folder in ("ledger", "projections", "api", "verifier") for path in (ROOT / folder).rglob("*.py")
)
FORBIDDEN = {
    "ledger": {"projections", "api", "verifier", "flask", "marshmallow", "click", "flask_smorest", "gunicorn"},
    "projections": {"api", "verifier", "flask", "marshmallow", "click", "flask_smorest", "gunicorn"},
    "api": {"verifier"},
    "verifier": {"ledger", "projections", "api", "flask", "marshmallow", "click", "msgspec", "psycopg2"},
}
DATABASE_MODULES = {
    "ledger/database.py",
    "ledger/embedded.py",
    "ledger/recorders.py",
    "ledger/restore.py",
    "ledger/roles.py",
    "ledger/sequencer.py",
    "projections/projector.py",
    "projections/terms.py",
    "projections/verification.py",
    "api/access_log.py",
    "api/cli_checkpoints.py",
    "api/cli_database.py",
    "api/commands.py",
    "api/health.py",
    "api/last_uses.py",
    "api/metrics.py",
    "api/problems.py",
    "api/webhook_dispatcher.py",
}
CLOCK_MODULES = {
    "ledger/embedded.py",
    "ledger/embedded_launch.py",
    "ledger/ids.py",
    "ledger/sequencer.py",
    "ledger/store.py",
    "projections/projector.py",
    "projections/rebuild.py",
    "api/rate_limits.py",
    "api/request_log.py",
    "api/transport.py",
    "api/webhook_sender.py",
}
URLLIB3_MODULES = {
    "api/client.py",
    "api/in_process.py",
    "api/oidc_provider.py",
    "api/transport.py",
    "api/webhook_sender.py",
}
EVENTSOURCING_MODULES = {"ledger/recorders.py"}
PURE_MODULES = {
    f"ledger/{name}.py"
    for name in (
        "checks",
        "events",
        "merkle",
        "money",
        "orders",
        "periods",
        "rulebook",
        "rules",
        "statements",
        "timeline",
        "wording",
    )
} | {"projections/credits.py", "projections/alternatives.py", "projections/told.py"}


def name_of(path: Path) -> str:
    """Name a module as the sets above do."""
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Give the modules that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def packages(path: Path) -> set[str]:
    """Give the top-level packages that a module imports."""
    return {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """api imports projections imports ledger; the web stays in api."""
    assert not packages(path) & FORBIDDEN[path.relative_to(ROOT).parts[0]]


def test_the_verifier_uses_the_standard_library_and_cryptography_only() -> None:
    """An auditor need not trust, nor install, anything of the service; and it opens no connection."""
    used = {package for path in MODULES if name_of(path).startswith("verifier/") for package in packages(path)}
    assert used - sys.stdlib_module_names == {"verifier", "cryptography"}
    assert not used & {"socket", "ssl", "urllib", "http", "sqlite3", "subprocess", "pickle"}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("psycopg2", DATABASE_MODULES),
        ("eventsourcing", EVENTSOURCING_MODULES),
        ("time", CLOCK_MODULES),
        ("urllib3", URLLIB3_MODULES),
        ("authlib", {"api/oidc_provider.py"}),
        ("joserfc", {"api/oidc_provider.py"}),
    ],
)
def test_each_package_is_imported_where_it_belongs(package: str, allowed: set[str]) -> None:
    """The database driver, the event-sourcing library and the clock have their places."""
    assert {name_of(path) for path in MODULES if package in packages(path)} <= allowed


def test_the_domain_is_pure() -> None:
    """No database and no clock below the domain's imports from ledger itself."""
    for path in MODULES:
        if name_of(path) in PURE_MODULES:
            own = {module for module in imports(path) if module.startswith("ledger.")}
            assert own <= {name.removesuffix(".py").replace("/", ".") for name in PURE_MODULES} | {"ledger.refusal"}


def test_no_float_in_the_ledger_and_the_projections() -> None:
    """Money is exact: float does not occur, nor a literal with a point."""
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "api":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Name) and node.id == "float"), f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{path}:{node.lineno}"


def test_functions_are_short() -> None:
    """No function is longer than 70 lines."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 70, f"{path}:{node.lineno} {node.name}"
