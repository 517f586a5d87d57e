//! What a kernel set is: one way to compute every operation, chosen once per session.
//!
//! The argument order is the same everywhere: params, input, weights, bias, scratch, output. The caller
//! brings every buffer; nothing here allocates. Activations are NHWC, weights OHWI, and the batch is the
//! length of a slice divided by the length of one sample.
//!
//! Rules for every set, which the suite in `testing` checks:
//! 1. **Agreement.** Results are within a stated bound of [`crate::reference`]; those of
//!    [`crate::portable`] are the same bits, and so are all 8-bit numbers of every set.
//! 2. **Batch invariance.** The bits of one sample's output do not depend on the batch it is in, nor on
//!    its place there. Callers may split a batch over threads as they like.
//! 3. **No panic.** Slices that are too short are a caller's error: `debug_assert!`, and in release
//!    builds some output is left as it was, but nothing is read or written out of bounds.

use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, RowOrder, SoftmaxI8, StridedCopy, TableI8, Unary, WeightsI8,
};
use crate::portable;
use crate::quant::Quantization;

/// The forward operations of one kernel set.
///
/// Every method has the portable implementation as its default, so a new set starts with the
/// operations that it makes faster. A set that wants its weights in another order says so with
/// [`conv2d_f32_packed_len`](Self::conv2d_f32_packed_len) and its siblings, packs them once, and from then on receives
/// the packed slice as `weights`.
#[auto_impl::auto_impl(&)]
pub trait Kernels: Sync {
    /// The set's name, as in `--kernels NAME`: `portable`, `avx2`, ...
    fn name(&self) -> &'static str;

    /// Elements that [`conv2d_f32_pack`](Self::conv2d_f32_pack) writes; 0 if the set reads OHWI in place.
    fn conv2d_f32_packed_len(&self, params: &Conv2d) -> usize {
        let _ = params;
        0
    }

    /// Reorders OHWI `weights` for [`conv2d_f32`](Self::conv2d_f32). Does nothing in a set that reads
    /// them in place.
    fn conv2d_f32_pack(&self, params: &Conv2d, weights: &[f32], packed: &mut [f32]) {
        let _ = (params, weights, packed);
    }

    /// Elements of scratch that [`conv2d_f32`](Self::conv2d_f32) needs, for any batch.
    fn conv2d_f32_scratch_len(&self, params: &Conv2d) -> usize {
        let _ = params;
        0
    }

    /// Convolution, bias and activation. `weights` are OHWI, or packed where the set asks for it.
    /// Without `bias` it is 0. Scratch holds anything before and after.
    fn conv2d_f32(
        &self,
        params: &Conv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let _ = scratch;
        portable::conv2d_f32(params, input, weights, bias, output);
    }

    /// Elements of scratch that [`conv2d_max_pool2d_f32`](Self::conv2d_max_pool2d_f32) needs, for any batch.
    fn conv2d_max_pool2d_f32_scratch_len(&self, params: &PooledConv2d) -> usize {
        let _ = params;
        0
    }

    /// Convolution, bias, activation and the maximum over each window of the result, with the bits of
    /// [`conv2d_f32`](Self::conv2d_f32) and then [`max_pool2d_f32`](Self::max_pool2d_f32). `weights` are as
    /// for the convolution alone: a set that packs them brings both operations.
    fn conv2d_max_pool2d_f32(
        &self,
        params: &PooledConv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let _ = scratch;
        portable::conv2d_max_pool2d_f32(params, input, weights, bias, output);
    }

    /// Linear layer, bias and activation; `weights` are `[out_features, in_features]`.
    fn linear_f32(
        &self,
        params: &Linear,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        output: &mut [f32],
    ) {
        portable::linear_f32(params, input, weights, bias, output);
    }

    /// Maximum over each window. A NaN in a window is its maximum.
    fn max_pool2d_f32(&self, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        portable::max_pool2d_f32(params, input, output);
    }

    /// Average over each window.
    fn avg_pool2d_f32(&self, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        portable::avg_pool2d_f32(params, input, output);
    }

    /// A function of each element, in place.
    fn unary_f32(&self, function: Unary, data: &mut [f32]) {
        portable::unary_f32(function, data);
    }

    /// Softmax over each run of `channels` values, in place; the largest is subtracted first, so no
    /// input overflows.
    fn softmax_f32(&self, channels: usize, data: &mut [f32]) {
        portable::softmax_f32(channels, data);
    }

    /// The logarithm of softmax over each run of `channels` values, in place.
    fn log_softmax_f32(&self, channels: usize, data: &mut [f32]) {
        portable::log_softmax_f32(channels, data);
    }

    /// A function of each element and the operand at its place, and the activation of the result, in place.
    /// `operand` is one sample for the whole batch, or one for each sample. Every set gives the same bits.
    fn binary_f32(&self, params: &Binary, operand: &[f32], data: &mut [f32]) {
        portable::binary_f32(params, operand, data);
    }

