//! Functions of two tensors, and the affine function of each channel.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::BINARY;
use kinglet_kernels::{Activation, Binary};

use super::arguments::expect;
use super::common_element;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

impl Recording {
    /// A function of each element and the operand at its place, and the activation of the result, in place on all of
    /// `data`. `operand` is one sample for the whole batch, or one for each sample.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if `data` is not made of whole samples or the operand does not fit, or one of the
    /// driver's.
    pub fn binary_f32(
        &mut self,
        params: &Binary,
        operand: Slice<'_>,
        data: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let batch = data.len().div_ceil(params.len());
        at_least("binary_f32: data", data, batch * params.len())?;
        if batch == 0 {
            return Ok(());
        }
        let one_for_all = operand.len() == params.operand_len();
        let operands = if one_for_all { 1 } else { batch };
        at_least(
            "binary_f32: operand",
            operand,
            operands * params.operand_len(),
        )?;
        let [rows, columns, run] = params.loops();
        let (low, high) = params.activation().range();
        let call = Call::new(&BINARY, "binary")
            .storage(common_element(&[data, operand])?)
            .slice(data)
            .slice(operand)
            .int(batch)
            .int(params.len())
            .int(if one_for_all { 0 } else { params.operand_len() })
            .int(columns.extent)
            .int(run.extent)
            .int(rows.from)
            .int(columns.from)
            .int(run.from)
            .int(params.function() as usize)
            .float(low)
            .float(high)
            .global([params.len(), batch, 1])
            .local([64, 1, 1]);
        // SAFETY: `data` has `batch` samples and `operand` as many or one, as was checked; the loops stay within one
        // of each. Each work-item reads and writes one element of `data`.
        unsafe { self.push(call) }
    }

    /// The gradient of the tensor, or with `of_operand` that of the operand, from the gradient of
    /// [`binary_f32`](Self::binary_f32)'s output; that of the activation has been taken. `operands` are the tensor and the
    /// operand, which has a sample for each of the tensor's or, where its own gradient is not wanted, may have one for all.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice does not have as many samples as `operands` begin with, or one of the driver's.
    pub fn binary_f32_backward(
        &mut self,
        params: &Binary,
        [x, operand]: [Slice<'_>; 2],
        d_output: Slice<'_>,
        of_operand: bool,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        expect(Element::F32, &[x, operand, d_output, d_input])?;
        let batch = x.len() / params.len();
        let (len, operand_len) = (batch * params.len(), batch * params.operand_len());
        let one_for_all = !of_operand && operand.len() == params.operand_len();
        let operand_step = if one_for_all { 0 } else { params.operand_len() };
        if !one_for_all {
            at_least("binary_f32_backward: operand", operand, operand_len)?;
        }
        at_least("binary_f32_backward: d_output", d_output, len)?;
        let of_input = if of_operand { operand_len } else { len };
        at_least("binary_f32_backward: d_input", d_input, of_input)?;
        if batch == 0 {
            return Ok(());
        }
        let [rows, columns, run] = params.loops();
        let call = Call::new(&BINARY, "binary_backward")
            .storage(Element::F32)
            .slice(x)
            .slice(operand)
            .slice(d_output)
            .slice(d_input)
            .int(batch)
            .int(params.operand_len())
            .int(operand_step)
            .int(rows.extent)
            .int(columns.extent)
            .int(run.extent)
            .int(rows.from)
            .int(columns.from)
            .int(run.from)
            .int(params.function() as usize)
            .int(usize::from(of_operand))
            .global([of_input / batch, batch, 1])
            .local([64, 1, 1]);
        // SAFETY: all slices have `batch` samples, but an operand of one for all, which is read in steps of 0, as was
        // checked; the loops stay within one of each. Each work-item writes
        // one element of `d_input`.
        unsafe { self.push(call) }
    }

    /// `activation(x * scale + shift)` of each element with the scale and shift of its channel, in place on all of
    /// `data`; `scale` and `shift` have as many elements as there are channels.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if they have not, or `data` is not made of whole positions, or one of the driver's.
    pub fn channel_affine_f32(
        &mut self,
        activation: Activation,
        scale: Slice<'_>,
        shift: Slice<'_>,
        data: Slice<'_>,
    ) -> Result<(), OpenClError> {
        at_least("channel_affine_f32: scale", scale, shift.len().max(1))?;
        at_least("channel_affine_f32: shift", shift, scale.len())?;
        let positions = data.len().div_ceil(scale.len());
        at_least("channel_affine_f32: data", data, positions * scale.len())?;
        if data.is_empty() {
            return Ok(());
        }
        let (low, high) = activation.range();
        let call = Call::new(&BINARY, "channel_affine")
            .storage(common_element(&[data, scale, shift])?)
            .slice(data)
            .slice(scale)
            .slice(shift)
            .int(data.len())
            .int(scale.len())
            .float(low)
            .float(high)
            .global([data.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have their lengths, as was checked; each work-item reads and writes one element of
        // `data`.
        unsafe { self.push(call) }
    }
}
