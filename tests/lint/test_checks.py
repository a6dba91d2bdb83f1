"""Proves of each check that it can fail, and that it lets through what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lint import coroutines, layers, sizes, words
from tests.lint.sources import Sources, code_only, includes


def messages(
    check: Callable[[Sources], list[str]], path: str, text: str, **others: str
) -> list[str]:
    files = {name.replace("__", "/") + ".hpp": content for name, content in others.items()}
    return check(Sources({**files, path: text}))


# Layers

HEADERS = {
    "base__unique_fd": "",
    "base__include__supervise__clock": "#include <boost/asio/awaitable.hpp>\n",
    "config__load": "",
    "ipc__message": "",
    "supervisor__include__supervise__supervisor": "",
    "supervisor__include__supervise__snapshot": "",
    "supervisor__process__launcher": "",
    "supervisor__pool__pool": "",
    "supervisor__control__http": "",
    "supervisor__cli__cli": "",
    "tests__support__loop": "",
}


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("base/log.cpp", '"config/load.hpp"'),
        ("config/load.cpp", '"ipc/message.hpp"'),
        ("ipc/channel.cpp", '"config/load.hpp"'),
        ("supervisor/process/launcher.cpp", '"supervisor/pool/pool.hpp"'),
        ("supervisor/pool/pool.cpp", '"supervisor/control/http.hpp"'),
        ("supervisor/pool/pool.cpp", '"../control/http.hpp"'),
        ("supervisor/control/http.cpp", '"supervisor/cli/cli.hpp"'),
        ("supervisor/control/http.cpp", '"supervise/supervisor.hpp"'),
        ("ipc/channel.cpp", '"supervise/snapshot.hpp"'),
        ("supervisor/pool/pool.cpp", '"tests/support/loop.hpp"'),
        ("supervisor/pool/pool.cpp", '"no_such_file.hpp"'),
        ("supervisor/pool/pool.cpp", "<toml++/toml.h>"),
        ("base/clock.cpp", "<spdlog/spdlog.h>"),
        ("supervisor/process/launcher.cpp", "<boost/process/v2/process.hpp>"),
        ("supervisor/pool/pool.cpp", "<boost/json.hpp>"),
        ("ipc/channel.cpp", "<boost/beast/http.hpp>"),
        ("supervisor/main.cpp", "<CLI/CLI.hpp>"),
        ("tests/unit/base/log_test.cpp", "<catch2/catch.hpp>"),
        ("supervisor/pool/pool.cpp", "<boost/asio.hpp>"),
        ("config/include/supervise/settings.hpp", "<boost/json.hpp>"),
        ("supervisor/include/supervise/events.hpp", "<boost/asio/steady_timer.hpp>"),
        ("supervisor/pool/recycle_policy.hpp", '"supervise/clock.hpp"'),
        ("supervisor/pool/backoff.cpp", "<boost/asio/steady_timer.hpp>"),
    ],
)
def test_an_include_against_the_layers_is_found(path: str, include: str) -> None:
    assert messages(layers.check, path, f"#include {include}\n", **HEADERS)


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("config/load.cpp", '"base/unique_fd.hpp"'),
        ("config/toml_reader.cpp", "<toml++/toml.h>"),
        ("base/log.cpp", "<spdlog/spdlog.h>"),
        ("supervisor/pool/pool.cpp", '"../process/launcher.hpp"'),
        ("supervisor/pool/pool.cpp", '"supervise/snapshot.hpp"'),
        ("supervisor/pool/pool.cpp", '"supervise/clock.hpp"'),
        ("supervisor/control/http.cpp", '"supervisor/pool/pool.hpp"'),
        ("supervisor/daemon.cpp", '"supervisor/cli/cli.hpp"'),
        ("supervisor/pool/pool.cpp", "<boost/asio/steady_timer.hpp>"),
        ("tests/unit/pool/pool_test.cpp", '"tests/support/loop.hpp"'),
        ("base/include/supervise/x.hpp", "<boost/asio/awaitable.hpp>"),
        ("base/include/supervise/x.hpp", "<sys/types.h>"),
    ],
)
def test_an_include_along_the_layers_is_let_through(path: str, include: str) -> None:
    assert messages(layers.check, path, f"#include {include}\n", **HEADERS) == []


def test_a_layer_error_names_file_and_line() -> None:
    found = messages(layers.check, "base/log.cpp", '\n\n#include "config/load.hpp"\n', **HEADERS)
    assert found[0].startswith("base/log.cpp:3: ")


# Coroutines


@pytest.mark.parametrize(
    "statement",
    [
        "co_await f();",
        "(void)co_await f();",
        "if (x) { co_await f(); }",
        "if (x)\n co_await f();",
        "else { co_await f(); }",
        "case State::idle: co_await f(); break;",
        "auto x = co_await f();",
        "const auto [ec, n] = co_await f(a, b);",
        "const Result<int> x = co_await f<int>();",
        "x_ = co_await f();",
        "worker.state = co_await f();",
        "co_return co_await f();",
        "const auto executor(co_await asio::this_coro::executor);",
        "asio::steady_timer timer(co_await asio::this_coro::executor);",
        "co_await (wait() || clock.sleep_for(d));",
        "co_await f(a ? b : c, d && e, g - h);",
        "co_await f([] { return 1; });",
        "co_await f<const A<>&, void(B)>(x, y);",
        "// if (co_await f()) {}",
        'log("co_await f() ? 1 : 2");',
    ],
)
def test_a_lone_await_is_let_through(statement: str) -> None:
    code = f"asio::awaitable<void> g() {{ before(); {statement} }}"
    assert messages(coroutines.check, "supervisor/pool/x.cpp", code) == []


@pytest.mark.parametrize(
    "statement",
    [
        "if (co_await f()) { }",
        "while ((co_await f()) > 0) { }",
        "g(co_await f());",
        "g(a, co_await f());",
        "const T x(a, co_await f());",
        "const T x(co_await f(), a);",
        "T x{co_await f()};",
        "return T{1, co_await f()};",
        "x = y ? co_await f() : z;",
        "auto x = (co_await f()).value();",
        "auto x = co_await f() + 1;",
        "auto x = co_await f() ? 1 : 2;",
        "bool x = co_await f() && y;",
        "x += co_await f();",
        "co_await f(T{1});",
        "auto x = co_await spawn({1, 2});",
        "for (auto x : co_await f()) { }",
        "switch (co_await f()) { }",
        "co_await f(co_await g());",
    ],
)
def test_an_await_within_an_expression_is_found(statement: str) -> None:
    code = f"asio::awaitable<void> g() {{ before(); {statement} }}"
    assert messages(coroutines.check, "supervisor/pool/x.cpp", code)


@pytest.mark.parametrize(
    "statement",
    [
        "asio::co_spawn(io, f(), asio::detached);",
        "co_spawn(io, f(), done);",
        "auto f = [this]() -> awaitable<void> { co_await g(); };",
        "spawn([&] () -> awaitable<int> { co_return 1; });",
        "spawn([x = std::move(y)](int z) mutable -> awaitable<int> { if (z) { co_return 1; } });",
    ],
)
def test_a_loose_coroutine_is_found(statement: str) -> None:
    assert messages(coroutines.check, "supervisor/pool/x.cpp", f"void g() {{ {statement} }}")


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("base/task_group.cpp", "asio::co_spawn(io, f(), done);"),
        ("supervisor/daemon.cpp", "asio::co_spawn(io, f(), done);"),
        ("tests/unit/pool/x_test.cpp", "asio::co_spawn(io, f(), done);"),
        ("supervisor/pool/x.cpp", "spawn([](Pool& p) -> awaitable<void> { co_await p.run(); });"),
        ("supervisor/pool/x.cpp", "sort(a, [&](int x, int y) { return b[x] < b[y]; });"),
        ("supervisor/pool/x.cpp", "[[maybe_unused]] int a = b[i]; co_await f();"),
        ("supervisor/pool/x.cpp", "auto f = [x] { return [](T t) -> A { co_return t; }; };"),
    ],
)
def test_an_owned_coroutine_is_let_through(path: str, statement: str) -> None:
    assert messages(coroutines.check, path, f"awaitable<void> g() {{ {statement} }}") == []


# Sizes and words


def test_a_file_over_its_limit_is_found() -> None:
    assert messages(sizes.check, "base/x.hpp", "\n" * 151)
    assert messages(sizes.check, "base/x.cpp", "\n" * 401)
    assert messages(sizes.check, "tests/unit/base/x_test.cpp", "\n" * 501)
    assert messages(sizes.check, "python/src/supervise/x.py", "\n" * 401)


def test_a_file_at_its_limit_is_let_through() -> None:
    assert messages(sizes.check, "base/x.hpp", "\n" * 150) == []
    assert messages(sizes.check, "base/x.cpp", "\n" * 400) == []
    assert messages(sizes.check, "tests/unit/base/x_test.cpp", "\n" * 500) == []


@pytest.mark.parametrize(
    "text",
    [
        "cd /wor" + "k/main",
        "cd /ho" + "me/somebody",
        "<<<<<<" + "< HEAD",
    ],
)
def test_a_forbidden_word_is_found(text: str) -> None:
    assert messages(words.check, "docs/x.md", f"fine\n{text}\n")[0].startswith("docs/x.md:2")


def test_ordinary_words_are_let_through() -> None:
    text = "workers/ and a homework, see work/README\n"
    assert messages(words.check, "docs/x.md", text) == []


# What they all stand on


def test_literals_and_comments_are_blanked_in_place() -> None:
    code = "int a = 10'000; // c\nauto s = \"x;y\"; char c = '{'; /* \n */ auto r = R\"(}\")\";"
    blank = code_only(code)
    assert len(blank) == len(code)
    assert blank.count("\n") == code.count("\n")
    assert "10'000" in blank
    assert not set("{}xy") & set(blank)


def test_includes_know_their_line_and_kind() -> None:
    found = includes('#include "a.hpp"\n// #include <no>\n#  include <b/c>\n')
    assert [(i.line, i.name, i.own) for i in found] == [(1, "a.hpp", True), (3, "b/c", False)]


def test_this_repository_has_files_to_check() -> None:
    sources = Sources.of_repository(Path(__file__).resolve().parents[2])
    assert len(list(sources.cpp())) > 10
    assert "tests/lint/test_checks.py" in sources.texts
