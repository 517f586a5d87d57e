//! Copies between tensors of different shapes.
#![allow(unsafe_code)]

use kinglet_kernels::StridedCopy;
use kinglet_kernels::opencl::STRIDED_COPY;

use super::common_element;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

impl Recording {
    /// Copies the elements that `params` names, sample by sample; others of the output are left as they are.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if the slices are not as many whole samples each, or one of the driver's.
    pub fn strided_copy_f32(
        &mut self,
        params: &StridedCopy,
        input: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let batch = output.len().div_ceil(params.output_len());
        at_least(
            "strided_copy_f32: output",
            output,
            batch * params.output_len(),
        )?;
        at_least("strided_copy_f32: input", input, batch * params.input_len())?;
        if batch == 0 {
            return Ok(());
        }
        let (from, to) = params.starts();
        let [rows, columns, run] = params.loops();
        let call = Call::new(&STRIDED_COPY, "strided_copy")
            .storage(common_element(&[input, output])?)
            .slice(input)
            .slice(output)
            .int(batch)
            .int(params.input_len())
            .int(params.output_len())
            .int(from)
            .int(to)
            .int(rows.extent)
            .int(columns.extent)
            .int(run.extent)
            .int(rows.from)
            .int(columns.from)
            .int(run.from)
            .int(rows.to)
            .int(columns.to)
            .int(run.to)
            .global([rows.extent * columns.extent * run.extent, batch, 1])
            .local([64, 1, 1]);
        // SAFETY: both slices have `batch` samples, as was checked, and the loops stay within one of each; no two
        // elements of the box have the same place. Each work-item reads and writes one.
        unsafe { self.push(call) }
    }

    /// `value` for every element of `output`.
    ///
    /// # Errors
    /// One of the driver's.
    pub fn fill_f32(&mut self, value: f32, output: Slice<'_>) -> Result<(), OpenClError> {
        let call = Call::new(&STRIDED_COPY, "fill")
            .storage(common_element(&[output])?)
            .slice(output)
            .int(output.len())
            .float(value)
            .global([output.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: each work-item writes one element of the slice.
        unsafe { self.push(call) }
    }
}
