"""The script that the supervisor runs: PYTHON _worker_main.py APP [--celery] [--path DIR]...
    [--pool NAME] [--template | --front ARGUMENT...]

A worker, or with --template one that forks workers; with --celery, of a Celery application. With --front
the process that talks to the broker; the arguments are for `celery worker`. The pool's name is for the
process's title.
Loads this very package from its own folder, whatever sys.path has by the same name, and leaves
sys.path to the application: the --path folders, the working directory, then the interpreter's own.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def load_package() -> None:
    import importlib.util

    init = os.path.join(HERE, "__init__.py")
    spec = importlib.util.spec_from_file_location("supervise", init, submodule_search_locations=[HERE])
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["supervise"] = package
    spec.loader.exec_module(package)


def parse(arguments: list) -> tuple:  # type: ignore[type-arg]
    app, paths, pool, template, celery, front, rest = "", [], "", False, False, None, list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--path" and rest:
            paths.append(rest.pop(0))
        elif word == "--pool" and rest:
            pool = rest.pop(0)
        elif word == "--template":
            template = True
        elif word == "--celery":
            celery = True
        elif word == "--front":
            front, rest = rest, []
        elif not app and not word.startswith("-"):
            app = word
        else:
            app = ""
            break
    if not app:
        sys.stderr.write(
            "usage: _worker_main.py APP [--celery] [--path DIR]... [--pool NAME] [--template | --front ...]\n"
        )
        sys.exit(64)
    return app, paths, pool, template, celery, front


def main() -> None:
    app, paths, pool, template, celery, front = parse(sys.argv[1:])
    # Python puts a script's folder first; this one's has modules of the package.
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(HERE):
        del sys.path[0]
    load_package()
    from supervise import _process

    sys.path[:0] = [*paths, os.getcwd()]
    del sys.argv[1:]
    _process.main(app, pool, template, celery, front)


if __name__ == "__main__":
    main()
