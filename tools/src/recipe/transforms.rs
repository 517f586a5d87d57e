//! The transforms there are.

use super::function::{Function, INPLACE, required, with_default};

const TRANSFORMS_OF_BYTES: &str = "on bytes, before normalize";

/// The transforms there are, with their parameters in torchvision's order.
pub(super) const TRANSFORMS: &[Function] = &[
    Function {
        name: "RandomHorizontalFlip",
        kind: "flips",
        parameters: &[with_default("p", "0.5", "from 0 to 1; the probability")],
        meaning: "mirrors left and right",
        output: TRANSFORMS_OF_BYTES,
        example: &["RandomHorizontalFlip()"],
    },
    Function {
        name: "RandomVerticalFlip",
        kind: "flips",
        parameters: &[with_default("p", "0.5", "from 0 to 1; the probability")],
        meaning: "mirrors top and bottom",
        output: TRANSFORMS_OF_BYTES,
        example: &["RandomVerticalFlip(0.25)"],
    },
    Function {
        name: "RandomRotation",
        kind: "rotations",
        parameters: &[
            required(
                "degrees",
                "at least 0, for an angle from -degrees to degrees; or (smallest, largest)",
            ),
            with_default("interpolation", "'nearest'", "only 'nearest'"),
            with_default("expand", "False", "only False"),
            with_default("center", "None", "(x, y) in pixels; None is the middle"),
            with_default(
                "fill",
                "0",
                "from 0 to 255, or one for each channel; what comes in from outside",
            ),
        ],
        meaning: "turns the picture",
        output: TRANSFORMS_OF_BYTES,
        example: &["RandomRotation(10)"],
    },
    Function {
        name: "RandomCrop",
        kind: "crops",
        parameters: &[
            required(
                "size",
                "number or (height, width), at least 1; of the part, in the end the network's input",
            ),
            with_default(
                "padding",
                "None",
                "from 0 to 4096, (left and right, top and bottom) or (left, top, right, bottom); added first",
            ),
            with_default(
                "pad_if_needed",
                "False",
                "True or False; whether a picture smaller than the part is padded to it",
            ),
            with_default(
                "fill",
                "0",
                "from 0 to 255, or one for each channel; what padding is made of",
            ),
            with_default("padding_mode", "'constant'", "only 'constant'"),
        ],
        meaning: "takes a part of the padded picture",
        output: TRANSFORMS_OF_BYTES,
        example: &["RandomCrop(32, padding=4)"],
    },
    Function {
        name: "ColorJitter",
        kind: "changes of color",
        parameters: &[
            with_default(
                "brightness",
                "0",
                "at least 0, for a factor from 1 - x to 1 + x; or (smallest, largest)",
            ),
            with_default("contrast", "0", "as brightness"),
            with_default("saturation", "0", "as brightness"),
            with_default(
                "hue",
                "0",
                "from 0 to 0.5, for a shift from -x to x; or (smallest, largest) within -0.5 and 0.5",
            ),
        ],
        meaning: "changes colors of gray or RGB pictures, in an order of its own each time",
        output: TRANSFORMS_OF_BYTES,
        example: &["ColorJitter(0.2, 0.2)"],
    },
    Function {
        name: "RandomErasing",
        kind: "erasing",
        parameters: &[
            with_default("p", "0.5", "from 0 to 1; the probability"),
            with_default(
                "scale",
                "(0.02, 0.33)",
                "(smallest, largest) within 0 and 1; the part of the picture's area",
            ),
            with_default(
                "ratio",
                "(0.3, 3.3)",
                "(smallest, largest) above 0; height by width",
            ),
            with_default(
                "value",
                "0",
                "number, or one for each channel; what it is filled with, as normalized",
            ),
            INPLACE,
        ],
        meaning: "fills a rectangle",
        output: "on normalized values, so that it stands after all others",
        example: &["RandomErasing(0.25)"],
    },
];
