"""Building and counting every network of the casebook: convwise beside fvcore, and why counters disagree.

Both build and count each network in one process, on one thread, after LeNet-5 has warmed both up; the figures are CPU
seconds, medians. fvcore needs weights and computes; convwise sketches the network and computes nothing.

With --reconcile nothing is timed: it prints by how much each counter differs from the multiply-accumulates, after
checking that its own rules explain the difference to the unit.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

import common
from common import Row
from convwise import cost, networks
from peers.counters import COUNTERS, fvcore

CLAIM = "cost"
NAMED = {"vgg16": "VGG-16", "alexnet": "AlexNet", "resnet50": "ResNet-50"}
NAMED_FLOOR, FLOOR = 4.0, 1.0


class Subject(NamedTuple):
    """A network of the reconciliation."""

    title: str
    name: str
    arguments: Mapping[str, object]


RECONCILED = (
    Subject("AlexNet", "alexnet", {}),
    Subject("VGG-16", "vgg16", {}),
    Subject("GoogLeNet", "googlenet", {}),
    Subject("ResNet-50", "resnet50", {}),
    Subject("MobileNetV2", "mobilenet_v2", {}),
    Subject("EfficientNet-B0, padded symmetrically", "efficientnet_b0", {"same": False}),
    Subject("EfficientNet-B0, padded as TensorFlow does", "efficientnet_b0", {}),
)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    parser.add_argument("--reconcile", action="store_true", help="print why counters disagree, in Markdown")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.reconcile:
        reconcile()
    else:
        measure(args.repetitions)


def measure(repetitions: int) -> None:
    for count in (ours, peer):
        count("lenet5")
    names = networks.names()
    convwise, theirs = ({name: seconds(count, name, repetitions) for name in names} for count in (ours, peer))
    report(convwise, theirs, repetitions)


def ours(name: str) -> None:
    with cost.sketch():
        network = networks.create(name)
    cost.analyze(network, networks.input_shape(name))


def peer(name: str) -> None:
    fvcore(networks.create(name).eval(), networks.input_shape(name))


def seconds(count: Callable[[str], None], name: str, repetitions: int) -> float:
    """CPU seconds of all threads, median; garbage of what ran before is not collected at their expense."""
    gc.collect()
    found = []
    for _ in range(repetitions):
        begun = time.process_time()
        count(name)
        found.append(time.process_time() - begun)
    return statistics.median(found)


def report(convwise: Mapping[str, float], theirs: Mapping[str, float], repetitions: int) -> None:
    ratio = {name: theirs[name] / convwise[name] for name in convwise}
    least = min(ratio, key=lambda name: ratio[name])
    total = {"ours": sum(convwise.values()), "peer": sum(theirs.values())}
    rows = [
        row(f"building and counting {title}", convwise[name], theirs[name], NAMED_FLOOR)
        for name, title in NAMED.items()
    ]
    rows.append(row(f"the least ratio of all networks, {least}", convwise[least], theirs[least], FLOOR))
    rows.append(row(f"all {len(ratio)} networks, one after another", total["ours"], total["peer"], FLOOR))
    common.report(
        CLAIM,
        rows,
        ours={"cpu_seconds": dict(convwise), "total_cpu_seconds": total["ours"]},
        peer={"cpu_seconds": dict(theirs), "total_cpu_seconds": total["peer"]},
        ratio=ratio | {"least": ratio[least], "total": total["peer"] / total["ours"]},
        n=len(ratio),
        repetitions={"each": repetitions},
        threads=1,
    )


def row(what: str, convwise: float, theirs: float, floor: float) -> Row:
    ratio = theirs / convwise
    return Row(
        f"{what}; peer: fvcore", shown(convwise), shown(theirs), f"{ratio:.3g}x", f"{floor:g}x", ratio >= floor
    )  # fmt: skip


def shown(cpu_seconds: float) -> str:
    return f"{1000 * cpu_seconds:.3g} CPU ms" if cpu_seconds < 1 else f"{cpu_seconds:.3g} CPU s"


def reconcile() -> None:
    print("| network | MACs |", " | ".join(counter.name for counter in COUNTERS), "|")
    print("|---|" + "---|" * (1 + len(COUNTERS)))
    explained: list[str] = []
    for title, name, arguments in RECONCILED:
        shape = networks.input_shape(name, arguments)
        counted = cost.analyze(networks.create(name, arguments=arguments), shape)
        cells = []
        for counter in COUNTERS:
            found = counter.macs(networks.create(name, arguments=arguments).eval(), shape)
            terms = {rule: count for rule, count in counter.differences(counted).items() if count}
            assert found - counted.macs == sum(terms.values()), f"{counter.name} on {name} is not explained"
            cells.append(f"{100 * (found / counted.macs - 1):+.2f} %")
            sums = "; ".join(f"{rule}: {count:+,}" for rule, count in terms.items()) or "nothing"
            explained.append(f"| {title} | {counter.name} | {found:,} | {sums} |")
        print(f"| {title} | {counted.macs:,} |", " | ".join(cells), "|")
    print("\n| network | counter | counts | and that is the MACs and |\n|---|---|---|---|", *explained, sep="\n")


if __name__ == "__main__":
    main()
