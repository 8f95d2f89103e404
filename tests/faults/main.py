"""Runs rows of the fault matrix (reliability: F1 to F38) on real processes."""

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import api  # noqa: E402
import harness  # noqa: E402
import rows_master  # noqa: E402,F401
import rows_limits  # noqa: E402,F401
import rows_network  # noqa: E402,F401
import rows_store  # noqa: E402,F401
import rows_worker  # noqa: E402,F401
import shows  # noqa: E402


def proto_folder():
    for folder in (harness.base.RUNFILES / "proto", harness.HERE.parent.parent / "proto"):
        if (folder / "reeve/v1/job.proto").exists():
            return folder
    raise SystemExit("the protos are not there")


def main():
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__)
    parser.add_argument("--row", choices=sorted(harness.ROWS), nargs="+", metavar="ROW", help="only these rows")
    parser.add_argument("--rows", action="store_true", help="all rows (the default)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each row, with seeds 1 to N")
    parser.add_argument("--seed", type=int, help="one run with this seed")
    parser.add_argument("--scale", type=float, help="factor for all time constants (default 0.1, with --show 1: real ones)")
    parser.add_argument("--show", choices=[*shows.SHOWS, "all"], help="a long run instead of rows: one item of the list in shows.py")
    parser.add_argument("--size", type=float, default=1, help="with --show: share of its tasks and rounds (default 1: all)")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the clusters")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (what, _) in harness.ROWS.items():
            print(f"{name:8} {what}")
        return 0
    arguments.scale = arguments.scale or (1 if arguments.show else 0.1)
    api.load(proto_folder())
    if arguments.show:
        return shows.main(arguments)
    return harness.main(arguments, None)


if __name__ == "__main__":
    sys.exit(main())
