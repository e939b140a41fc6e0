"""Photos to classifier: `convwise fit` against the frozen loop that people write today, on 397 photos of ants and bees.

Both train a last layer on EfficientNet-Lite0 with the same published weights at 224 px, and measure it on the 153
photos of `val`; convwise also reads the stray GIF in `train/ants`, which the loop passes over. CPU seconds are user and
system time of the whole process tree, start-up included; the ratio of user time alone is in the JSON line. Cold: an
empty CONVWISE_CACHE. Warm: the same command again, with another output folder.
"""

import sys
import tempfile
from pathlib import Path

import common
from common import CONVWISE, HERE, Cost, Row, child_environment, median

CLAIM = "transfer"
COLD_FLOOR, WARM_FLOOR, TOP1_FLOOR = 12.0, 60.0, 0.94


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--cold-repetitions", type=int, default=3, metavar="N")
    parser.add_argument("--warm-repetitions", type=int, default=5, metavar="N")
    parser.add_argument("--peer-repetitions", type=int, default=1, metavar="N", help="minutes each")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = common.unpack("ants_bees", folder / "data", CLAIM)

        def fit(run: str, cache: str) -> Cost:
            command: list[str | Path] = [*CONVWISE, "fit", data, "--out", folder / run, "--json", "--quiet"]
            return common.run(command, child_environment(CONVWISE_CACHE=folder / cache))

        cold = [fit(f"cold{i}", f"cache{i}") for i in range(args.cold_repetitions)]
        warm = [fit(f"warm{i}", "cache0") for i in range(args.warm_repetitions)]
        loop: list[str | Path] = [sys.executable, HERE / "peers" / "frozen_loop.py", data]
        peer = [common.run(loop, child_environment()) for _ in range(args.peer_repetitions)]
    report(cold, warm, peer)


def report(cold: list[Cost], warm: list[Cost], peer: list[Cost]) -> None:
    runs = {"cold": cold, "warm": warm, "peer": peer}
    cpu, user, wall = (
        {name: median(costs, f"{field}_seconds") for name, costs in runs.items()} for field in ("cpu", "user", "wall")
    )
    n = int(cold[0].result["n"])
    top1 = min(float(cost.result["top1"]) for cost in cold + warm)
    peer_top1 = max(float(cost.result["top1"]) for cost in peer)
    ratio = {name: cpu["peer"] / cpu[name] for name in ("cold", "warm")}
    assert n == peer[0].result["n"]
    alone = {name: user["peer"] / user[name] for name in ("cold", "warm")}

    def shown(name: str) -> str:
        return f"{ratio[name]:.0f}x; user time alone {alone[name]:.0f}x"

    what = "a classifier from the 397 photos of ants and bees"
    rows = [
        Row(
            f"{what}, {name}", f"{cpu[name]:.1f} CPU s", f"{cpu['peer']:.0f} CPU s", shown(name),
            f"{floor:.0f}x", ratio[name] >= floor,
        )
        for name, floor in (("cold", COLD_FLOOR), ("warm", WARM_FLOOR))
    ]  # fmt: skip
    rows.append(
        Row(
            f"its top-1 on the {n} of `val`", f"{100 * top1:.1f} %", f"{100 * peer_top1:.1f} %", "",
            f"{100 * TOP1_FLOOR:.0f} %, and at most one photo fewer",
            top1 >= TOP1_FLOOR and round(n * (peer_top1 - top1)) <= 1,
        )
    )  # fmt: skip
    common.report(
        CLAIM,
        rows,
        ours={
            "cold_cpu_seconds": cpu["cold"], "warm_cpu_seconds": cpu["warm"], "top1": top1,
            "cold_user_seconds": user["cold"], "warm_user_seconds": user["warm"],
            "cold_wall_seconds": wall["cold"], "warm_wall_seconds": wall["warm"],
        },
        peer={
            "cpu_seconds": cpu["peer"], "user_seconds": user["peer"], "wall_seconds": wall["peer"], "top1": peer_top1,
        },
        ratio=ratio
        | {f"{name}_user": value for name, value in alone.items()}
        | {f"{name}_wall": wall["peer"] / wall[name] for name in ("cold", "warm")},
        n=n,
        repetitions={"cold": len(cold), "warm": len(warm), "peer": len(peer)},
    )  # fmt: skip


if __name__ == "__main__":
    main()
