//! Learning on the device: the last layers of a model, trained sample by sample.
//!
//! [`FineTuner`] takes over a [`Session`](crate::Session). The session computes the frozen body with its own kernel set;
//! the trainable suffix is computed here, forward and backward, in the canonical arithmetic of
//! [`kinglet_kernels::portable`], so that from equal features every machine learns the same bits.
//!
//! The training arena holds, in this order: the parameters of the suffix (weights, then bias, node by node), the shadow of
//! them that a caller may ask for, the optimizer's state for each, the outputs of the suffix's nodes, and their gradients.
//! A step goes back through the suffix first and moves the parameters then, row by row: with one sample the gradient of
//! the weights is the product of two vectors, so it is never stored.

mod error;
mod head;
mod optimizer;
mod suffix;
mod tuner;

pub use error::FineTuneError;
pub(crate) use head::head_len;
pub use head::{HeadError, HeadInfo, StoreError};
pub use optimizer::{Adam, AdamStep, AdamW, Bounds, Optimizer, Sgd};
pub use tuner::{FineTuner, Step};
