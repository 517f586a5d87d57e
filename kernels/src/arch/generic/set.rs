//! What makes a kernel set out of a vector.

/// Implements [`Kernels`](crate::Kernels) and [`BackwardKernels`](crate::BackwardKernels) for `$set`,
/// named `$name`, with vectors of type `$vector` in functions compiled for `$features`.
///
/// `$name` says its name.
///
/// `int8` are the sums of 8-bit numbers and the features that functions with them are compiled for: one kind, or two, of
/// which the first is taken where a method of the set has a token for it.
///
/// `$set` is the vector's token: its values must exist only where the CPU has these features.
macro_rules! simd_set {
    ($set:ty, $name:expr, $vector:ty, $features:literal, int8: $int8:tt) => {
        impl $crate::Kernels for $set {
            fn name(&self) -> &'static str {
                let name: fn(&$set) -> &'static str = $name;
                name(self)
            }

            simd_set! { @int8 $set, $int8 }

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

                fn quantize_i8(to: Quantization, input: &[f32], output: &mut [i8]) =
                    generic::int8::elementwise::quantize;

                fn dequantize_i8(from: Quantization, input: &[i8], output: &mut [f32]) =
                    generic::int8::elementwise::dequantize;

                fn max_pool2d_i8(params: &Pool2d, input: &[i8], output: &mut [i8]) =
                    generic::int8::pool2d::max;

                fn avg_pool2d_i8(params: &AvgPool2dI8, input: &[i8], output: &mut [i8]) =
                    generic::int8::pool2d::average;

                fn add_i8(params: &AddI8, operand: &[i8], data: &mut [i8]) =
                    generic::int8::elementwise::add;

                fn binary_i8(params: &BinaryI8, operand: &[i8], data: &mut [i8]) =
                    generic::int8::elementwise::binary;

                fn requantize_i8(params: &RequantizeI8, data: &mut [i8]) =
                    generic::int8::elementwise::requantize;

                fn strided_copy_i8(params: &StridedCopy, input: &[i8], output: &mut [i8]) =
                    generic::int8::elementwise::strided_copy;
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

    (@int8 $set:ty, $int8:tt) => {
        fn conv2d_i8_packed_len(&self, params: &Conv2dI8) -> usize {
            simd_set! { @sums $int8, self, conv2d::packed_len(params) }
        }

        fn conv2d_i8_pack(&self, params: &Conv2dI8, weights: (&[i8], $crate::RowOrder), packed: &mut [i8]) {
            simd_set! { @sums $int8, self, conv2d::pack(params, weights, packed) }
        }

        fn conv2d_i8_scratch_len(&self, params: &Conv2dI8) -> usize {
            simd_set! { @sums $int8, self, conv2d::scratch_len(params) }
        }

        fn linear_i8_packed_len(&self, params: &LinearI8) -> usize {
            simd_set! { @sums $int8, self, linear::packed_len(params) }
        }

        fn linear_i8_pack(&self, params: &LinearI8, weights: (&[i8], $crate::RowOrder), packed: &mut [i8]) {
            simd_set! { @sums $int8, self, linear::pack(params, weights, packed) }
        }

        fn linear_i8_scratch_len(&self, params: &LinearI8) -> usize {
            simd_set! { @sums $int8, self, linear::scratch_len(params) }
        }

        fn conv2d_i8(
            &self,
            params: &Conv2dI8,
            input: &[i8],
            weights: WeightsI8<'_>,
            scratch: &mut [u8],
            output: &mut [i8],
        ) {
            simd_set! { @forward $int8, self, conv2d, Conv2dI8, (params, input, weights, scratch, output) }
        }

        fn linear_i8(
            &self,
            params: &LinearI8,
            input: &[i8],
            weights: WeightsI8<'_>,
            scratch: &mut [u8],
            output: &mut [i8],
        ) {
            simd_set! { @forward $int8, self, linear, LinearI8, (params, input, weights, scratch, output) }
        }
    };

    (@sums [$sums:ty, $features:literal], $set:ident, $layer:ident::$of:ident $arguments:tt) => {
        generic::int8::$layer::$of::<$sums> $arguments
    };

    (
        @sums
        [$best:ty, $best_features:literal, $token:ident; $other:ty, $other_features:literal],
        $set:ident,
        $layer:ident::$of:ident $arguments:tt
    ) => {
        match $set.$token() {
            Some(_) => generic::int8::$layer::$of::<$best> $arguments,
            None => generic::int8::$layer::$of::<$other> $arguments,
        }
    };

    (@forward [$sums:ty, $features:literal], $set:ident, $layer:ident, $params:ty, $arguments:tt) => {
        simd_set! { @run $sums, $features, *$set, $layer, $params, $arguments }
    };

    (
        @forward
        [$best:ty, $best_features:literal, $token:ident; $other:ty, $other_features:literal],
        $set:ident,
        $layer:ident,
        $params:ty,
        $arguments:tt
    ) => {
        match $set.$token() {
            Some(isa) => simd_set! { @run $best, $best_features, isa, $layer, $params, $arguments },
            None => simd_set! { @run $other, $other_features, *$set, $layer, $params, $arguments },
        }
    };

    (
        @run $sums:ty,
        $features:literal,
        $isa:expr,
        $layer:ident,
        $params:ty,
        ($($argument:ident),*)
    ) => {{
        #[target_feature(enable = $features)]
        fn compiled(
            isa: <$sums as Sums>::Isa,
            params: &$params,
            input: &[i8],
            weights: WeightsI8<'_>,
            scratch: &mut [u8],
            output: &mut [i8],
        ) {
            generic::int8::$layer::forward::<$sums>(isa, params, input, weights, scratch, output)
        }
        let isa: <$sums as Sums>::Isa = $isa;
        #[allow(unused_unsafe, reason = "a build for WebAssembly has the features everywhere")]
        // SAFETY: there is a token for these sums, so the CPU has the features.
        unsafe {
            compiled(isa, $($argument),*)
        }
    }};

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
