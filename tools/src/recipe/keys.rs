//! The keys of a recipe, as data: a section refuses to read a key that has no line here, and the reference prints the
//! lines, so that no key can be added without one.

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// The key.
    pub(super) name: &'static str,
    /// The type of its value.
    pub(super) kind: &'static str,
    /// What the value may be; empty where the type says it.
    pub(super) range: &'static str,
    /// The value without the key; empty where the key has to be there.
    pub(super) default: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
}

const fn key(
    name: &'static str,
    kind: &'static str,
    range: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        kind,
        range,
        default,
        meaning,
    }
}

const NUMBER: &str = "number";
const WHOLE: &str = "whole number";
const STRING: &str = "string";
const FLAG: &str = "true or false";
const SECTION: &str = "section";
const BELOW_ONE: &str = "at least 0 and below 1";
const AT_LEAST_ZERO: &str = "at least 0";
const AT_LEAST_ONE: &str = "at least 1";
const ABOVE_ZERO: &str = "above 0";

/// The keys before the first section.
pub(super) const TOP: &[Key] = &[
    key(
        "name",
        STRING,
        "",
        "the file's name",
        "the network's name, which the model file carries",
    ),
    key(
        "input",
        "list of 3 or 1 whole numbers",
        "each from 1 to 32768",
        "",
        "`[channels, height, width]` of a picture, or `[n]` for vectors of n features",
    ),
    key(
        "classes",
        "list of strings",
        "as many as the network has outputs",
        "those of the data set",
        "the classes' names in the order of the outputs",
    ),
    key(
        "layers",
        "list of strings",
        "at least one",
        "",
        "the layers in the order of the data; each says what comes in, as in PyTorch",
    ),
    key(
        "data",
        SECTION,
        "",
        "as its keys",
        "what becomes of the pictures",
    ),
    key(
        "train",
        SECTION,
        "",
        "as its keys",
        "how long to train, on how much at once",
    ),
    key("optimizer", SECTION, "", "SGD", "how weights move"),
    key(
        "schedule",
        SECTION,
        "",
        "none: the learning rate stays as it is",
        "how the learning rate changes on the way",
    ),
    key(
        "quantize",
        SECTION,
        "",
        "none: training is on real numbers alone",
        "lets a trained network get used to 8-bit numbers",
    ),
];

/// `[quantize]`.
pub(super) const QUANTIZE: &[Key] = &[key(
    "momentum",
    NUMBER,
    "above 0 and at most 1",
    "0.01",
    "how far the range of each tensor moves towards the smallest and the largest number of a batch",
)];

/// `[data]`.
pub(super) const DATA: &[Key] = &[
    key(
        "normalize",
        "table of `mean` and `std`",
        "",
        "mean 0, std 1",
        "the network sees `(x / 255 - mean) / std`",
    ),
    key(
        "validation",
        NUMBER,
        BELOW_ONE,
        "0.2",
        "the part of the training samples that validates instead; 0 for none",
    ),
    key(
        "resize",
        "list of 2 whole numbers",
        "each from 1 to 32768",
        "none are resized",
        "`[height, width]` that all pictures are scaled to, as torchvision's Resize does",
    ),
    key(
        "transforms",
        "list of strings",
        "",
        "none",
        "random changes of training pictures, see below",
    ),
];

/// `normalize` in `[data]`.
pub(super) const NORMALIZE: &[Key] = &[
    key(
        "mean",
        "list of numbers",
        "one for each channel, or one for all",
        "",
        "what is subtracted",
    ),
    key(
        "std",
        "list of numbers",
        "one for each channel, or one for all; above 0",
        "",
        "what is divided by",
    ),
];

/// `[train]`.
pub(super) const TRAIN: &[Key] = &[
    key(
        "epochs",
        WHOLE,
        AT_LEAST_ONE,
        "10",
        "passes over the training samples; `--epochs` on the command line goes first",
    ),
    key(
        "seed",
        WHOLE,
        AT_LEAST_ZERO,
        "1",
        "decides first weights, split, order, transforms and dropout; `--seed` goes first",
    ),
    key(
        "batch_size",
        WHOLE,
        "1 to 65536",
        "32",
        "samples of one step",
    ),
    key(
        "loss",
        STRING,
        "`\"CrossEntropyLoss\"` or `\"MSELoss\"`",
        "`\"CrossEntropyLoss\"`",
        "what is lowered: that of classes, or the mean square of the outputs' distances from a target",
    ),
    key(
        "best",
        STRING,
        "`\"loss\"` or `\"accuracy\"`",
        "`\"loss\"`",
        "what makes an epoch the best one, whose network is kept: the lowest validation loss or the highest accuracy",
    ),
    key(
        "early_stop",
        WHOLE,
        AT_LEAST_ONE,
        "never",
        "stop after this many epochs in a row without a better one",
    ),
    key(
        "ema",
        NUMBER,
        BELOW_ONE,
        "none",
        "decay of an exponential moving average of the weights, which validates and is kept instead of them",
    ),
];

/// `[train]` with `loss = "CrossEntropyLoss"`.
pub(super) const CROSS_ENTROPY: &[Key] = &[
    key(
        "class_weights",
        "list of numbers, or `\"balanced\"`",
        "each above 0, one for each class",
        "all 1",
        "how much samples of a class count, as `weight` of CrossEntropyLoss; balanced is `samples / (classes * samples of the class)`",
    ),
    key(
        "label_smoothing",
        NUMBER,
        BELOW_ONE,
        "0",
        "this part of the target is shared by all classes, as in CrossEntropyLoss",
    ),
];

