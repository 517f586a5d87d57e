//! The reference of recipes as Markdown, made from the tables that the parser uses: `docs/recipes.md`.

use std::fmt::Write;

use super::function::Function;
use super::keys::{self, Key};
use super::layers::LAYERS;
use super::shipped::SHIPPED;
use super::transforms::TRANSFORMS;

/// What the examples of layers and transforms read: channels, height, width.
const INPUT: &str = "[3, 32, 32]";

/// A group of keys with an example of them.
struct Group {
    title: &'static str,
    text: &'static str,
    keys: &'static [Key],
    /// Lines of a recipe that have all of these keys.
    example: &'static str,
}

/// The sections in the order of the reference.
const GROUPS: &[Group] = &[
    Group {
        title: "At the top",
        text: "These stand before the first section. With `kinglet train --from MODEL` the network is that of the file: `input` and `layers` then \
               are left out, and `name`, `classes` and `normalize` are the model's where the recipe has none; `quantize` is for such a network alone.",
        keys: keys::TOP,
        example: r#"name = "small"
input = [3, 32, 32]
classes = ["cat", "dog"]
layers = ["Conv2d(3, 8, 3)", "ReLU()", "AdaptiveAvgPool2d(1)", "Flatten()", "Linear(8, 2)"]

[data]
validation = 0.1

[train]
epochs = 5

[optimizer]
type = "Adam"

[schedule]
type = "CosineAnnealingLR"

# Of a network that train --from goes on with: layers are left out then.
[quantize]
momentum = 0.05
"#,
    },
    Group {
        title: "`[data]`",
        text: "`normalize`, `resize` and `transforms` are for pictures only: features reach the network as they are.",
        keys: keys::DATA,
        example: r#"[data]
normalize = { mean = [0.5], std = [0.25] }
validation = 0.1
resize = [32, 32]
transforms = ["RandomCrop(32, padding=4)", "RandomHorizontalFlip()"]
"#,
    },
    Group {
        title: "`normalize` in `[data]`",
        text: "",
        keys: keys::NORMALIZE,
        example: "[data]\nnormalize = { mean = [0.49, 0.48, 0.45], std = [0.25, 0.24, 0.26] }\n",
    },
    Group {
        title: "`[train]`",
        text: "",
        keys: keys::TRAIN,
        example: r#"[train]
epochs = 30
batch_size = 64
seed = 7
loss = "CrossEntropyLoss"
best = "accuracy"
early_stop = 8
ema = 0.999
"#,
    },
    Group {
        title: "`[train]` with `loss = \"CrossEntropyLoss\"`",
        text: "Validation and test are without label smoothing, and with the weights of the classes.",
        keys: keys::CROSS_ENTROPY,
        example: "[train]\nclass_weights = [0.25, 0.75]\nlabel_smoothing = 0.1\n",
    },
    Group {
        title: "`[train]` with `loss = \"MSELoss\"`",
        text: "There are no classes then: the mean squared error and its root are shown, and the outputs may have any shape. A \
               target that is the sample itself is what the network sees, transformed and normalized; for a vector of outputs it is \
               flattened as by `Flatten()`, channel by channel.",
        keys: keys::SQUARED_ERROR,
        example: "[train]\nloss = \"MSELoss\"\ntarget = \"values\"\n",
    },
    Group {
        title: "`[optimizer]`",
        text: "Without the section it is SGD with these defaults.",
        keys: keys::OPTIMIZER,
        example: r#"[optimizer]
type = "SGD"
lr = 0.05
weight_decay = 0.0005
decay_bias = false
"#,
    },
    Group {
        title: "`[optimizer]` with `type = \"SGD\"`",
        text: "",
        keys: keys::SGD,
        example: "[optimizer]\ntype = \"SGD\"\nlr = 0.05\nmomentum = 0.9\nnesterov = true\n",
    },
    Group {
        title: "`[optimizer]` with `type = \"Adam\"` or `\"AdamW\"`",
        text: "",
        keys: keys::ADAM,
        example: "[optimizer]\ntype = \"Adam\"\nlr = 0.001\nbetas = [0.9, 0.99]\neps = 1e-7\n",
    },
    Group {
        title: "`[schedule]`",
        text: "Without a type the learning rate stays that of the optimizer, after the warm-up if there is one.",
        keys: keys::SCHEDULE,
        example: "[schedule]\ntype = \"CosineAnnealingLR\"\nwarmup_epochs = 2\n",
    },
    Group {
        title: "`[schedule]` with `type = \"StepLR\"`",
        text: "The learning rate is multiplied every so many epochs.",
        keys: keys::STEP,
        example: "[schedule]\ntype = \"StepLR\"\nstep_size = 10\ngamma = 0.5\n",
    },
    Group {
        title: "`[schedule]` with `type = \"MultiStepLR\"`",
        text: "The learning rate is multiplied at certain epochs.",
        keys: keys::MULTI_STEP,
        example: "[schedule]\ntype = \"MultiStepLR\"\nmilestones = [15, 25]\ngamma = 0.1\n",
    },
    Group {
        title: "`[schedule]` with `type = \"CosineAnnealingLR\"`",
        text: "The learning rate falls along half a cosine.",
        keys: keys::COSINE,
        example: "[schedule]\ntype = \"CosineAnnealingLR\"\nT_max = 30\neta_min = 0.0001\n",
    },
    Group {
        title: "`[schedule]` with `type = \"OneCycleLR\"`",
        text: "The learning rate goes up and down once, step by step.",
        keys: keys::ONE_CYCLE,
        example: r#"[schedule]
type = "OneCycleLR"
max_lr = 0.1
pct_start = 0.3
anneal_strategy = "cos"
div_factor = 25
final_div_factor = 10000
cycle_momentum = true
base_momentum = 0.85
max_momentum = 0.95
"#,
    },
    Group {
        title: "`[quantize]`",
        text: "With this section, which may be empty, `kinglet train --from MODEL` trains a network further with each value and weight rounded as \
               on 8-bit numbers, on the CPU. `kinglet export` then writes it on 8-bit numbers; see [quantize.md](quantize.md#training-for-8-bit-numbers).",
        keys: keys::QUANTIZE,
        example: "[quantize]\nmomentum = 0.05\n",
    },
];