    /// `activation(x * scale + shift)` of each element with the scale and shift of its channel, in place;
    /// `[channels]` each. Every set gives the same bits.
    fn channel_affine_f32(
        &self,
        activation: Activation,
        scale: &[f32],
        shift: &[f32],
        data: &mut [f32],
    ) {
        portable::channel_affine_f32(activation, scale, shift, data);
    }

    /// Copies the elements that `params` names; others of the output are left as they are.
    fn strided_copy_f32(&self, params: &StridedCopy, input: &[f32], output: &mut [f32]) {
        portable::strided_copy(params, input, output);
    }

    /// 8-bit numbers from real ones: `rint(x / scale) + zero_point` within -128 to 127; NaN becomes -128.
    fn quantize_i8(&self, to: Quantization, input: &[f32], output: &mut [i8]) {
        portable::quantize_i8(to, input, output);
    }

    /// What 8-bit numbers mean: `(q - zero_point) * scale`.
    fn dequantize_i8(&self, from: Quantization, input: &[i8], output: &mut [f32]) {
        portable::dequantize_i8(from, input, output);
    }

    /// Bytes that [`conv2d_i8_pack`](Self::conv2d_i8_pack) writes; 0 if the set reads weights in place, in any order.
    fn conv2d_i8_packed_len(&self, params: &Conv2dI8) -> usize {
        let _ = params;
        0
    }

    /// Reorders weights for [`conv2d_i8`](Self::conv2d_i8). `packed` begins at a multiple of 64 bytes, then and whenever it
    /// is used, and may hold numbers of any type.
    fn conv2d_i8_pack(&self, params: &Conv2dI8, weights: (&[i8], RowOrder), packed: &mut [i8]) {
        let _ = (params, weights, packed);
    }

    /// Bytes of scratch that [`conv2d_i8`](Self::conv2d_i8) needs, for any batch.
    fn conv2d_i8_scratch_len(&self, params: &Conv2dI8) -> usize {
        let _ = params;
        0
    }

    /// Convolution and bias in `i32`, requantized. Without a bias it is 0. Weights are packed where the set asks for
    /// it. Scratch begins at a multiple of 64 bytes and holds anything before and after.
    fn conv2d_i8(
        &self,
        params: &Conv2dI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        scratch: &mut [u8],
        output: &mut [i8],
    ) {
        let _ = scratch;
        portable::conv2d_i8(params, input, weights, output);
    }

    /// Bytes that [`linear_i8_pack`](Self::linear_i8_pack) writes; 0 if the set reads weights in place, in any order.
    fn linear_i8_packed_len(&self, params: &LinearI8) -> usize {
        let _ = params;
        0
    }

    /// As [`conv2d_i8_pack`](Self::conv2d_i8_pack), for [`linear_i8`](Self::linear_i8).
    fn linear_i8_pack(&self, params: &LinearI8, weights: (&[i8], RowOrder), packed: &mut [i8]) {
        let _ = (params, weights, packed);
    }

    /// Bytes of scratch that [`linear_i8`](Self::linear_i8) needs, for any batch.
    fn linear_i8_scratch_len(&self, params: &LinearI8) -> usize {
        let _ = params;
        0
    }

    /// Linear layer and bias in `i32`, requantized. Weights and scratch are as for [`conv2d_i8`](Self::conv2d_i8).
    fn linear_i8(
        &self,
        params: &LinearI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        scratch: &mut [u8],
        output: &mut [i8],
    ) {
        let _ = scratch;
        portable::linear_i8(params, input, weights, output);
    }

    /// Maximum over each window; -128 where a window sees no position.
    fn max_pool2d_i8(&self, params: &Pool2d, input: &[i8], output: &mut [i8]) {
        portable::max_pool2d_i8(params, input, output);
    }

    /// Average over each window: the sum in `i32`, requantized by [`AvgPool2dI8::scale`].
    fn avg_pool2d_i8(&self, params: &AvgPool2dI8, input: &[i8], output: &mut [i8]) {
        portable::avg_pool2d_i8(params, input, output);
    }

    /// The sum of each number and the operand at its place, in place. Both are taken to the output's scale in `f32`,
    /// added and rounded.
    fn add_i8(&self, params: &AddI8, operand: &[i8], data: &mut [i8]) {
        portable::add_i8(params, operand, data);
    }

    /// A function of each number and the operand at its place, in place, as [`BinaryI8`] says. `operand` is one sample for
    /// the whole batch, or one for each sample.
    fn binary_i8(&self, params: &BinaryI8, operand: &[i8], data: &mut [i8]) {
        portable::binary_i8(params, operand, data);
    }

    /// Numbers of one scale and zero point as such of another, in place.
    fn requantize_i8(&self, params: &RequantizeI8, data: &mut [i8]) {
        portable::requantize_i8(params, data);
    }

    /// The entry of `table` for each number, in place.
    fn table_i8(&self, table: &TableI8, data: &mut [i8]) {
        portable::table_i8(table, data);
    }

    /// Softmax over each run of channels, in place: dequantized, canonical `f32` as that of [`crate::portable`],
    /// quantized.
    fn softmax_i8(&self, params: &SoftmaxI8, data: &mut [i8]) {
        portable::softmax_i8(params, data);
    }

