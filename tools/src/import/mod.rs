//! Networks that were trained elsewhere become a [`Graph`](crate::graph::Graph): one folder for each format.
//!
//! NCHW and OIHW end here. Whatever a file holds that kinglet does not compute is refused with the node's
//! name; nothing is left out in silence.

mod error;
pub mod onnx;

pub use error::{GraphProblem, ImportError, NodeProblem};
