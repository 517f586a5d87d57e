//! What the calls of several kernels have in common.

use std::format;

use kinglet_kernels::{Shape, Unary, Window};

use crate::opencl::recording::Call;
use crate::opencl::{Element, OpenClError, Slice};

/// The range of a matrix product without an activation.
pub(super) const UNLIMITED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// The shapes and the window of a convolution or pool, as the kernels of gradients take them.
pub(super) fn window<'a>(call: Call<'a>, from: Shape, to: Shape, window: Window) -> Call<'a> {
    call.int(from.height)
        .int(from.width)
        .int(from.channels)
        .int(to.height)
        .int(to.width)
        .int(window.kernel_h)
        .int(window.kernel_w)
        .int(window.stride_h)
        .int(window.stride_w)
        .int(window.dilation_h)
        .int(window.dilation_w)
        .int(window.padding.top)
        .int(window.padding.left)
}

/// A function's number in `prelude.cl`, and its own numbers: `a` and `b` there.
pub(super) fn unary(function: Unary) -> (usize, [f32; 2]) {
    match function {
        Unary::Relu => (1, [0.0; 2]),
        Unary::Relu6 => (2, [0.0; 2]),
        Unary::LeakyRelu { slope } => (3, [slope, 0.0]),
        Unary::Sigmoid => (4, [0.0; 2]),
        Unary::Tanh => (5, [0.0; 2]),
        Unary::Clip { low, high } => (6, [low, high]),
        Unary::Elu { alpha } => (7, [alpha, 0.0]),
        Unary::HardSigmoid { alpha, beta } => (8, [alpha, beta]),
        Unary::HardSwish => (9, [0.0; 2]),
        Unary::Selu { alpha, gamma } => (10, [alpha, gamma]),
        Unary::Swish { alpha } => (11, [alpha, 0.0]),
        Unary::Softplus => (12, [0.0; 2]),
        Unary::Softsign => (13, [0.0; 2]),
        Unary::Mish => (14, [0.0; 2]),
        Unary::Gelu => (15, [0.0; 2]),
        Unary::GeluTanh => (16, [0.0; 2]),
        Unary::Erf => (17, [0.0; 2]),
        Unary::Abs => (18, [0.0; 2]),
        Unary::Exp => (19, [0.0; 2]),
        Unary::Log => (20, [0.0; 2]),
        Unary::Sqrt => (21, [0.0; 2]),
        Unary::Power { exponent } => (22, [exponent, 0.0]),
    }
}

/// `Ok` if all of `slices` hold `element`: kernels of training know no storage in f16.
pub(super) fn expect(element: Element, slices: &[Slice<'_>]) -> Result<(), OpenClError> {
    match slices.iter().find(|slice| slice.element() != element) {
        None => Ok(()),
        Some(slice) => Err(OpenClError::Unsupported {
            reason: format!(
                "{element:?} is needed, the buffer holds {:?}",
                slice.element()
            ),
        }),
    }
}
