//! What can be wrong with a recipe, said so that it can be put right: the line, what was found, what
//! would be right.

use std::io;
use std::path::PathBuf;

use kinglet_kernels::{ParamsError, Shape};

use crate::base::BaseError;

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The recipe's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    At {
        /// The recipe's file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: Box<Problem>,
    },
    /// The trained network that it goes on from cannot be used.
    #[error(transparent)]
    Base(#[from] Box<BaseError>),
}

/// What is wrong in a line of a recipe.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// A key that means nothing.
    #[error("unknown key \"{key}\" in {section}; {hint}")]
    UnknownKey {
        /// Where it stands.
        section: String,
        /// The key.
        key: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// A key that has to be there.
    #[error("\"{key}\" is missing in {section}; write for example: {example}")]
    MissingKey {
        /// Where it belongs.
        section: String,
        /// The key.
        key: &'static str,
        /// A line that would do.
        example: &'static str,
    },
    /// A network beside the one that training goes on from.
    #[error("`{key}` has no place in a recipe for --from, whose file is the network: leave it out")]
    NetworkTwice {
        /// The key.
        key: &'static str,
    },
    /// Rounding in a network that has not been trained.
    #[error(
        "[quantize] is for a network that has been trained, its batch normalizations folded into its layers: train without \
         it, then go on with `kinglet train RECIPE --from MODEL.kgl`"
    )]
    QuantizeUntrained,
    /// Rounding in a network of which a part is new or frozen.
    #[error(
        "[quantize] trains all layers of a network as they are: --classes, --freeze-until and --last are for a run before"
    )]
    QuantizePart,
    /// A value of the wrong type or out of range.
    #[error("{key} = {found} is not possible; it must be {right}")]
    Value {
        /// The key.
        key: String,
        /// The value found.
        found: String,
        /// What is possible.
        right: String,
    },
    /// An input with the channels last.
    #[error(
        "input = {found:?} looks like height, width, channels, but channels come first: write input = {right:?} \
         (as it is, line {line} is wrong: {problem})"
    )]
    ChannelsLast {
        /// The input found.
        found: [usize; 3],
        /// What it should be.
        right: [usize; 3],
        /// Where the recipe fails as it is.
        line: usize,
        /// How it fails there.
        problem: Box<Problem>,
    },
    /// A list of the wrong length.
    #[error("{key} has {found} values, but {right}")]
    Length {
        /// The key.
        key: String,
        /// Its length.
        found: usize,
        /// What decides the right one.
        right: String,
    },
    /// A wrong layer or transform.
    #[error("{call}: {problem}")]
    Call {
        /// The layer or transform as it was written.
        call: String,
        /// What is wrong with it.
        problem: CallProblem,
    },
    /// Transforms that change the size of the pictures.
    #[error(
        "the transforms make pictures of {found} (channels, height, width), but validation and the network take \
         {input}: end with a size of ({}, {})", .input.0.height, .input.0.width
    )]
    TransformedShape {
        /// Shape after the last transform.
        found: ChannelsFirst,
        /// The network's input.
        input: ChannelsFirst,
    },
    /// A network that does not end in one number for each class.
    #[error(
        "the network ends in {0} (channels, height, width), but training needs one number for each class: \
         end with \"Flatten()\", \"Linear({1}, number of classes)\""
    )]
    NoLogits(ChannelsFirst, usize),
    /// Nothing to train.
    #[error("no layer of this network has parameters to train")]
    NothingToTrain,
    /// The number of outputs is not that of the class names.
    #[error(
        "the network ends in {outputs} outputs, but `classes` has {classes} names; \
         they must be the same number"
    )]
    Classes {
        /// Outputs of the last layer.
        outputs: usize,
        /// Names given.
        classes: usize,
    },
}

