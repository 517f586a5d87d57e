//! The kernels for OpenCL devices, as text: real `.cl` files, compiled by the device's driver at run time.
//!
//! The files say what each kernel computes and on what. The host's side, which checks every length before a
//! kernel may run, is the module `opencl` of the runtime.

/// Storage and functions of one element: stands before each of the others.
pub const PRELUDE: &str = include_str!("prelude.cl");
/// Gradients of batch normalization and its forward passes.
pub const BATCH_NORM: &str = include_str!("batch_norm.cl");
/// The loss and its gradient.
pub const CROSS_ENTROPY: &str = include_str!("cross_entropy.cl");
/// Gradients of depthwise convolutions.
pub const DEPTHWISE_CONV2D_BACKWARD: &str = include_str!("depthwise_conv2d_backward.cl");
/// Gradients of functions of one element, of softmax and of dropout.
pub const ELEMENTWISE_BACKWARD: &str = include_str!("elementwise_backward.cl");
/// A convolution's input as a matrix, and back.
pub const IM2COL: &str = include_str!("im2col.cl");
/// Steps of the optimizers.
pub const OPTIMIZER: &str = include_str!("optimizer.cl");
/// Gradients of pools.
pub const POOL2D_BACKWARD: &str = include_str!("pool2d_backward.cl");
/// Sums in a fixed order.
pub const REDUCE: &str = include_str!("reduce.cl");
