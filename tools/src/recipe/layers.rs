//! The layers there are, those of PyTorch that there are not, and what to say of a name that is neither.

use super::function::{Function, INPLACE, required, with_default};

const CONVOLUTIONS: &str = "convolutions";
const POOLS: &str = "pools";
const ACTIVATIONS: &str = "activations";
const NORMALIZATIONS: &str = "normalizations";
const DROPOUTS: &str = "dropout layers";
const SHAPES: &str = "layers that change the shape";
const LINEAR: &str = "linear layers";

/// The layers there are, with their parameters in PyTorch's order.
pub(super) const LAYERS: &[Function] = &[
    Function {
        name: "Conv2d",
        kind: CONVOLUTIONS,
        parameters: &[
            required("in_channels", "whole number; the channels that come in"),
            required(
                "out_channels",
                "whole number of at least 1; the channels that go out",
            ),
            required(
                "kernel_size",
                "number or (height, width), at least 1; the window",
            ),
            with_default(
                "stride",
                "1",
                "number or (height, width), at least 1; the window's step",
            ),
            with_default(
                "padding",
                "0",
                "number, (height, width), 'valid' (none), or 'same' (as much as keeps the size; stride 1 only); zeros on each side",
            ),
            with_default(
                "dilation",
                "1",
                "number or (height, width), at least 1; distance of neighbouring taps",
            ),
            with_default(
                "groups",
                "1",
                "whole number that divides both channel counts; each group reads its own channels, so in_channels groups are a depthwise convolution",
            ),
            with_default(
                "bias",
                "True",
                "True or False; a number is added to each channel",
            ),
            with_default("padding_mode", "'zeros'", "only 'zeros'"),
        ],
        meaning: "slides a window of weights over the picture",
        output: "out_channels x h x w, where h = (height + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1, rounded down; w likewise",
        example: &["Conv2d(3, 16, 3, padding=1)"],
    },
    Function {
        name: "MaxPool2d",
        kind: POOLS,
        parameters: &[
            required(
                "kernel_size",
                "number or (height, width), at least 1; the window",
            ),
            with_default(
                "stride",
                "None",
                "number or (height, width), at least 1; None is kernel_size",
            ),
            with_default(
                "padding",
                "0",
                "number or (height, width), at most half of kernel_size; what lies there is never the largest",
            ),
            with_default(
                "dilation",
                "1",
                "number or (height, width), at least 1; distance of neighbouring taps",
            ),
            with_default("return_indices", "False", "only False"),
            with_default(
                "ceil_mode",
                "False",
                "True or False; whether the size is rounded up",
            ),
        ],
        meaning: "takes the largest value of each window",
        output: "channels x h x w, with the formula of Conv2d",
        example: &["MaxPool2d(2, 2)"],
    },
    Function {
        name: "AvgPool2d",
        kind: POOLS,
        parameters: &[
            required(
                "kernel_size",
                "number or (height, width), at least 1; the window",
            ),
            with_default(
                "stride",
                "None",
                "number or (height, width), at least 1; None is kernel_size",
            ),
            with_default(
                "padding",
                "0",
                "number or (height, width), at most half of kernel_size; zeros on each side",
            ),
            with_default(
                "ceil_mode",
                "False",
                "True or False; whether the size is rounded up",
            ),
            with_default(
                "count_include_pad",
                "True",
                "True or False; whether the zeros of the padding count",
            ),
            with_default("divisor_override", "None", "only None"),
        ],
        meaning: "takes the mean of each window",
        output: "channels x h x w, with the formula of Conv2d without dilation",
        example: &["AvgPool2d(4)"],
    },
    Function {
        name: "AdaptiveAvgPool2d",
        kind: POOLS,
        parameters: &[required(
            "output_size",
            "number or (height, width), at least 1, or None for the input's; it must divide the input's",
        )],
        meaning: "takes the mean of as many equal windows as it is to have outputs",
        output: "channels x output_size",
        example: &["AdaptiveAvgPool2d(1)"],
    },
    Function {
        name: "ReLU",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "sets negative values to 0",
        output: "as its input",
        example: &["ReLU()"],
    },
    Function {
        name: "ReLU6",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "limits values to 0 to 6",
        output: "as its input",
        example: &["ReLU6()"],
    },
    Function {
        name: "LeakyReLU",
        kind: ACTIVATIONS,
        parameters: &[
            with_default(
                "negative_slope",
                "0.01",
                "number; the factor of negative values",
            ),
            INPLACE,
        ],
        meaning: "multiplies negative values by a small factor",
        output: "as its input",
        example: &["LeakyReLU(0.2)"],
    },
    Function {
        name: "Sigmoid",
        kind: ACTIVATIONS,
        parameters: &[],
        meaning: "computes 1 / (1 + exp(-x))",
        output: "as its input",
        example: &["Sigmoid()"],
    },
    Function {
        name: "Tanh",
        kind: ACTIVATIONS,
        parameters: &[],
        meaning: "computes the hyperbolic tangent",
        output: "as its input",
        example: &["Tanh()"],
    },
    Function {
        name: "ELU",
        kind: ACTIVATIONS,
        parameters: &[
            with_default(
                "alpha",
                "1.0",
                "at least 0; what it tends to for small values, negated",
            ),
            INPLACE,
        ],
        meaning: "turns negative values into alpha (exp(x) - 1)",
        output: "as its input",
        example: &["ELU()"],
    },
    Function {
        name: "SELU",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "is an ELU with the alpha and the factor that keep mean and variance from layer to layer",
        output: "as its input",
        example: &["SELU()"],
    },
    Function {
        name: "Softplus",
        kind: ACTIVATIONS,
        parameters: &[
            with_default("beta", "1", "only 1"),
            with_default("threshold", "20", "only 20"),
        ],
        meaning: "computes ln(1 + exp(x)), a ReLU without a kink",
        output: "as its input",
        example: &["Softplus()"],
    },
    Function {
        name: "Softsign",
        kind: ACTIVATIONS,
        parameters: &[],
        meaning: "computes x / (1 + |x|)",
        output: "as its input",
        example: &["Softsign()"],
    },
    Function {
        name: "GELU",
        kind: ACTIVATIONS,
        parameters: &[with_default(
            "approximate",
            "'none'",
            "'none', or 'tanh' for the approximation with it",
        )],
        meaning: "multiplies by the part of a normal distribution that lies below x",
        output: "as its input",
        example: &["GELU()"],
    },
    Function {
        name: "SiLU",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "computes x / (1 + exp(-x)), elsewhere called swish",
        output: "as its input",
        example: &["SiLU()"],
    },
    Function {
        name: "Mish",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "computes x tanh(ln(1 + exp(x)))",
        output: "as its input",
        example: &["Mish()"],
    },
    Function {
        name: "Hardswish",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "computes x times Hardsigmoid of x: SiLU of straight lines, for small processors",
        output: "as its input",
        example: &["Hardswish()"],
    },
    Function {
        name: "Hardsigmoid",
        kind: ACTIVATIONS,
        parameters: &[INPLACE],
        meaning: "computes x / 6 + 1 / 2 limited to 0 and 1",
        output: "as its input",
        example: &["Hardsigmoid()"],
    },
    Function {
        name: "Hardtanh",
        kind: ACTIVATIONS,
        parameters: &[
            with_default(
                "min_val",
                "-1.0",
                "number below max_val; the smallest value",
            ),
            with_default("max_val", "1.0", "number; the largest value"),
            INPLACE,
        ],
        meaning: "limits values",
        output: "as its input",
        example: &["Hardtanh(0.0, 4.0)"],
    },
    Function {
        name: "Softmax",
        kind: ACTIVATIONS,
        parameters: &[with_default(
            "dim",
            "None",
            "1 (the channels; -1 behind Flatten(), -3 before it); None is 1",
        )],
        meaning: "makes probabilities of logits; the loss is taken before it, so a classifier need not end in it",
        output: "as its input",
        example: &["Flatten()", "Softmax(dim=1)"],
    },
    Function {
        name: "BatchNorm2d",
        kind: NORMALIZATIONS,
        parameters: &[
            required("num_features", "whole number; the channels that come in"),
            with_default("eps", "1e-05", "above 0; added to the variance"),
            with_default(
                "momentum",
                "0.1",
                "above 0 and at most 1; weight of the newest batch in the running statistics",
            ),
            with_default("affine", "True", "only True"),
            with_default("track_running_stats", "True", "only True"),
        ],
        meaning: "brings each channel to mean 0 and variance 1, then to a learned mean and variance; an exported model has it folded into the convolution before it",
        output: "as its input",
        example: &["BatchNorm2d(3)"],
    },
    Function {
        name: "Dropout",
        kind: DROPOUTS,
        parameters: &[
            with_default(
                "p",
                "0.5",
                "at least 0 and below 1; the probability of each value",
            ),
            INPLACE,
        ],
        meaning: "sets values to 0 at random while training",
        output: "as its input",
        example: &["Dropout(0.25)"],
    },
    Function {
        name: "Dropout2d",
        kind: DROPOUTS,
        parameters: &[
            with_default(
                "p",
                "0.5",
                "at least 0 and below 1; the probability of each channel",
            ),
            INPLACE,
        ],
        meaning: "sets whole channels to 0 at random while training",
        output: "as its input",
        example: &["Dropout2d(0.1)"],
    },
    Function {
        name: "Flatten",
        kind: SHAPES,
        parameters: &[
            with_default("start_dim", "1", "only 1"),
            with_default("end_dim", "-1", "only -1"),
        ],
        meaning: "makes a vector of a picture, which a linear layer takes",
        output: "channels x height x width features",
        example: &["Flatten()"],
    },
    Function {
        name: "Linear",
        kind: LINEAR,
        parameters: &[
            required("in_features", "whole number; the values that come in"),
            required(
                "out_features",
                "whole number of at least 1; the values that go out",
            ),
            with_default(
                "bias",
                "True",
                "True or False; a number is added to each output",
            ),
        ],
        meaning: "multiplies by a matrix of weights; the last one has an output for each class",
        output: "out_features",
        example: &["Flatten()", "Linear(3072, 10)"],
    },
];

