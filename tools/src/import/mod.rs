//! Networks that were trained elsewhere become a [`Graph`](crate::graph::Graph): one folder for each format.
//!
//! NCHW and OIHW end here. Whatever a file holds that kinglet does not compute is refused with the node's
//! name; nothing is left out in silence. [`weights`] are of a network that a recipe describes.

mod builder;
mod error;
mod lower;
pub mod onnx;
pub mod tflite;
pub mod weights;

pub(crate) use builder::{Builder, Value};
pub use error::{GraphProblem, ImportError, NodeProblem};

#[cfg(test)]
mod tests;
