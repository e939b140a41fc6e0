"""How the names of EfficientNet-Lite0 in PyTorch ports of the TensorFlow code map onto ours."""

BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # per stage, Table 1 of https://arxiv.org/abs/1905.11946; theirs are numbered through

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def names() -> dict[str, str]:
    """Their name of every tensor -> ours."""
    layers = [("_conv_stem", "_bn0", "stem"), ("_conv_head", "_bn1", f"stages.{len(BLOCKS)}.0")]
    places = [(stage, block) for stage, blocks in enumerate(BLOCKS) for block in range(blocks)]
    for number, (stage, block) in enumerate(places):
        theirs, ours = f"_blocks.{number}", f"stages.{stage}.{block}.branch"
        if number > 0:  # the first block does not expand
            layers.append((f"{theirs}._expand_conv", f"{theirs}._bn0", f"{ours}.expand"))
        layers.append((f"{theirs}._depthwise_conv", f"{theirs}._bn1", f"{ours}.depthwise"))
        layers.append((f"{theirs}._project_conv", f"{theirs}._bn2", f"{ours}.project"))
    table = {"_fc.weight": "head.3.weight", "_fc.bias": "head.3.bias"}
    for conv, norm, ours in layers:
        table[f"{conv}.weight"] = f"{ours}.conv.weight"
        table |= {f"{norm}.{tensor}": f"{ours}.norm.{tensor}" for tensor in BATCH_NORM}
    return table