const BEGINNING: &str = "\
# Recipes

A recipe is a TOML file: a network, what becomes of the data, and how to train. Its words, their order and their defaults
are those of PyTorch and torchvision. `kinglet recipes` prints this page, which is made from the program's own tables;
`kinglet recipes --list` lists the recipes that come along, and `kinglet recipes NAME` prints one to begin with. A key, a
layer or an argument that is not on this page is refused with its line and with what would be right.
";

const DATA: &str = "\
## Data sets

`--data` takes a folder, or one `.npz` or `.bin` file. Without it the data set is the one that is built in: the 10,000
pictures of Fashion-MNIST's test part, 1x28x28 in 10 classes, of which 8,000 are to train on and 2,000 to test with.

| `--data` holds | names | samples |
|---|---|---|
| IDX files | `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, each also with `.gz` | gray pictures |
| NumPy arrays | `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy`; also `train_images` and `train_labels`, or `x` and `y`, `images` and `labels` without a test part; or one `.npz` of them | uint8: pictures, `[n, h, w]`, NHWC or NCHW; float32: features, also `[n, features]` |
| CIFAR-10's binary version | `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` | pictures of 3x32x32 |
| a folder for each class | `train/CLASS/*.png`, `val/CLASS/*.png` to validate with and `test/CLASS/*.png`, or `CLASS/*.png` alone; `.jpg` and `.jpeg` too | pictures |

Names of classes come from the recipe, the folders, `batches.meta.txt` or `classes.txt` (one on each line), and are numbers
otherwise. Vectors are arrays of `[n, features]`; their recipe has `input = [features]` and begins with a linear layer.

Where data sets are had from:

| data set | where | form to take | input |
|---|---|---|---|
| Fashion-MNIST | the project zalandoresearch/fashion-mnist on GitHub | its four `.gz` files, as they are | `[1, 28, 28]` |
| MNIST | torchvision's MNIST class, or Keras' `mnist.npz` | IDX files or `.npz`, as they are | `[1, 28, 28]` |
| CIFAR-10 | Alex Krizhevsky's page at the University of Toronto | the binary version, `cifar-10-binary.tar.gz`, unpacked | `[3, 32, 32]` |
| any of torchvision or Keras | its class | `numpy.savez(\"data.npz\", x_train=..., y_train=..., x_test=..., y_test=...)` | as the arrays |
| your own pictures | | a folder for each class, with `resize = [height, width]` under `[data]` if sizes differ | as `resize` says |
";

const BRANCHES: &str = r#"
## Branches

A line of `layers` reads what the line before computes, unless it says otherwise; `input` is the network's input.

| line | computes |
|---|---|
| `"x = ReLU()"` | the layer of the line before; lines below may call it `x` |
| `"Conv2d(16, 32, 1, stride=2)(x)"` | the layer of `x` |
| `"_ + x"`, `"x - y"`, `"x * s"`, `"x / y"`, `"torch.maximum(x, y)"` | of two values, element by element; `_` is the line before. One may have 1 where the other has more, as `s` of `[channels, 1, 1]` |
| `"relu(_ + x)"`, `"F.relu(x)"`, `"torch.sigmoid(x)"` | a layer without parameters, written as a function |
| `"torch.cat([x, y], dim=1)"` | one after the other along the channels |

Each value has to be read, but the last, which is the output, and each name is given once. A residual block, and one of
squeeze and excitation:

```toml
input = [16, 32, 32]
layers = [
    "x = ReLU()",
    "Conv2d(16, 16, 3, padding=1, bias=False)",
    "BatchNorm2d(16)",
    "ReLU()",
    "Conv2d(16, 16, 3, padding=1, bias=False)",
    "BatchNorm2d(16)",
    "y = relu(_ + x)",

    "AdaptiveAvgPool2d(1)",
    "Conv2d(16, 4, 1)",
    "ReLU()",
    "Conv2d(4, 16, 1)",
    "Sigmoid()",
    "_ * y",
]
```

Tensors of such a network are called by the number of what computes them, from 0: `1.weight` is that of the first
convolution above. A line with a layer inside another counts for each of them.
"#;

/// Everything a recipe may say, as Markdown.
pub fn reference() -> String {
    let mut text = String::from(BEGINNING);
    let mut line = |part: &str| {
        text.push_str(part);
        text.push('\n');
    };
    line("\n## Keys");
    for group in GROUPS {
        line(&format!("\n### {}\n", group.title));
        if !group.text.is_empty() {
            line(&format!("{}\n", group.text));
        }
        line("| key | value | range | default | meaning |\n|---|---|---|---|---|");
        for key in group.keys {
            line(&row(key));
        }
        line(&format!("\n```toml\n{}```", group.example));
    }
    line(&format!(
        "\n## Layers\n\n`layers` is a list of calls, with or without `nn.` before them. Each says what comes in, as in\n\
         PyTorch; where that is wrong, the message has the right number. Shapes are channels x height x width of one\n\
         sample; examples read {INPUT}."
    ));
    for layer in LAYERS {
        line(&described(layer));
    }
    line(BRANCHES.trim_end());
    line(&format!(
        "\n## Transforms\n\n`transforms` in `[data]` is a list of calls, with or without `transforms.` before them. They\n\
         change training pictures at random, each anew in every epoch, and give the bytes of torchvision. In the end\n\
         pictures must have the network's input shape. Examples read {INPUT}."
    ));
    for transform in TRANSFORMS {
        line(&described(transform));
    }
    line(&format!("\n{DATA}"));
    line("## Recipes that come along\n\n| name | |\n|---|---|");
    for recipe in SHIPPED {
        line(&format!("| `{}` | {} |", recipe.name, recipe.summary()));
    }
    text
}

/// A key as a row of a table.
fn row(key: &Key) -> String {
    let default = match key.default {
        "" => "must be there",
        default => default,
    };
    let Key {
        name,
        kind,
        range,
        meaning,
        ..
    } = key;
    format!("| `{name}` | {kind} | {range} | {default} | {meaning} |").replace("|  |", "| |")
}

/// A function with its parameters and its example.
fn described(function: &Function) -> String {
    let Function {
        name,
        parameters,
        meaning,
        output,
        example,
        ..
    } = function;
    let mut text = format!("\n### {name}\n\n`{}` {meaning}.\n", function.signature());
    let what = match LAYERS.iter().any(|layer| layer.name == *name) {
        true => "Output",
        false => "Acts",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what}: {output}.\n");
    if !parameters.is_empty() {
        text += "| argument | default | meaning |\n|---|---|---|\n";
        for parameter in *parameters {
            let default = match parameter.default {
                "" => "must be there".to_owned(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(
                text,
                "| `{}` | {default} | {} |",
                parameter.name, parameter.meaning
            );
        }
        text.push('\n');
    }
    let calls: Vec<String> = example.iter().map(|call| format!("{call:?}")).collect();
    let _ = write!(text, "Example: `{}`", calls.join(", "));
    text
}

#[cfg(test)]
mod tests;
