"""The client's document: its example runs, and prints what is printed there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from api.commands import Remote
from tests.service_thread import serving_demo

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_document_says(
    server_url: Callable[[str], str], template: str, tmp_path: Path
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    [expected] = re.findall(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)
    with serving_demo(server_url, template, tmp_path / "signing-key") as demo:
        token = demo.service.token("ingest", "finance")
        environment = {**os.environ, "ORDERLEDGER_URL": demo.url, "ORDERLEDGER_TOKEN": token}
        done = run(example, environment)
        assert done.stdout == expected, done.stdout + done.stderr
        [short] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        assert run(short, environment).returncode == 0


def run(program: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a program as its reader would."""
    words = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def test_the_document_names_what_there_is() -> None:
    """The options and variables of the command line are those of the code."""
    code = "".join((ROOT / "api" / name).read_text(encoding="utf-8") for name in ("cli.py", "commands.py"))
    for name in ("--url", "--token-file", "ORDERLEDGER_URL", "ORDERLEDGER_TOKEN"):
        assert name in DOCUMENT
        assert f'"{name}"' in code
    assert "token" not in Remote.__dataclass_fields__
