"""What is known of the networks of `networks/alexnet.py`."""

from .entry import HIDDEN_DROPOUT, IN_CHANNELS, Accuracy, Argument, Entry, Paper, Printed

TWO_GPUS = Paper(
    title="ImageNet Classification with Deep Convolutional Neural Networks",
    authors="A. Krizhevsky, I. Sutskever, G. E. Hinton",
    venue="NIPS",
    year=2012,
    url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
)
ONE_TOWER = Paper(
    title="One weird trick for parallelizing convolutional neural networks",
    authors="A. Krizhevsky",
    venue="arXiv",
    year=2014,
    url="https://arxiv.org/abs/1404.5997",
)
TORCHVISION = "torchvision, weights IMAGENET1K_V1"
GROUPS = Argument(int, 2, "2 as on the paper's two GPUs, 1 to connect all maps of a layer with all of the next", (1, 2))

ENTRIES = {
    "alexnet": Entry(
        module="alexnet", builder="alexnet",
        arguments={"in_channels": IN_CHANNELS, "groups": GROUPS, "dropout": HIDDEN_DROPOUT},
        resolution=227, smallest=67, paper=TWO_GPUS,
        idea="a large network on two GPUs: ReLU, dropout, response normalisation, overlapping pools",
        params=60_965_224, macs=724_406_816,
        printed=Printed(
            "60 M", "720 M",
            "params: abstract; multiply-adds: not in the paper, MobileNet (https://arxiv.org/abs/1704.04861), Table 9",
        ),
        difference=(
            "the paper prints a 224 input; its maps of 55 x 55 need 227; how the 60 M params and the 720 M MACs were "
            "counted is not said"
        ),
        accuracy=Accuracy(
            "59.3", "ImageNet validation (ILSVRC-2012), ten crops of 224 px averaged, one network", "Table 2"
        ),
    ),
    "alexnet_owt": Entry(
        module="alexnet", builder="alexnet_owt", arguments={"in_channels": IN_CHANNELS, "dropout": HIDDEN_DROPOUT},
        resolution=224, smallest=63, paper=ONE_TOWER,
        idea="AlexNet in one tower, without groups and response normalisation",
        params=61_100_840, macs=714_188_480,
        printed=Printed("61,100,840", "0.714 G", TORCHVISION),
        accuracy=Accuracy(
            "56.522", "ImageNet validation, shorter side 256 px, one centre crop of 224, one network", TORCHVISION
        ),
    ),
}  # fmt: skip