/// Layers that networks elsewhere are made of and kinglet does not have, by what they are.
const MISSING: &[(&str, &[&str])] = &[
    (
        CONVOLUTIONS,
        &[
            "Conv1d",
            "Conv3d",
            "ConvTranspose1d",
            "ConvTranspose2d",
            "ConvTranspose3d",
            "LazyConv2d",
            "SeparableConv2d",
        ],
    ),
    (
        POOLS,
        &[
            "MaxPool1d",
            "MaxPool3d",
            "AvgPool1d",
            "AvgPool3d",
            "AdaptiveMaxPool1d",
            "AdaptiveMaxPool2d",
            "AdaptiveAvgPool1d",
            "AdaptiveAvgPool3d",
            "FractionalMaxPool2d",
            "LPPool2d",
            "MaxUnpool2d",
        ],
    ),
    (
        ACTIVATIONS,
        &[
            "CELU",
            "PReLU",
            "RReLU",
            "GLU",
            "Hardshrink",
            "Softshrink",
            "Softmin",
            "Softmax2d",
            "LogSoftmax",
            "LogSigmoid",
            "Threshold",
        ],
    ),
    (
        NORMALIZATIONS,
        &[
            "BatchNorm1d",
            "BatchNorm3d",
            "LayerNorm",
            "GroupNorm",
            "InstanceNorm1d",
            "InstanceNorm2d",
            "LocalResponseNorm",
            "RMSNorm",
            "SyncBatchNorm",
        ],
    ),
    (
        DROPOUTS,
        &[
            "Dropout1d",
            "Dropout3d",
            "AlphaDropout",
            "FeatureAlphaDropout",
        ],
    ),
    (
        SHAPES,
        &[
            "Unflatten",
            "Upsample",
            "UpsamplingNearest2d",
            "UpsamplingBilinear2d",
            "PixelShuffle",
            "PixelUnshuffle",
            "ChannelShuffle",
            "ZeroPad2d",
            "ConstantPad2d",
            "ReflectionPad2d",
            "ReplicationPad2d",
        ],
    ),
    (LINEAR, &["Bilinear", "LazyLinear", "Dense"]),
    (
        "recurrent layers",
        &["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"],
    ),
    (
        "attention layers",
        &[
            "Transformer",
            "TransformerEncoder",
            "TransformerEncoderLayer",
            "TransformerDecoder",
            "TransformerDecoderLayer",
            "MultiheadAttention",
        ],
    ),
    ("embeddings", &["Embedding", "EmbeddingBag"]),
    (
        "losses among the layers, since training has one already",
        &[
            "CrossEntropyLoss",
            "NLLLoss",
            "MSELoss",
            "L1Loss",
            "BCELoss",
            "BCEWithLogitsLoss",
        ],
    ),
    (
        "layers that hold others, since the list is one already",
        &["Sequential", "ModuleList", "Identity"],
    ),
];

