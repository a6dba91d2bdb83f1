"""The workers' side: one job indexes one Python file. All that it is given is the ID of a row."""

import ast
import functools
import os
import sqlite3
import tokenize

import supervise

POOL = os.environ["INDEX_POOL"]
database: sqlite3.Connection


@supervise.after_fork
def connect() -> None:
    """In each worker, before its first job: a connection that is opened at the import would be shared
    by all that are forked off the template."""
    global database
    database = sqlite3.connect(os.environ["INDEX_DATABASE"], timeout=60, isolation_level=None)
    database.execute("PRAGMA synchronous = NORMAL")


@functools.cache
def parse(path: str) -> ast.Module:
    """Files import each other, so trees are kept. Nobody bounded this cache: such is the code that
    makes a worker grow, and that recycling keeps in check."""
    with tokenize.open(path) as source:
        return ast.parse(source.read(), path)


@supervise.task(time_limit=60, retries=2)
def index_file(file_id: int) -> int:
    """Stores the names that a file defines and its counts; returns how many names there are."""
    path, root = database.execute("SELECT path, root FROM file WHERE id = ?", (file_id,)).fetchone()
    with open(path, "rb") as source:
        tokens = sum(1 for _ in tokenize.tokenize(source.readline))
    names = [
        (POOL, file_id, node.name, node.lineno)
        for node in ast.walk(parse(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]
    imports = count_known_imports(path, root)
    # A job may run again after its worker died, so it replaces what an earlier attempt wrote.
    database.execute("BEGIN IMMEDIATE")
    database.execute("DELETE FROM name WHERE pool = ? AND file = ?", (POOL, file_id))
    database.executemany("INSERT INTO name VALUES (?, ?, ?, ?)", names)
    database.execute(
        "INSERT OR REPLACE INTO count VALUES (?, ?, ?, ?, ?)",
        (POOL, file_id, tokens, len(names), imports),
    )
    database.execute("COMMIT")
    return len(names)


def count_known_imports(path: str, root: str) -> int:
    """How many names the file imports from modules of the library that define them."""
    known = 0
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            module = os.path.join(root, *node.module.split(".")) + ".py"
            if os.path.exists(module):
                defined = {getattr(item, "name", None) for item in parse(module).body}
                known += sum(alias.name in defined for alias in node.names)
    return known
