//! Whole paths: what a model file, the runtime and the programs of the boards do together, on every kernel set.
//! `cargo test -p kinglet-tests --test paths session::` runs those of one file.

mod allocation;
mod branching;
mod embedded;
mod firmware;
mod format;
mod head;
mod hostile;
mod int8;
mod learning;
mod lies;
mod readme;
mod session;
mod weights_order;
