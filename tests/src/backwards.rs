//! A kernel set that asks for all that one may ask for.

use kinglet::kernels::{
    Conv2d, Conv2dI8, Kernels, LinearI8, PooledConv2d, RowOrder, WeightsI8, portable,
};

/// A kernel set that wants its weights backwards and some scratch: what a wide SIMD set asks of a session. In debug builds
/// or not, it panics if it is not given what it asked for.
#[derive(Debug, Clone, Copy)]
pub struct Backwards;

impl Backwards {
    /// Elements of scratch for a convolution; with its pool it is twice as much.
    pub const SCRATCH: usize = 11;
}

impl Kernels for Backwards {
    fn name(&self) -> &'static str {
        "backwards"
    }

    fn conv2d_f32_packed_len(&self, params: &Conv2d) -> usize {
        params.weights_len()
    }

    fn conv2d_f32_pack(&self, _: &Conv2d, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), packed.len());
        packed.copy_from_slice(weights);
        packed.reverse();
    }

    fn conv2d_f32_scratch_len(&self, _: &Conv2d) -> usize {
        Self::SCRATCH
    }

    fn conv2d_f32(
        &self,
        params: &Conv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        assert!(scratch.len() >= Self::SCRATCH);
        scratch.fill(f32::NAN);
        let mut weights = weights.to_vec();
        weights.reverse();
        portable::conv2d_f32(params, input, &weights, bias, output);
    }

    fn conv2d_max_pool2d_f32_scratch_len(&self, _: &PooledConv2d) -> usize {
        2 * Self::SCRATCH
    }

    fn conv2d_max_pool2d_f32(
        &self,
        params: &PooledConv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        assert!(scratch.len() >= 2 * Self::SCRATCH);
        scratch.fill(f32::NAN);
        let mut weights = weights.to_vec();
        weights.reverse();
        portable::conv2d_max_pool2d_f32(params, input, &weights, bias, output);
    }

    fn conv2d_i8_packed_len(&self, params: &Conv2dI8) -> usize {
        params.geometry().weights_len()
    }

    fn conv2d_i8_pack(&self, _: &Conv2dI8, (weights, order): (&[i8], RowOrder), packed: &mut [i8]) {
        assert_eq!((weights.len(), order), (packed.len(), RowOrder::Rows));
        assert!(packed.as_ptr().addr().is_multiple_of(64));
        packed.copy_from_slice(weights);
        packed.reverse();
    }

    fn conv2d_i8_scratch_len(&self, _: &Conv2dI8) -> usize {
        Self::SCRATCH
    }

    fn conv2d_i8(
        &self,
        params: &Conv2dI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        scratch: &mut [u8],
        output: &mut [i8],
    ) {
        assert!(scratch.len() >= Self::SCRATCH);
        assert!(scratch.as_ptr().addr().is_multiple_of(64));
        scratch.fill(0xff);
        let mut reversed = weights.weights.to_vec();
        reversed.reverse();
        let weights = WeightsI8 {
            weights: &reversed,
            ..weights
        };
        portable::conv2d_i8(params, input, weights, output);
    }

    fn linear_i8_packed_len(&self, params: &LinearI8) -> usize {
        params.geometry().weights_len()
    }

    fn linear_i8_pack(&self, _: &LinearI8, (weights, order): (&[i8], RowOrder), packed: &mut [i8]) {
        assert_eq!((weights.len(), order), (packed.len(), RowOrder::Rows));
        assert!(packed.as_ptr().addr().is_multiple_of(64));
        packed.copy_from_slice(weights);
        packed.reverse();
    }

    fn linear_i8_scratch_len(&self, _: &LinearI8) -> usize {
        Self::SCRATCH
    }

    fn linear_i8(
        &self,
        params: &LinearI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        scratch: &mut [u8],
        output: &mut [i8],
    ) {
        assert!(scratch.len() >= Self::SCRATCH);
        assert!(scratch.as_ptr().addr().is_multiple_of(64));
        scratch.fill(0xff);
        let mut reversed = weights.weights.to_vec();
        reversed.reverse();
        let weights = WeightsI8 {
            weights: &reversed,
            ..weights
        };
        portable::linear_i8(params, input, weights, output);
    }
}