/// How similar a name must be to be taken for another, from 0 to 1.
const NEAR: f64 = 0.8;

/// Blocks that other programs have as one layer, and how branches are written here.
#[derive(Debug)]
pub(super) struct Otherwise {
    names: &'static [&'static str],
    /// Lines that do it.
    pub(super) example: &'static str,
}

pub(super) const OTHERWISE: &[Otherwise] = &[
    Otherwise {
        names: &[
            "Residual",
            "ResidualBlock",
            "ResBlock",
            "BasicBlock",
            "Bottleneck",
            "InvertedResidual",
            "Add",
            "Skip",
            "SkipConnection",
            "Shortcut",
        ],
        example: r#""x = ReLU()", "Conv2d(16, 16, 3, padding=1)", "relu(_ + x)""#,
    },
    Otherwise {
        names: &[
            "SEBlock",
            "SqueezeExcite",
            "SqueezeExcitation",
            "SELayer",
            "Mul",
            "Multiply",
        ],
        example: r#""x = ReLU()", "AdaptiveAvgPool2d(1)", "Conv2d(16, 4, 1)", "ReLU()", "Conv2d(4, 16, 1)", "Sigmoid()", "_ * x""#,
    },
    Otherwise {
        names: &[
            "Concat",
            "Concatenate",
            "Cat",
            "Fire",
            "DenseBlock",
            "Inception",
        ],
        example: r#""x = ReLU()", "y = Conv2d(16, 8, 1)", "torch.cat([x, y], dim=1)""#,
    },
    Otherwise {
        names: &["Sequential", "ModuleList", "ModuleDict"],
        example: r#""Conv2d(3, 16, 3)", "ReLU()""#,
    },
];

