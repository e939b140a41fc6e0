"""How torchvision names the layers of each network, by the file in `convwise.networks`."""

from collections.abc import Sequence

from .naming import Naming, each, numbers

PLACE = {"conv": 0, "norm": 1}  # in their sequence of convolution, batch norm, activation
COUNTED = {"conv": "conv", "norm": "bn"}  # where the two are counted apart
AUX = {"stage3_block1": "aux1", "stage3_block4": "aux2"}  # GoogLeNet's auxiliary heads
AUX_LINEAR = {"3": "fc1", "6": "fc2"}


def alexnet(layers: Sequence[str]) -> dict[str, str]:
    """Their sequence counts activations and pools."""
    places = dict(zip(["0", "1", "2", "3", "4"], [0, 3, 6, 8, 10], strict=True))
    theirs = {f"stages.{stage}.0.conv": f"features.{place}" for stage, place in places.items()}
    theirs |= {"head.2": "classifier.1", "head.5": "classifier.4", "head.8": "classifier.6"}
    return {layer: theirs[layer] for layer in layers if layer in theirs}


def vgg_features(layers: Sequence[str]) -> dict[str, str]:
    """Their one sequence of convolutions, batch norms, activations and pools."""
    theirs: dict[str, str] = {}
    place, last_stage = 0, "0"
    for layer in layers:
        match layer.split("."):
            case ["stages", stage, _, kind]:
                if kind == "conv" and theirs:
                    place += 1 if stage == last_stage else 2  # the activation, and the pool of the stage before
                theirs[layer], last_stage = f"features.{place}", stage
                place += 1
    return theirs


def vgg(layers: Sequence[str]) -> dict[str, str]:
    """The same, and their classifier, which counts activations and dropout."""
    return vgg_features(layers) | {"head.2": "classifier.0", "head.5": "classifier.3", "head.8": "classifier.6"}


def resnet(parts: list[str]) -> str | None:
    """Their layers are counted from 1 in each block."""
    match parts:
        case ["stem", "0", kind]:
            return f"{COUNTED[kind]}1"
        case ["stages", stage, block, "branch", number, kind]:
            return f"layer{int(stage) + 1}.{block}.{COUNTED[kind]}{int(number) + 1}"
        case ["stages", stage, block, "shortcut", kind]:
            return f"layer{int(stage) + 1}.{block}.downsample.{PLACE[kind]}"
        case ["head", _]:
            return "fc"
    return None


def googlenet(parts: list[str]) -> str | None:
    """Their modules have the names of the paper's table."""
    parts = ["bn" if part == "norm" else part for part in parts]
    if "branches" in parts:
        place, inner = parts[:3], parts[parts.index("branches") + 1 :]
        module = f"inception{int(place[1]) + 2}{'abcde'[int(place[2])]}"
        return ".".join([module, f"branch{int(inner[0]) + 1}", *inner[1:]])
    match parts:
        case ["stem", "0", kind]:
            return f"conv1.{kind}"
        case ["stages", "0", "0", number, kind]:
            return f"conv{int(number) + 2}.{kind}"
        case ["aux_heads", cut, "1", kind]:
            return f"{AUX[cut]}.conv.{kind}"
        case ["aux_heads", cut, number]:
            return f"{AUX[cut]}.{AUX_LINEAR[number]}"
        case ["head", _]:
            return "fc"
    return None


def mobilenet_v2(layers: Sequence[str]) -> dict[str, str]:
    """Their blocks are numbered through; a block that does not expand begins with its depthwise layer."""
    theirs, number_of = {"head.3": "classifier.1"}, numbers(layers)
    for layer in layers:
        match layer.split("."):
            case ["stem", kind]:
                theirs[layer] = f"features.0.{PLACE[kind]}"
            case ["stages", stage, block, "branch", part, kind]:
                at = ["expand", "depthwise", "project"].index(part) - (stage == "0")
                inner = f"{at + PLACE[kind]}" if part == "project" else f"{at}.{PLACE[kind]}"
                theirs[layer] = f"features.{number_of[stage, block] + 1}.conv.{inner}"
            case ["stages", stage, block, kind]:
                theirs[layer] = f"features.{number_of[stage, block] + 1}.{PLACE[kind]}"
    return theirs


def efficientnet(parts: list[str]) -> str | None:
    """A block that does not expand begins with its depthwise layer."""
    match parts:
        case ["stem", kind]:
            return f"features.0.{PLACE[kind]}"
        case ["stages", stage, block, "branch", part, *rest]:
            at = ["expand", "depthwise", "gate", "project"].index(part) - (stage == "0")
            inner = {"squeeze": "fc1", "excite": "fc2"}[rest[-1]] if part == "gate" else PLACE[rest[-1]]
            return f"features.{int(stage) + 1}.{block}.block.{at}.{inner}"
        case ["stages", stage, "0", kind]:
            return f"features.{int(stage) + 1}.{PLACE[kind]}"
        case ["head", _]:
            return "classifier.1"
    return None


TORCHVISION = {
    "alexnet": Naming(alexnet),
    "vgg": Naming(vgg),
    "resnet": Naming(each(resnet)),
    "googlenet": Naming(each(googlenet), optional=("aux1.", "aux2.")),
    "mobilenet_v2": Naming(mobilenet_v2),
    "efficientnet": Naming(each(efficientnet)),
}
