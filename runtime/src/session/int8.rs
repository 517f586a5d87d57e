//! Running operators on 8-bit numbers.

use kinglet_kernels::{Kernels, StridedCopy};

use super::{Session, in_place, input_output, values_mut};
use crate::model::schema::bits;
use crate::record::{Int8, Region};

impl<const OPS: u64, K: Kernels> Session<'_, OPS, K> {
    /// Runs one operation. Each arm is behind its bit of `OPS`, as those of `f32` are.
    pub(super) fn execute_int8(&mut self, operation: &Int8, input: Region, output: Region) {
        let (batch, kernels) = (self.batch, &self.kernels);
        let activations = &mut *self.activations;
        match operation {
            Int8::Quantize(to) if OPS & bits::QUANTIZE_I8 != 0 => {
                if let Some((input, output)) = input_output(activations, batch, input, output) {
                    kernels.quantize_i8(*to, input, output);
                }
            }
            Int8::Dequantize(from) if OPS & bits::DEQUANTIZE_I8 != 0 => {
                if let Some((input, output)) = input_output(activations, batch, input, output) {
                    kernels.dequantize_i8(*from, input, output);
                }
            }
            Int8::Conv2d { params, layer } if OPS & bits::CONV2D_I8 != 0 => {
                let weights = layer.of(self.model.weights());
                if let Some((input, output)) = input_output(activations, batch, input, output) {
                    kernels.conv2d_i8(params, input, weights, output);
                }
            }
            Int8::Linear { params, layer } if OPS & bits::LINEAR_I8 != 0 => {
                let weights = layer.of(self.model.weights());
                if let Some((input, output)) = input_output(activations, batch, input, output) {
                    kernels.linear_i8(params, input, weights, output);
                }
            }
            Int8::MaxPool2d(params) if OPS & bits::MAX_POOL2D_I8 != 0 => {
                if let Some((input, output)) = input_output(activations, batch, input, output) {
                    kernels.max_pool2d_i8(params, input, output);
                }
            }
            Int8::AvgPool2d(params) if OPS & bits::AVG_POOL2D_I8 != 0 => {
                if let Some((input, output)) = input_output(activations, batch, input, output) {
                    kernels.avg_pool2d_i8(params, input, output);
                }
            }
            Int8::Add { params, operand } if OPS & bits::ADD_I8 != 0 => {
                in_place::<i8>(activations, batch, input, output);
                if let Some((operand, data)) = input_output(activations, batch, *operand, output) {
                    kernels.add_i8(params, operand, data);
                }
            }
            Int8::Softmax(params) if OPS & bits::SOFTMAX_I8 != 0 => {
                kernels.softmax_i8(params, in_place(activations, batch, input, output));
            }
            Int8::Requantize(params) if OPS & bits::REQUANTIZE_I8 != 0 => {
                kernels.requantize_i8(params, in_place(activations, batch, input, output));
            }
            Int8::Reshape if OPS & bits::RESHAPE_I8 != 0 => {
                in_place::<i8>(activations, batch, input, output);
            }
            Int8::Pad { copy, value } if OPS & bits::PAD_I8 != 0 => {
                values_mut::<i8>(activations, batch, output).fill(*value);
                self.strided_copy_i8(copy, input, output);
            }
            Int8::Concat { params, others } if OPS & bits::CONCAT_I8 != 0 => {
                let inputs = core::iter::once(&input).chain(others);
                for (copy, input) in params.copies().zip(inputs) {
                    self.strided_copy_i8(&copy, *input, output);
                }
            }
            Int8::Slice(copy) if OPS & bits::SLICE_I8 != 0 => {
                self.strided_copy_i8(copy, input, output);
            }
            Int8::Transpose(copy) if OPS & bits::TRANSPOSE_I8 != 0 => {
                self.strided_copy_i8(copy, input, output);
            }
            Int8::Upsample(params) if OPS & bits::UPSAMPLE_I8 != 0 => {
                for copy in params.copies() {
                    self.strided_copy_i8(&copy, input, output);
                }
            }
            // An operator outside of `OPS`: refused when the session was made.
            _ => {}
        }
    }

    fn strided_copy_i8(&mut self, copy: &StridedCopy, input: Region, output: Region) {
        if let Some((input, output)) = input_output(self.activations, self.batch, input, output) {
            self.kernels.strided_copy_i8(copy, input, output);
        }
    }
}