/// `[train]` with `loss = "MSELoss"`.
pub(super) const SQUARED_ERROR: &[Key] = &[key(
    "target",
    STRING,
    "`\"values\"` or `\"input\"`",
    "`\"values\"`",
    "what the outputs ought to be: the data set's numbers (y_train.npy of float32), or the sample itself, for an autoencoder",
)];

/// `[optimizer]`, of every type.
pub(super) const OPTIMIZER: &[Key] = &[
    key(
        "type",
        STRING,
        "`\"SGD\"`, `\"Adam\"` or `\"AdamW\"`",
        "",
        "as in `torch.optim`",
    ),
    key("lr", NUMBER, AT_LEAST_ZERO, "0.001", "the learning rate"),
    key(
        "weight_decay",
        NUMBER,
        AT_LEAST_ZERO,
        "0; 0.01 with AdamW",
        "the L2 penalty; AdamW takes it from the weights themselves, times the learning rate",
    ),
    key(
        "decay_bias",
        FLAG,
        "",
        "true, as in PyTorch",
        "whether `weight_decay` acts on biases and batch normalization too",
    ),
];

/// `[optimizer]` with `type = "SGD"`.
pub(super) const SGD: &[Key] = &[
    key(
        "momentum",
        NUMBER,
        BELOW_ONE,
        "0",
        "how much of the last step goes on",
    ),
    key(
        "nesterov",
        FLAG,
        "true only with a momentum",
        "false",
        "Nesterov's momentum",
    ),
];

/// `[optimizer]` with `type = "Adam"` or `type = "AdamW"`.
pub(super) const ADAM: &[Key] = &[
    key(
        "betas",
        "list of 2 numbers",
        "each at least 0 and below 1",
        "[0.9, 0.999]",
        "decay of the means of gradients and of their squares",
    ),
    key(
        "eps",
        NUMBER,
        AT_LEAST_ZERO,
        "1e-8",
        "added to what is divided by",
    ),
];

/// `[schedule]`, of every type.
pub(super) const SCHEDULE: &[Key] = &[
    key(
        "warmup_epochs",
        WHOLE,
        "at least 0; 0 with OneCycleLR",
        "0",
        "epochs in which the learning rate rises to the curve from near 0, step by step",
    ),
    key(
        "type",
        STRING,
        "`\"StepLR\"`, `\"MultiStepLR\"`, `\"CosineAnnealingLR\"` or `\"OneCycleLR\"`",
        "none",
        "as in `torch.optim.lr_scheduler`",
    ),
];

const GAMMA: Key = key(
    "gamma",
    NUMBER,
    ABOVE_ZERO,
    "0.1",
    "what the learning rate is multiplied by",
);

/// `[schedule]` with `type = "StepLR"`.
pub(super) const STEP: &[Key] = &[
    key(
        "step_size",
        WHOLE,
        AT_LEAST_ONE,
        "",
        "epochs from one change to the next",
    ),
    GAMMA,
];

/// `[schedule]` with `type = "MultiStepLR"`.
pub(super) const MULTI_STEP: &[Key] = &[
    key(
        "milestones",
        "list of whole numbers",
        AT_LEAST_ONE,
        "",
        "how many epochs are over when the learning rate changes",
    ),
    GAMMA,
];

/// `[schedule]` with `type = "CosineAnnealingLR"`.
pub(super) const COSINE: &[Key] = &[
    key(
        "T_max",
        WHOLE,
        AT_LEAST_ONE,
        "all epochs",
        "epochs down to the lowest learning rate, along half a cosine",
    ),
    key(
        "eta_min",
        NUMBER,
        AT_LEAST_ZERO,
        "0",
        "the lowest learning rate",
    ),
];

/// `[schedule]` with `type = "OneCycleLR"`.
pub(super) const ONE_CYCLE: &[Key] = &[
    key(
        "anneal_strategy",
        STRING,
        "`\"cos\"` or `\"linear\"`",
        "`\"cos\"`",
        "half a cosine, or a straight line",
    ),
    key(
        "cycle_momentum",
        FLAG,
        "",
        "true",
        "whether the momentum (of Adam the first beta) goes down and up meanwhile",
    ),
    key(
        "base_momentum",
        NUMBER,
        BELOW_ONE,
        "0.85",
        "the lowest momentum",
    ),
    key(
        "max_momentum",
        NUMBER,
        BELOW_ONE,
        "0.95",
        "the highest momentum",
    ),
    key(
        "max_lr",
        NUMBER,
        ABOVE_ZERO,
        "",
        "the highest learning rate",
    ),
    key(
        "pct_start",
        NUMBER,
        "0 to 1",
        "0.3",
        "the part of all steps in which the learning rate rises",
    ),
    key(
        "div_factor",
        NUMBER,
        ABOVE_ZERO,
        "25",
        "the learning rate begins at `max_lr` divided by this",
    ),
    key(
        "final_div_factor",
        NUMBER,
        ABOVE_ZERO,
        "10000",
        "and ends at its beginning divided by this",
    ),
];
