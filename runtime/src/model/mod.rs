//! A model file, borrowed and checked.
//!
//! [`Model::load`] reads the whole file once and copies nothing: weights, nodes and labels stay where they
//! are (in flash, in a mapped file). What it has checked cannot fail later: a session over a loaded model
//! runs without errors and without panics.

mod check;
#[cfg(feature = "std")]
mod encode;
mod error;
#[cfg(feature = "std")]
mod parameters;
mod prefix;
pub mod schema;
#[cfg(feature = "std")]
mod spec;
#[cfg(feature = "std")]
mod target;
mod view;

pub use error::LoadError;
pub use prefix::{ModelId, Sizes};
pub use view::{Labels, List, Normalization, Tensors};

#[cfg(feature = "std")]
pub use encode::{EncodeError, encode, encode_for, with_head};
#[cfg(feature = "std")]
pub use spec::{GraphSpec, InputSpec, NodeSpec, OutputSpec, TensorSpec};
#[cfg(feature = "std")]
pub use target::Target;

use crate::session::InputError;
use kinglet_kernels::Shape;
pub(crate) use prefix::{CRC, Prefix};
use schema::{Extension, Input, Node, Output, Tensor, bits};
use view::GraphView;
pub(crate) use view::take;

/// Bytes at a multiple of 64, as [`include_model!`](crate::include_model) makes them.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Aligned<T: ?Sized = [u8]> {
    /// The bytes.
    pub bytes: T,
}

/// Includes a model file at compile time, aligned so that its weights are used in place.
///
/// ```text
/// static MODEL: &kinglet::Aligned = kinglet::include_model!("digits.kgl");
/// const SIZES: kinglet::Sizes = kinglet::Sizes::of(MODEL);
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr) => {
        &$crate::Aligned {
            bytes: *include_bytes!($path),
        }
    };
}

/// A checked model that borrows its file.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    prefix: Prefix,
    graph: GraphView<'a>,
    weights: &'a [f32],
}

impl<'a> Model<'a> {
    /// Checks `file` and borrows it. This costs one pass over the bytes (the CRC) and a walk of the graph;
    /// nothing is copied.
    ///
    /// The bytes must lie at a multiple of 4: [`include_model!`](crate::include_model) and mapped files do.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file. No file, however crafted, makes it panic or take
    /// more than a bounded time.
    pub fn load(file: &'a [u8]) -> Result<Self, LoadError> {
        Self::load_with::<{ bits::ALL }>(file)
    }

    /// Like [`load`](Self::load), for a model with no other operators than those in the bitmap `OPS`. Firmware that
    /// names it from its model (`{ SIZES.operators }`), as for its [`Session`](crate::Session), links the checks
    /// of these operators alone.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`LoadError::Operator`] if the graph has another one.
    // Each stage has a frame of its own, so that the stack holds one at a time.
    #[inline(never)]
    pub fn load_with<const OPS: u128>(file: &'a [u8]) -> Result<Self, LoadError> {
        let (prefix, body) = Self::parts(file)?;
        if CRC.checksum(body) != prefix.body_crc {
            return Err(LoadError::BodyCrc);
        }
        Self::of_parts::<OPS>(file, prefix, body)
    }

    /// Like [`load_with`](Self::load_with), but without a pass over all bytes: for a file whose integrity somebody has seen to, as a
    /// boot loader does that checks a signature or a checksum of the whole image. Most of the time to load a model goes into
    /// that pass. All other checks are made: a damaged file gives wrong numbers at worst.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with), but for [`LoadError::BodyCrc`].
    #[inline(never)]
    pub fn load_trusted<const OPS: u128>(file: &'a [u8]) -> Result<Self, LoadError> {
        let (prefix, body) = Self::parts(file)?;
        Self::of_parts::<OPS>(file, prefix, body)
    }

    /// The prefix of a file of the right length, and what follows it.
    fn parts(file: &'a [u8]) -> Result<(Prefix, &'a [u8]), LoadError> {
        let prefix = Prefix::read(file)?;
        if prefix.file_len != file.len() {
            return Err(LoadError::Length {
                expected: prefix.file_len,
                found: file.len(),
            });
        }
        let body = file.get(schema::PREFIX_LEN..).ok_or(LoadError::Truncated)?;
        Ok((prefix, body))
    }

