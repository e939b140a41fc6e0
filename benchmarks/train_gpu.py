"""Training ResNet-50 at 224 px in bfloat16 on a GPU, beside torchvision's as people write it, and beside the card.

The peer is torchvision's ResNet-50 in channels_last under autocast, stepped eagerly with fused SGD, its batch already
on the GPU; ours is the step of `convwise fit` from uint8 pixels in the machine's memory, replayed from a CUDA graph,
with the kernels that give the same bits each time. The card's peak is measured in the same run: an 8192 x 8192 x 8192
product in bfloat16. A training step is counted as three forward passes, two operations a multiply-accumulate.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torchvision
from torch.nn import functional as F

import common
from common import Row
from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.training.batches import Batch, Images, InMemory
from convwise.training.device import reproducible
from convwise.training.loop import normaliser, train_epoch
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State

CLAIM = "train_gpu"
MACS = 4_089_184_256  # ResNet-50 with the stride in the 3x3 convolution, as torchvision's: facts of docs/networks
SIDE = 8192
Step = Callable[[], object]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--batch", type=int, default=256, metavar="N")
    parser.add_argument("--steps", type=int, default=30, metavar="N")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        common.skip(CLAIM, "torch sees no GPU")
    torch.manual_seed(0)
    images = Images(
        torch.randint(0, 256, (args.batch, 224, 224, 3), dtype=torch.uint8),
        torch.randint(0, 1000, (args.batch,)),
        torch.ones(args.batch),
    )
    peak = measure_peak()
    with reproducible("cuda"):
        ours = args.batch / seconds_of(our_step(images), args.steps)
    peer = args.batch / seconds_of(peer_step(images), args.steps)
    share = ours * MACS * 3 * 2 / peak
    rows = [
        Row(
            f"training ResNet-50 at 224 px on one GPU, batch {args.batch}, bfloat16", f"{ours:.0f} images/s",
            f"{peer:.0f} images/s, torchvision", f"{ours / peer:.2f}x",
        ),
        Row(
            "the same, as a share of the GPU's measured peak in matrix products",
            f"{share:.0%} of {peak / 1e12:.0f} TFLOP/s", f"{peer * MACS * 6 / peak:.0%}",
        ),
    ]  # fmt: skip
    common.report(
        CLAIM, rows, ours={"images_per_second": ours, "share_of_peak": share, "peak_flops": peak},
        peer={"images_per_second": peer}, ratio={"images_per_second": ours / peer}, n=args.batch,
        repetitions={"steps": args.steps}, threads=1, device=torch.cuda.get_device_name(),
    )  # fmt: skip


def measure_peak() -> float:
    """Operations a second of a large product."""
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * SIDE**3 / seconds_of(lambda: a @ b, 30)


def our_step(images: Images) -> Step:
    """A step of `convwise fit --device cuda`."""
    recipe = Recipe(batch=len(images.labels), lr=0.01, nesterov=False, warm_up=0.0, schedule="constant")
    setting = Setting(1, "bfloat16", channels_last=True, device="cuda")
    state = State.begin(networks.create("resnet50", arguments={"v1_5": True}), recipe, setting)
    source, normalise = InMemory(images, recipe.batch, 0), normaliser(Preprocessing(), setting)

    def forever() -> Iterator[Batch]:
        while True:
            yield from source.epoch(0, 0)

    running = train_epoch(state, recipe, forever(), 1, normalise)
    return lambda: next(running)


def peer_step(images: Images) -> Step:
    """As people write it."""
    network = torchvision.models.resnet50().cuda().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=5e-4, fused=True)
    x = ((images.pixels.cuda().float() - 127) / 128).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    labels = images.labels.cuda()

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def seconds_of(step: Step, steps: int) -> float:
    """Median of a step, after ten to warm up."""
    for _ in range(10):
        step()
    taken = []
    for _ in range(steps):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        step()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
