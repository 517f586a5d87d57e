//! What makes a kernel set out of a vector.

/// Implements [`Kernels`](crate::Kernels) and [`BackwardKernels`](crate::BackwardKernels) for `$set`,
/// named `$name`, with vectors of type `$vector` in functions compiled for `$features`.
///
/// `$set` is the vector's token: its values must exist only where the CPU has these features.
macro_rules! simd_set {
    ($set:ty, $name:literal, $vector:ty, $features:literal) => {
        impl $crate::Kernels for $set {
            fn name(&self) -> &'static str {
                $name
            }

            fn conv2d_f32_packed_len(&self, params: &Conv2d) -> usize {
                generic::conv2d::packed_len::<$vector>(params)
            }

            fn conv2d_f32_pack(&self, params: &Conv2d, weights: &[f32], packed: &mut [f32]) {
                generic::conv2d::pack::<$vector>(params, weights, packed);
            }

            fn conv2d_max_pool2d_f32_scratch_len(&self, params: &PooledConv2d) -> usize {
                generic::conv2d::pooled_scratch_len(params)
            }

            simd_set! { @compiled $set, $features;
                fn conv2d_f32(
                    params: &Conv2d,
                    input: &[f32],
                    weights: &[f32],
                    bias: Option<&[f32]>,
                    scratch: &mut [f32],
                    output: &mut [f32],
                ) = generic::conv2d::forward::<$vector>;

                fn conv2d_max_pool2d_f32(
                    params: &PooledConv2d,
                    input: &[f32],
                    weights: &[f32],
                    bias: Option<&[f32]>,
                    scratch: &mut [f32],
                    output: &mut [f32],
                ) = generic::conv2d::pooled::<$vector>;

                fn linear_f32(
                    params: &Linear,
                    input: &[f32],
                    weights: &[f32],
                    bias: Option<&[f32]>,
                    output: &mut [f32],
                ) = generic::linear::forward::<$vector>;

                fn max_pool2d_f32(
                    params: &Pool2d,
                    input: &[f32],
                    output: &mut [f32],
                ) = generic::pool2d::max::<$vector>;

                fn avg_pool2d_f32(
                    params: &Pool2d,
                    input: &[f32],
                    output: &mut [f32],
                ) = generic::pool2d::average::<$vector>;

                fn unary_f32(function: Unary, data: &mut [f32]) =
                    generic::elementwise::unary::<$vector>;

                fn softmax_f32(channels: usize, data: &mut [f32]) =
                    generic::elementwise::softmax::<$vector>;

                fn binary_f32(params: &Binary, operand: &[f32], data: &mut [f32]) =
                    generic::binary::binary::<$vector>;

                fn channel_affine_f32(
                    activation: Activation,
                    scale: &[f32],
                    shift: &[f32],
                    data: &mut [f32],
                ) = generic::binary::channel_affine::<$vector>;

                fn strided_copy_f32(
                    params: &StridedCopy,
                    input: &[f32],
                    output: &mut [f32],
                ) = generic::strided_copy::strided_copy::<$vector>;
            }
        }

        impl $crate::BackwardKernels for $set {
            fn conv2d_f32_backward_scratch_len(&self, params: &Conv2d) -> usize {
                generic::conv2d_backward::scratch_len::<$vector>(params)
            }

            simd_set! { @compiled $set, $features;
                fn peak_f32(macs: u64, factor: f32, sum: &mut f32) = generic::peak::run::<$vector>;

                fn conv2d_f32_backward_input(
                    params: &Conv2d,
                    d_output: &[f32],
                    weights: &[f32],
                    scratch: &mut [f32],
                    d_input: &mut [f32],
                ) = generic::conv2d_backward::input::<$vector>;

                fn conv2d_f32_backward_weights(
                    params: &Conv2d,
                    input: &[f32],
                    d_output: &[f32],
                    scratch: &mut [f32],
                    d_weights: &mut [f32],
                    d_bias: Option<&mut [f32]>,
                ) = generic::conv2d_backward::weights::<$vector>;

                fn linear_f32_backward_input(
                    params: &Linear,
                    d_output: &[f32],
                    weights: &[f32],
                    d_input: &mut [f32],
                ) = generic::linear::backward_input::<$vector>;

                fn linear_f32_backward_weights(
                    params: &Linear,
                    rows: core::ops::Range<usize>,
                    input: &[f32],
                    d_output: &[f32],
                    d_weights: &mut [f32],
                    d_bias: Option<&mut [f32]>,
                ) = generic::linear::backward_weights::<$vector>;

                fn max_pool2d_f32_backward(
                    params: &Pool2d,
                    input: &[f32],
                    d_output: &[f32],
                    d_input: &mut [f32],
                ) = generic::pool2d::max_backward::<$vector>;

                fn avg_pool2d_f32_backward(
                    params: &Pool2d,
                    d_output: &[f32],
                    d_input: &mut [f32],
                ) = generic::pool2d::average_backward::<$vector>;

                fn unary_f32_backward(function: Unary, output: &[f32], d: &mut [f32]) =
                    generic::elementwise::unary_backward::<$vector>;

                fn softmax_f32_backward(channels: usize, output: &[f32], d: &mut [f32]) =
                    generic::elementwise::softmax_backward::<$vector>;
            }
        }
    };

    (@compiled $set:ty, $features:literal; $(
        fn $method:ident($($argument:ident: $type:ty),* $(,)?) = $body:path;
    )*) => {$(
        fn $method(&self, $($argument: $type),*) {
            #[target_feature(enable = $features)]
            fn compiled(isa: $set, $($argument: $type),*) {
                $body(isa, $($argument),*)
            }
            #[allow(unused_unsafe, reason = "a build for WebAssembly has the features everywhere")]
            // SAFETY: there is a value of this type, so the CPU has the features.
            unsafe {
                compiled(*self, $($argument),*)
            }
        }
    )*};
}
pub(crate) use simd_set;