    /// Copies the elements that `params` names; others of the output are left as they are.
    fn strided_copy_i8(&self, params: &StridedCopy, input: &[i8], output: &mut [i8]) {
        portable::strided_copy(params, input, output);
    }
}

/// A kernel set for microcontrollers: what it asks for beside a session's arena is known from a model's prefix at compile
/// time, so that `Sizes::arena_for` is a constant.
pub trait StaticKernels: Kernels {
    /// Bytes of scratch for each product of the longest sum of a model: two of 16 bits, say, for a window of the input in
    /// twice the width. A set like this packs no weights.
    const SCRATCH_PER_TERM: usize;

    /// Bytes of scratch beside, whatever the model.
    const SCRATCH: usize;
}

/// The backward operations that training on a host uses. `d_x` is the gradient of the loss with respect
/// to `x`. Activations are not part of them: `params.activation()` is ignored, and the gradient of an
/// activation is [`unary_f32_backward`](Self::unary_f32_backward).
pub trait BackwardKernels: Kernels {
    /// Elements of scratch that either backward convolution needs, for any batch.
    fn conv2d_f32_backward_scratch_len(&self, params: &Conv2d) -> usize {
        let _ = params;
        0
    }

    /// Writes the gradient of the input. `weights` are OHWI, never packed.
    fn conv2d_f32_backward_input(
        &self,
        params: &Conv2d,
        d_output: &[f32],
        weights: &[f32],
        scratch: &mut [f32],
        d_input: &mut [f32],
    ) {
        let _ = scratch;
        portable::conv2d_f32_backward_input(params, d_output, weights, d_input);
    }

    /// Adds the gradients of weights (OHWI) and bias, summed over the batch.
    fn conv2d_f32_backward_weights(
        &self,
        params: &Conv2d,
        input: &[f32],
        d_output: &[f32],
        scratch: &mut [f32],
        d_weights: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        let _ = scratch;
        portable::conv2d_f32_backward_weights(params, input, d_output, d_weights, d_bias);
    }

    /// Writes the gradient of the input.
    fn linear_f32_backward_input(
        &self,
        params: &Linear,
        d_output: &[f32],
        weights: &[f32],
        d_input: &mut [f32],
    ) {
        portable::linear_f32_backward_input(params, d_output, weights, d_input);
    }

    /// Adds the gradients of the weights and bias of the output features in `rows`, summed over the
    /// batch. `d_weights` and `d_bias` hold those rows only, so that threads can share the work by rows:
    /// the bits do not depend on how.
    fn linear_f32_backward_weights(
        &self,
        params: &Linear,
        rows: core::ops::Range<usize>,
        input: &[f32],
        d_output: &[f32],
        d_weights: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        portable::linear_f32_backward_weights(params, rows, input, d_output, d_weights, d_bias);
    }

    /// Writes the gradient of a max pool's input: each output's goes to the first position, in row-major
    /// order, that holds the maximum.
    fn max_pool2d_f32_backward(
        &self,
        params: &Pool2d,
        input: &[f32],
        d_output: &[f32],
        d_input: &mut [f32],
    ) {
        portable::max_pool2d_f32_backward(params, input, d_output, d_input);
    }

    /// Writes the gradient of an average pool's input.
    fn avg_pool2d_f32_backward(&self, params: &Pool2d, d_output: &[f32], d_input: &mut [f32]) {
        portable::avg_pool2d_f32_backward(params, d_output, d_input);
    }

    /// Turns the gradient of the output into that of the input, in place. `output` is what the forward
    /// function returned. A function without [`Unary::has_backward`] leaves `d` as it is.
    fn unary_f32_backward(&self, function: Unary, output: &[f32], d: &mut [f32]) {
        portable::unary_f32_backward(function, output, d);
    }

    /// Turns the gradient of the output into that of the input, in place, of any function. `input` is what the forward
    /// function was given.
    fn unary_f32_backward_from_input(&self, function: Unary, input: &[f32], d: &mut [f32]) {
        portable::unary_f32_backward_from_input(function, input, d);
    }

    /// Turns the gradient of softmax's output into that of its input, in place.
    fn softmax_f32_backward(&self, channels: usize, output: &[f32], d: &mut [f32]) {
        portable::softmax_f32_backward(channels, output, d);
    }

    /// Turns the gradient of the output of softmax's logarithm into that of its input, in place.
    fn log_softmax_f32_backward(&self, channels: usize, output: &[f32], d: &mut [f32]) {
        portable::log_softmax_f32_backward(channels, output, d);
    }

    /// At least `macs` multiply-accumulates on registers alone, for benchmarks: no operation of this set can
    /// do more of them in the same time. They are `x = x * factor + factor` in some number of accumulators,
    /// which start at 0 and are added to `sum` at the end.
    fn peak_f32(&self, macs: u64, factor: f32, sum: &mut f32) {
        portable::peak_f32(macs, factor, sum);
    }
}
