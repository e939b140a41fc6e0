"""What other libraries call the fields of a recipe."""

OTHER_WORDS = {
    "learning_rate": "lr", "base_lr": "lr", "max_lr": "lr", "lr0": "lr", "batch_size": "batch", "bs": "batch",
    "batchsize": "batch", "num_epochs": "epochs", "n_epochs": "epochs", "max_epochs": "epochs", "wd": "weight_decay",
    "l2": "weight_decay", "momentum_factor": "momentum", "opt": "optimizer", "optim": "optimizer",
    "scheduler": "schedule", "lr_scheduler": "schedule", "warmup": "warm_up", "warmup_epochs": "warm_up",
    "warmup_steps": "warm_up", "smoothing": "label_smoothing", "grad_clip": "clip", "clip_grad": "clip",
    "max_grad_norm": "clip", "gradient_accumulation_steps": "accumulate", "accumulation_steps": "accumulate",
    "early_stopping": "patience", "early_stopping_patience": "patience", "ema_decay": "ema", "milestones": "drops",
    "eps": "epsilon", "class_weights": "balance", "random_seed": "seed", "random_state": "seed", "amp": "precision",
    "dtype": "precision", "augment": "augmentation", "transforms": "augmentation", "max_seconds": "time_limit",
}  # fmt: skip