/// How what `name` says is written here, if it is a block of layers.
pub(super) fn written_otherwise(name: &str) -> Option<&'static Otherwise> {
    let mut all = OTHERWISE.iter();
    all.find(|otherwise| otherwise.names.contains(&name))
}

/// What to say of a layer that does not exist. The nearest name, of those that exist here and those that exist
/// elsewhere, says what kind of layer was meant, so that nothing of another kind is suggested.
pub(super) fn hint(name: &str) -> String {
    let lower = name.to_lowercase();
    let elsewhere = MISSING.iter().flat_map(|(kind, names)| {
        let missing = |name: &&'static str| (*name, *kind, false);
        names.iter().map(missing)
    });
    // Of equally near names the last one is taken: one that exists.
    let candidates = elsewhere.chain(LAYERS.iter().map(|l| (l.name, l.kind, true)));
    let similarity = |other: &str| strsim::jaro_winkler(&lower, &other.to_lowercase());
    let nearest = candidates
        .map(|candidate| (similarity(candidate.0), candidate))
        .filter(|(similarity, _)| *similarity > NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        None => {
            let names: Vec<&str> = LAYERS.iter().map(|layer| layer.name).collect();
            format!("known are {}", names.join(", "))
        }
        Some((_, (nearest, _, true))) => format!("did you mean {nearest}?"),
        Some((_, (nearest, kind, false))) => {
            let missing = match nearest.to_lowercase() == lower {
                true => "kinglet does not have it".to_owned(),
                false => format!("near is {nearest}, which kinglet does not have"),
            };
            let same = LAYERS.iter().filter(|layer| layer.kind == kind);
            let same: Vec<&str> = same.map(|layer| layer.name).collect();
            match same.as_slice() {
                [] => format!("kinglet has no {kind}"),
                [one] => format!("{missing}; of {kind} there is {one}"),
                several => format!("{missing}; of {kind} there are {}", several.join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_the_same_kind_is_suggested() {
        const ACTIVATIONS: &str = "of activations there are ReLU, ReLU6, LeakyReLU, Sigmoid, Tanh, ELU, SELU, Softplus, Softsign, GELU, SiLU, Mish, Hardswish, Hardsigmoid, Hardtanh, Softmax";
        for (name, expected) in [
            ("CELU", format!("kinglet does not have it; {ACTIVATIONS}")),
            ("celu", format!("kinglet does not have it; {ACTIVATIONS}")),
            (
                "Hardschrink",
                format!("near is Hardshrink, which kinglet does not have; {ACTIVATIONS}"),
            ),
            ("gelu", "did you mean GELU?".to_owned()),
            (
                "AdaptiveMaxPool2d",
                "kinglet does not have it; of pools there are MaxPool2d, AvgPool2d, AdaptiveAvgPool2d"
                    .to_owned(),
            ),
            (
                "LayerNorm",
                "kinglet does not have it; of normalizations there is BatchNorm2d".to_owned(),
            ),
            ("GRU", "kinglet has no recurrent layers".to_owned()),
            ("Relu", "did you mean ReLU?".to_owned()),
            ("MaxPool", "did you mean MaxPool2d?".to_owned()),
            ("Conv", "did you mean Conv2d?".to_owned()),
            ("BatchNorm", "did you mean BatchNorm2d?".to_owned()),
            ("Lineer", "did you mean Linear?".to_owned()),
        ] {
            assert_eq!(hint(name), expected, "{name}");
        }
        assert!(hint("Wavelet").starts_with("known are Conv2d, MaxPool2d, "));
    }

    #[test]
    fn no_layer_both_exists_and_does_not() {
        for (_, names) in MISSING {
            for name in *names {
                assert!(LAYERS.iter().all(|layer| layer.name != *name), "{name}");
            }
        }
    }
}
