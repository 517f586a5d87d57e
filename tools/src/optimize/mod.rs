//! Rewrites a graph so that it computes the same in fewer passes, with the runtime's operators only.
//!
//! One pass per file, run in this order: what only training needs goes, nodes that nobody reads go, tensors are brought into
//! one order, functions that were taken apart are joined, trained batch normalizations and activations go into the
//! convolution beside them, what is quantized is joined to operations on 8-bit numbers, padding and pools go into the
//! convolution beside them as well, and a network of 8-bit numbers begins and ends with them.
//!
//! Last, and only for files that are to run, channels that make no difference are left out ([`leave_out_constant`]): a network
//! that is trained further may still have a use for them.

mod activation_before_pool;
mod cone;
mod constant_channels;
pub(crate) mod dequantize_last;
mod eliminate_transposes;
mod end_training;
pub(crate) mod fold_affine;
mod fuse_activation;
mod fuse_bounds;
mod fuse_pad;
mod fuse_pool;
mod join_functions;
mod join_quantized;
mod quantized_ends;
mod remove_dead;
mod split_concat;
#[cfg(test)]
mod tests;

pub use self::constant_channels::{Channel, Removed, Saving, Size, leave_out_constant};
use crate::graph::Graph;

/// A pass with its name.
type Pass = (&'static str, fn(&mut Graph));

/// Every pass, in the order they run.
const PASSES: [Pass; 13] = [
    ("end_training", end_training::run),
    ("remove_dead", remove_dead::run),
    ("eliminate_transposes", eliminate_transposes::run),
    ("join_functions", join_functions::run),
    ("fold_affine", fold_affine::run),
    ("activation_before_pool", activation_before_pool::run),
    ("fuse_activation", fuse_activation::run),
    ("join_quantized", join_quantized::run),
    ("fuse_bounds", fuse_bounds::run),
    ("fuse_pad", fuse_pad::run),
    ("fuse_pool", fuse_pool::run),
    ("split_concat", split_concat::run),
    ("quantized_ends", quantized_ends::run),
];

/// Runs every pass.
pub fn optimize(graph: &mut Graph) {
    for (_, run) in PASSES {
        run(graph);
    }
}

/// The graph with its tensors in one order, each layer still by itself: to be trained further.
pub fn simplify(graph: &mut Graph) {
    remove_dead::run(graph);
    eliminate_transposes::run(graph);
}
