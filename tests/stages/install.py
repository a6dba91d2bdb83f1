"""The install stage: what a user gets from `cmake --install`, used as a user would. Each step counts
as one test."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.stages.running import TOP, run
from tests.stages.tally import Tally


def check_all(build: Path) -> Tally:
    tally = Tally()

    def step(name: str, argv: Sequence[str | Path]) -> bool:
        with tempfile.TemporaryFile() as output:
            ended = run(argv, output=output, timeout=900)
            output.seek(0)
            text = output.read().decode(errors="replace")
        print(f"{name} ... {'ok' if ended == 0 else f'FAILED ({ended})'}", flush=True)
        if ended == 0:
            tally.passes()
        else:
            print(text, flush=True)
            tally.fails(name)
        return ended == 0

    step("each public header compiles alone",
         ["cmake", "--build", build, "--target", "all_verify_interface_header_sets"])  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="supervise-install-") as temporary:
        first, prefix, embed = (Path(temporary) / name for name in ("first", "moved", "embed"))
        if not step("install", ["cmake", "--install", build, "--prefix", first]):
            return tally
        first.rename(prefix)
        step("nothing unexpected is installed", ["test", "-z", _strangers(prefix)])
        step("the installed program starts", [prefix / "bin/supervise", "--version"])
        if step("an embedder finds the package",
                ["cmake", "-S", TOP / "examples/embed", "-B", embed, "-G", "Ninja",
                 "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", f"-DCMAKE_PREFIX_PATH={prefix}"],
                ) and step("an embedder builds", ["cmake", "--build", embed]):  # fmt: skip
            step("an embedder runs a job", [embed / "embed"])
    return tally


def _strangers(prefix: Path) -> str:
    """Installed files that belong to no known folder, as one text."""
    known = ("bin/supervise", "include/supervise/", "share/supervise/python/src/supervise/")
    names = (str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file())
    return " ".join(
        name
        for name in names
        if not (name.startswith(known) and "__pycache__" not in name)
        and not (name.startswith("lib") and name.endswith(("libsupervise.a", ".cmake")))
    )