/// What is wrong with one layer or one transform.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallProblem {
    /// Not a call.
    #[error("expected {expected} but found {found}")]
    Syntax {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A layer or transform that does not exist.
    #[error("there is no {kind} \"{name}\"; {hint}")]
    Unknown {
        /// "layer" or "transform".
        kind: &'static str,
        /// The name.
        name: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// An argument that the call does not take.
    #[error("there is no argument \"{name}\"; {hint}")]
    UnknownArgument {
        /// The name.
        name: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// An argument that has no default.
    #[error("the argument {name} is missing; {signature}")]
    MissingArgument {
        /// The name.
        name: &'static str,
        /// How the call is written.
        signature: String,
    },
    /// More positional arguments than there are.
    #[error("{found} arguments are too many; {signature}")]
    TooManyArguments {
        /// Arguments found.
        found: usize,
        /// How the call is written.
        signature: String,
    },
    /// A positional argument after a named one.
    #[error("the argument {0} has no name but follows one that has")]
    PositionalAfterNamed(String),
    /// The same argument by place and by name, or twice by name.
    #[error("the argument {0} is given twice")]
    ArgumentTwice(String),
    /// A value that the argument cannot take.
    #[error("{name}={found} is not possible; it must be {right}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        right: &'static str,
    },
    /// Channels that disagree with what comes in.
    #[error("{argument} is {found}, but {right} channels come in ({input}): write {fixed}")]
    Channels {
        /// `in_channels` or `num_features`.
        argument: &'static str,
        /// The number given.
        found: usize,
        /// The right one.
        right: usize,
        /// Shape of the input.
        input: ChannelsFirst,
        /// The layer with the right number.
        fixed: String,
    },
    /// Features that disagree with what comes in.
    #[error("in_features is {found}, but {right} values come in{}: write {fixed}", flattened(.before_flatten))]
    Features {
        /// The number given.
        found: usize,
        /// The right one.
        right: usize,
        /// What was flattened, where something was.
        before_flatten: Option<ChannelsFirst>,
        /// The layer with the right number.
        fixed: String,
    },
    /// A linear layer on something that is not flat.
    #[error("its input is {input} (channels, height, width), not flat: put \"Flatten()\" before it{}", if *right == *found { String::new() } else { format!(" and write {fixed}") })]
    NotFlat {
        /// Shape of the input.
        input: ChannelsFirst,
        /// The number of features given.
        found: usize,
        /// The right one.
        right: usize,
        /// The layer with the right number.
        fixed: String,
    },
    /// A layer over pictures after `Flatten()`.
    #[error(
        "its input is flat ({features} values), but it needs channels, height and width: put it before \"Flatten()\""
    )]
    Flat {
        /// Values of the input.
        features: usize,
    },
    /// An adaptive pool whose windows would differ in size.
    #[error(
        "the input's {height} x {width} is not a multiple of {out_height} x {out_width}; it must be"
    )]
    Adaptive {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// Rows asked for.
        out_height: usize,
        /// Columns asked for.
        out_width: usize,
    },
    /// A geometry that cannot be; the input says why.
    #[error("{problem} (its input is {input}: channels, height, width)")]
    Geometry {
        /// What is wrong.
        problem: ParamsError,
        /// Shape of the input.
        input: ChannelsFirst,
    },
    /// A layer too large for this program.
    #[error("its output has {0} values for each picture; at most {1} are possible")]
    OutputTooLarge(usize, usize),
    /// A window larger than what it is cut from.
    #[error(
        "its window is {window_height} x {window_width}, but the padded picture is only {height} x {width}"
    )]
    Window {
        /// Rows of the window.
        window_height: usize,
        /// Columns of the window.
        window_width: usize,
        /// Rows of the padded picture.
        height: usize,
        /// Columns of the padded picture.
        width: usize,
    },
    /// A transform for pictures with other channels.
    #[error("it needs gray or RGB pictures (1 or 3 channels), but `input` has {0}")]
    Colors(usize),
    /// A transform of bytes after one of normalized values.
    #[error(
        "it changes bytes, so it must come before RandomErasing, which changes normalized values"
    )]
    AfterNormalize,
    /// A block that is written in several lines here.
    #[error("branches are not written as {name}(...), but line by line: {example}")]
    WrittenOtherwise {
        /// The block.
        name: String,
        /// Lines that compute one.
        example: &'static str,
    },
    /// A value that no line computes.
    #[error("no line before this one is called \"{name}\"; {hint}")]
    UnknownValue {
        /// The name.
        name: String,
        /// The nearest one, or what to do.
        hint: String,
    },
    /// A name that is taken.
    #[error("\"{name}\" is {taken}; choose another name")]
    NameTaken {
        /// The name.
        name: String,
        /// By what.
        taken: String,
    },
    /// A value that is computed for nothing.
    #[error("nothing reads what it computes: {hint}")]
    Unread {
        /// How it could be read.
        hint: String,
    },
    /// Two values that do not go together.
    #[error(
        "{left} (line {left_line}) and {right} (line {right_line}) do not go together (channels, height, width): {rule}"
    )]
    Shapes {
        /// Shape of the first.
        left: ChannelsFirst,
        /// The line that computes it.
        left_line: usize,
        /// Shape of the other.
        right: ChannelsFirst,
        /// The line that computes it.
        right_line: usize,
        /// What would go.
        rule: &'static str,
    },
    /// A layer too large for this program.
    #[error("it has {0} parameters; at most {1} are possible")]
    TooManyParameters(usize, usize),
}

fn flattened(shape: &Option<ChannelsFirst>) -> String {
    shape.map_or(String::new(), |shape| format!(" ({shape} flattened)"))
}

/// A shape as PyTorch's users write it: channels, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelsFirst(pub Shape);

impl std::fmt::Display for ChannelsFirst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shape {
            height,
            width,
            channels,
        } = self.0;
        write!(f, "{channels}x{height}x{width}")
    }
}

/// "did you mean X?" where some name is near enough, all names otherwise.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    const NEAR: f64 = 0.75;
    let lower = name.to_lowercase();
    let nearest = known
        .clone()
        .map(|k| (strsim::jaro_winkler(&lower, &k.to_lowercase()), k))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((similarity, nearest)) if similarity > NEAR => format!("did you mean {nearest}?"),
        _ => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    }
}
