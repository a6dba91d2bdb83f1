"""The coroutine rules: g++ 12 miscompiles some awaits, and loose coroutines outlive their owners.

Allowed:   co_await f();      auto x = co_await f();      auto [ec, n] = co_await f();
           x = co_await f();  co_return co_await f();     T x(co_await f());
           (void)co_await f();
Forbidden: an await within a condition, an argument list, braces or ?:, followed by an operator or a
           member, or with a braced list in its statement; capturing lambdas that are coroutines;
           `detached`; co_spawn outside the task group and the places that start the loop.
"""

from __future__ import annotations

import re

from tests.lint.sources import Sources, code_only, line_of

MAY_SPAWN = re.compile(
    r"^(base/task_group\.cpp|supervisor/(main|daemon)\.cpp|supervisor/cli/.*|tests/.*|bench/.*"
    r"|examples/.*)$"
)

_AWAIT = re.compile(r"\bco_await\b")
_CONTROL = re.compile(r"(?:else\s+)?(?:if|while|for|switch)\s*(?:constexpr\s*)?(?=\()|else\b|do\b")
_LABEL = re.compile(r"(?:case\b[^;{}?]*?|default\s*|public\s*|private\s*)(?<!:):(?!:)")
_TYPE = r"(?:const\s+)?[\w:]+(?:<[^;=(){}]*>)?(?:\s*[&*]+)?(?:\s+const)?"
_ALLOWED_BEFORE = re.compile(
    rf"(?:co_return|\(void\)|(?:{_TYPE}\s+)?[\w.:>\[\]-]+\s*=|(?:const\s+)?auto\s*&{{0,2}}\s*\[[\w\s,]+\]\s*=)?"
)
_CONSTRUCTED = re.compile(rf"(?!co_|return\b){_TYPE}\s+\w+\s*\(")
_OPERATOR_AFTER = re.compile(r"\?|&&|\|\||[=!]=|(?<=\s)[-+*/%](?=\s)")
_TEMPLATE = re.compile(r"\w<[\w:(>]")  # clang-format sets blanks around a comparison
_LAMBDA = re.compile(
    r"(?<![\w\])])\[(?P<captures>[^\[\]]*)\]\s*(?=\(|\{|mutable|->)", re.DOTALL
)  # not an index, not an attribute


def check(sources: Sources) -> list[str]:
    errors = []
    for path, text in sources.cpp():
        code = code_only(text)
        problems = _awaits(code) + _lambdas(code)
        problems += [
            (match.start(), "a detached coroutine has no owner: spawn it in a TaskGroup")
            for match in re.finditer(r"\bdetached\b", code)
        ]
        if not MAY_SPAWN.match(path):
            problems += [
                (match.start(), "co_spawn is for the task group: TaskGroup::spawn it")
                for match in re.finditer(r"\bco_spawn\s*\(", code)
            ]
        errors += [f"{path}:{line_of(code, at)}: {what}" for at, what in sorted(problems)]
    return errors


def _awaits(code: str) -> list[tuple[int, str]]:
    problems = []
    for match in _AWAIT.finditer(code):
        start = max(code.rfind(mark, 0, match.start()) for mark in ";{}") + 1
        before = _without_control(code[start : match.start()].strip())
        expression, terminator = _expression(code, match.end())
        constructed = _CONSTRUCTED.fullmatch(before) is not None
        if constructed and terminator == ")":
            terminator = _next_mark(code, match.end() + len(expression) + 1)
        elif not _ALLOWED_BEFORE.fullmatch(before):
            problems.append((match.start(), "co_await must stand alone or be a whole initializer"))
            continue
        if terminator != ";" or _has_outer_operator(expression):
            problems.append((match.start(), "co_await may not be part of a larger expression"))
        elif "{" in expression and not _only_lambdas(expression):
            problems.append((match.start(), "a braced list in the statement of a co_await"))
    return problems


def _without_control(text: str) -> str:
    """Leaves out `if (...)`, `else` and labels in front of a statement."""
    while True:
        if label := _LABEL.match(text):
            text = text[label.end() :].strip()
            continue
        control = _CONTROL.match(text)
        if control is None:
            return text
        rest = text[control.end() :]
        end = _matching(rest, 0) if rest.startswith("(") else 0
        if end is None:
            return text  # the await is within the condition itself
        text = rest[end:].strip()


def _expression(code: str, start: int) -> tuple[str, str]:
    """What is awaited, and the mark that ends it: `;`, `,` or an outer expression's bracket."""
    depth = angles = 0
    for at in range(start, len(code)):
        mark = code[at]
        if mark in "([{":
            depth += 1
        elif mark in ")]}" and depth:
            depth -= 1
        elif mark == "<" and _TEMPLATE.match(code, at - 1):
            angles += 1
        elif mark == ">" and angles and code[at - 1] != "-":
            angles -= 1
        elif angles:
            continue
        elif mark in ";,)]}" and not depth:
            return code[start:at], mark
    return code[start:], ""


def _next_mark(code: str, at: int) -> str:
    rest = code[at : at + 200].lstrip()
    return rest[:1]


def _has_outer_operator(expression: str) -> bool:
    flat = []
    depth = 0
    for mark in expression:
        depth -= mark in ")]}"
        flat.append(mark if depth == 0 else "_")
        depth += mark in "([{"
    return _OPERATOR_AFTER.search("".join(flat)) is not None


def _only_lambdas(expression: str) -> bool:
    """Whether each brace opens the body of a lambda (after its parameters or return type)."""
    at = expression.find("{")
    while at != -1:
        if not re.search(r"\](\s*\([^()]*\))?(\s*mutable)?(\s*->[^{;]+)?\s*$", expression[:at]):
            return False
        end = _matching(expression, at)
        if end is None:
            return False
        at = expression.find("{", end)
    return True


def _lambdas(code: str) -> list[tuple[int, str]]:
    problems = []
    for match in _LAMBDA.finditer(code):
        at = match.end()
        if code.startswith("(", at):
            at = _matching(code, at) or len(code)
        body = code.find("{", at)
        if body == -1 or ";" in code[at:body]:
            continue
        end = _matching(code, body) or len(code)
        awaits = re.search(r"\bco_(await|return|yield)\b", _without_lambdas(code[body:end]))
        if match["captures"].strip() and awaits:
            problems.append(
                (match.start(), "a coroutine must not be a lambda with captures: they die with it")
            )
    return problems


def _without_lambdas(body: str) -> str:
    """`body` without the lambdas within it: an await there is theirs."""
    for match in _LAMBDA.finditer(body):
        start = body.find("{", match.end())
        end = _matching(body, start) if start != -1 else None
        if end is not None and ";" not in body[match.end() : start]:
            return body[:start] + _without_lambdas(body[end:])
    return body


def _matching(text: str, start: int) -> int | None:
    """The place after the bracket that closes the one at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += text[at] in "([{"
        depth -= text[at] in ")]}"
        if depth == 0:
            return at + 1
    return None
