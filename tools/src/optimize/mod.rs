//! Rewrites a graph so that it computes the same in fewer passes, with the runtime's operators only.
//!
//! One pass per file, run in this order: what does nothing is dropped, trained batch normalizations go into
//! the convolution before them, activations move before the pool that follows their convolution, and then
//! into it, and the pool as well.

mod activation_before_pool;
mod drop_identity;
mod fold_affine;
mod fuse_activation;
mod fuse_pool;

use crate::graph::Graph;

/// Runs every pass.
pub fn optimize(graph: &mut Graph) {
    drop_identity::run(graph);
    fold_affine::run(graph);
    activation_before_pool::run(graph);
    fuse_activation::run(graph);
    fuse_pool::run(graph);
}
