"""python -m bench.one CASE PLACE DESCRIPTOR : runs one case and writes its values to the descriptor.

Its module is imported again by every worker that a peer spawns: nothing but this may be at its top.
"""


def main() -> None:
    import json
    import sys

    from bench.case import Case, Place
    from bench.engines import Stage
    from bench.scenarios import load

    case, place = Case.parse(sys.argv[1]), Place(**json.loads(sys.argv[2]))
    with Stage(place) as stage, open(int(sys.argv[3]), "w") as answer:
        try:
            values = load(case.scenario).measure(case, stage)
        except Exception as error:
            # The whole traceback goes to our stderr; the tables want a line.
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answer, flush=True)
            raise
        print(json.dumps({"values": values}), file=answer, flush=True)


if __name__ == "__main__":
    main()
