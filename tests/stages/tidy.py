"""clang-tidy over the product's sources, two at a time. A file that was clean is not looked at again
until it, a header of ours that it includes, its compile command or the profile changes."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.lint.sources import Sources
from tests.stages.running import BUILD, TOP, in_parallel, run

CLEAN = BUILD / "tidy-clean"  # one empty file for each clean state, named by its hash


def check(sources: Sources) -> tuple[int, list[str]]:
    """How many files were checked (cached ones too), and what was found."""
    with tempfile.TemporaryFile() as output:
        if run(["cmake", "--preset", "lint"], output=output) != 0:
            output.seek(0)
            return 0, ["cmake --preset lint failed", output.read().decode(errors="replace")]
    CLEAN.mkdir(parents=True, exist_ok=True)
    commands = json.loads((BUILD / "lint/compile_commands.json").read_text())
    profile = (TOP / ".clang-tidy").read_text() + _version()

    def one(command: dict[str, str]) -> str:
        path = str(Path(command["file"]).relative_to(TOP))
        state = hashlib.sha256((profile + command["command"]).encode())
        for part in sources.closure(path):
            state.update(sources.texts[part].encode())
        stamp = CLEAN / state.hexdigest()
        if stamp.exists():
            return ""
        with tempfile.TemporaryFile() as output:
            status = run(["clang-tidy", "-p", BUILD / "lint", "--quiet", path], output=output)
            output.seek(0)
            found = output.read().decode(errors="replace")
        if status == 0:
            stamp.touch()
            return ""
        errors = [line.replace(f"{TOP}/", "") for line in found.splitlines() if ": error: " in line]
        return "\n".join(errors) or f"{path}: clang-tidy ended with {status}\n{found}"

    wanted = [command for command in commands if _is_product(command["file"], sources)]
    found = [line for text in in_parallel(one, wanted) for line in text.splitlines()]
    return len(wanted), list(dict.fromkeys(found))  # a header's error once, not once a user


def _is_product(file: str, sources: Sources) -> bool:
    """Tests are left out: Catch2's macros cost much and are not ours."""
    path = Path(file)
    if not path.is_relative_to(TOP):
        return False
    name = str(path.relative_to(TOP))
    return name in sources.texts and not name.startswith("tests/")


def _version() -> str:
    return subprocess.run(
        shlex.split("clang-tidy --version"), check=True, capture_output=True, text=True
    ).stdout