    /// The model, if the graph bears out the prefix.
    fn of_parts<const OPS: u128>(
        file: &'a [u8],
        prefix: Prefix,
        body: &'a [u8],
    ) -> Result<Self, LoadError> {
        let (graph, rest) = GraphView::read::<OPS>(body)?;
        let weights = view::read_weights(rest, &prefix, file.len())?;
        let weights = bytemuck::try_cast_slice(weights).map_err(|_| LoadError::Misaligned)?;
        check::check::<OPS>(&prefix, &graph, weights)?;
        Ok(Self {
            prefix,
            graph,
            weights,
        })
    }

    /// What this model is called: it names the graph and the weights.
    pub fn id(&self) -> ModelId {
        self.prefix.id
    }

    /// The model this one was fine-tuned from.
    pub fn parent(&self) -> Option<ModelId> {
        self.prefix.parent
    }

    /// The model's name.
    pub fn name(&self) -> &'a str {
        self.graph.name
    }

    /// Everything a caller must bring memory for.
    pub fn sizes(&self) -> Sizes {
        Sizes::from_prefix(&self.prefix)
    }

    /// Shape of one sample of the first input.
    pub fn input(&self) -> Shape {
        let input = self.graph.tensors.get(0);
        input.map_or(Shape::new(0, 0, 0), |tensor| tensor.shape)
    }

    /// Shape of one sample of the first output.
    pub fn output(&self) -> Shape {
        let output = self.output_tensors().next();
        output.map_or(Shape::new(0, 0, 0), |tensor| tensor.shape)
    }

    /// The inputs: the first tensors of the model.
    pub fn inputs(&self) -> List<'a, Input<'a>> {
        self.graph.inputs
    }

    /// The outputs.
    pub fn outputs(&self) -> List<'a, Output<'a>> {
        self.graph.outputs
    }

    /// The tensor of each output.
    pub fn output_tensors(&self) -> impl Iterator<Item = Tensor> + use<'a> {
        let tensors = self.graph.tensors;
        let outputs = self.graph.outputs.iter();
        outputs.filter_map(move |output| tensors.get(usize::from(output.tensor)))
    }

    /// Class names of the first output; empty if the file has none.
    pub fn labels(&self) -> Labels<'a> {
        let output = self.graph.outputs.iter().next();
        Labels::new(output.map_or("", |output| output.labels))
    }

    /// The name of one class.
    pub fn label(&self, class: usize) -> Option<&'a str> {
        self.labels().get(class)
    }

    /// How pictures become numbers for the first input.
    pub fn normalization(&self) -> Normalization<'a> {
        let input = self.graph.inputs.iter().next();
        Normalization::new(input.map_or(&[], |input| input.normalization))
    }

    /// Normalizes pictures as the file says for the first input: writes `(pixel / 255 - mean) / std` for each channel to
    /// `target`, NHWC, any number of whole samples.
    ///
    /// # Errors
    /// [`InputError`] if the lengths differ.
    pub fn normalize_image_u8(&self, pixels: &[u8], target: &mut [f32]) -> Result<(), InputError> {
        self.normalization().apply(pixels, target, |x| x)
    }

    /// Tensors: the inputs, then the output of each node.
    pub fn tensors(&self) -> Tensors<'a> {
        self.graph.tensors
    }

    /// Nodes in the order they run.
    pub fn nodes(&self) -> List<'a, Node> {
        self.graph.nodes
    }

    /// How many nodes at the end can be trained on the device.
    pub fn trainable_nodes(&self) -> usize {
        usize::from(self.graph.trainable_nodes)
    }

    /// What later versions of the format have added, none of it required.
    pub fn extensions(&self) -> List<'a, Extension<'a>> {
        self.graph.extensions
    }

    /// All parameters, as they lie in the file: words, of which 8-bit weights fill a quarter each.
    pub fn weights(&self) -> &'a [f32] {
        self.weights
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(crate) fn graph(&self) -> &GraphView<'a> {
        &self.graph
    }
}
