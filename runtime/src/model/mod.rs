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
mod view;

pub use error::LoadError;
pub use prefix::{ModelId, Sizes};
pub use view::List;

#[cfg(feature = "std")]
pub use encode::{EncodeError, encode, with_head};
#[cfg(feature = "std")]
pub use spec::{GraphSpec, Int8Spec, LayerI8, NodeSpec, OperatorSpec};

use crate::session::InputError;
use kinglet_kernels::Shape;
pub(crate) use prefix::{CRC, Prefix};
use schema::{Extension, Node, Tensor, bits};
use view::GraphView;

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
    pub fn load_with<const OPS: u64>(file: &'a [u8]) -> Result<Self, LoadError> {
        let prefix = Prefix::read(file)?;
        if prefix.file_len != file.len() {
            return Err(LoadError::Length {
                expected: prefix.file_len,
                found: file.len(),
            });
        }
        let body = file.get(schema::PREFIX_LEN..).ok_or(LoadError::Truncated)?;
        if CRC.checksum(body) != prefix.body_crc {
            return Err(LoadError::BodyCrc);
        }
        let (graph, rest) = GraphView::read(body)?;
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

    /// Shape of one input sample.
    pub fn input(&self) -> Shape {
        self.graph.tensor(0).shape
    }

    /// Shape of one output sample.
    pub fn output(&self) -> Shape {
        self.graph
            .tensor(self.graph.tensors.len().saturating_sub(1))
            .shape
    }

    /// Class names in the order of the outputs; empty if the file has none.
    pub fn labels(&self) -> List<'a, &'a str> {
        self.graph.labels
    }

    /// The name of one class.
    pub fn label(&self, class: usize) -> Option<&'a str> {
        self.graph.labels.iter().nth(class)
    }

    /// Mean of each input channel, for pictures with values from 0 to 1; empty if they are not normalized.
    pub fn mean(&self) -> List<'a, f32> {
        self.graph.mean
    }

    /// Standard deviation of each input channel.
    pub fn std(&self) -> List<'a, f32> {
        self.graph.std
    }

    /// Normalizes pictures as the file says: writes `(pixel / 255 - mean) / std` for each channel to `target`, NHWC, any
    /// number of whole samples.
    ///
    /// # Errors
    /// [`InputError`] if the lengths differ.
    pub fn normalize_image_u8(&self, pixels: &[u8], target: &mut [f32]) -> Result<(), InputError> {
        let (mean, std) = (self.mean(), self.std());
        if pixels.len() != target.len() {
            return Err(InputError {
                expected: target.len(),
                found: pixels.len(),
            });
        }
        let mut pairs = target.iter_mut().zip(pixels);
        if mean.is_empty() {
            pairs.for_each(|(t, pixel)| *t = f32::from(*pixel) / 255.0);
            return Ok(());
        }
        // One round per position: as many pairs as the input has channels. Lengths agree by the check at
        // load, so the outer loop ends exactly when the pixels do.
        let mut left = pixels.len();
        while left > 0 {
            for ((mean, std), (t, pixel)) in mean.words().iter().zip(std.words()).zip(&mut pairs) {
                let (mean, std) = (f32::from_le_bytes(*mean), f32::from_le_bytes(*std));
                *t = (f32::from(*pixel) / 255.0 - mean) / std;
                left = left.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// Tensors: 0 is the input, `n + 1` the output of node `n`.
    pub fn tensors(&self) -> List<'a, Tensor> {
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
}
