"""Run the benchmarks, all or those named, keep their JSON lines and put the table into README.md.

A line in results.jsonl replaces the older one of the same claim. The table stands between `<!-- measured -->` and
`<!-- /measured -->`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import common
from common import HERE

NAMES = ("transfer", "features", "startup", "cifar10", "doubts", "cost", "augment", "loader", "small_images",
         "train_step", "train_gpu", "fashion_mnist", "ensembles", "cifar10_scratch", "partial", "ladder",
         "ladder_20000", "untuned")  # fmt: skip
SCRIPTS = {  # of names that are not their script's
    "ladder_20000": ("ladder.py", "--images", "20000", "--seeds", "1", "--rung", "head", "--rung", "partial")
}
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
NOTE = (
    "Medians, with start-up, the peer beside convwise on the same machine; the commands find the images through "
    f"{common.DATA_VARIABLE}, the folder of {' and '.join(common.ARCHIVES.values())}."
)
HEADER = ("what", "convwise", "peer", "ratio", "floor", "command")

Record = dict[str, Any]


def main() -> int:
    parser = common.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--table-only", action="store_true", help="measure nothing, rewrite the table")
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl", metavar="FILE")
    parser.add_argument("--readme", type=Path, default=HERE.parent / "README.md", metavar="FILE")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in NAMES]:
        parser.error(f"NAME must be one of {', '.join(NAMES)}, got {', '.join(unknown)}")
    failed = False
    if not args.table_only:
        for name in args.names or NAMES:
            failed |= not measure(name, args.results)
    return write_table(read(args.results), args.readme) or int(failed)


def measure(name: str, results: Path) -> bool:
    """Run one benchmark and keep its line; False when it fails."""
    script, *words = SCRIPTS.get(name, (f"{name}.py",))
    done = subprocess.run([sys.executable, HERE / script, *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{name}.py failed with exit code {done.returncode}\n")
        return False
    line = done.stdout.strip()
    print(line, flush=True)
    record: Record = json.loads(line)
    if "skipped" not in record:
        keep(record, results)
    return True


def keep(record: Record, results: Path) -> None:
    """Put a record in the place of the older one of its claim."""
    records = {older["claim"]: older for older in read(results)} | {record["claim"]: record}
    known = [records[name] for name in NAMES if name in records]
    results.write_text("".join(f"{json.dumps(known_one)}\n" for known_one in known), encoding="utf-8")


def read(results: Path) -> list[Record]:
    """The records kept so far."""
    if not results.is_file():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def write_table(records: list[Record], readme: Path) -> int:
    """Replace what stands between the marks; 1 when they are missing."""
    text = readme.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        sys.stderr.write(f"{readme.name} has no lines {BEGIN} and {END}; add both where the table is to stand\n")
        return 1
    readme.write_text(f"{head}{BEGIN}\n{table(records)}{END}{tail}", encoding="utf-8")
    return 0


def table(records: list[Record]) -> str:
    """The table in Markdown, and a line on each machine that measured."""
    lines = [HEADER, ("---",) * len(HEADER)]
    for record in records:
        for row in record["rows"]:
            floor = row["floor"] + ("" if row["met"] in (True, None) else " (missed)")
            lines.append((*(row[name] for name in HEADER[:4]), floor, f"`{record['command']}`"))
    notes = dict.fromkeys(machine(record) for record in records)  # each once
    loads = ", ".join(f"{record['claim']} {record['load_average'][0]}" for record in records)
    text = [
        *(f"| {' | '.join(cells)} |" for cells in lines),
        "",
        NOTE,
        *notes,
        f"Load of the machine at the end: {loads}.",
    ]
    return "\n".join([*text, ""])


def machine(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"Measured on {record['device']}, {record['cpus']} processors, {record['date']}: {versions}."


if __name__ == "__main__":
    sys.exit(main())
