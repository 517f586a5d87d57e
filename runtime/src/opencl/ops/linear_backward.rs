//! Gradients of linear layers.

use kinglet_kernels::Linear;

use super::arguments::UNLIMITED;
use super::gemm::{Gemm, Matrix};
use super::reduce::Chunks;
use crate::opencl::recording::at_least;
use crate::opencl::{OpenClError, Recording, Slice};

impl Recording {
    /// Writes the gradient of the input. `weights` are `[out_features, in_features]`, not packed;
    /// `params.activation()` is ignored.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn linear_f32_backward_input(
        &mut self,
        params: &Linear,
        batch: usize,
        d_output: Slice<'_>,
        weights: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.in_features(), params.out_features());
        self.gemm(&Gemm {
            groups: 1,
            m: batch,
            n: from,
            k: to,
            a: Matrix {
                slice: d_output,
                stride: to,
                group: 0,
            },
            transpose_a: false,
            b: Matrix {
                slice: weights,
                stride: from,
                group: 0,
            },
            b_columns: from,
            c: Matrix {
                slice: d_input,
                stride: from,
                group: 0,
            },
            bias: None,
            range: UNLIMITED,
        })
    }

    /// Writes the gradients of weights and bias, summed over the batch; `params.activation()` is ignored.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn linear_f32_backward_weights(
        &mut self,
        params: &Linear,
        batch: usize,
        input: Slice<'_>,
        d_output: Slice<'_>,
        d_weights: Slice<'_>,
        d_bias: Option<Slice<'_>>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.in_features(), params.out_features());
        if let Some(d_bias) = d_bias {
            at_least("linear_f32_backward_weights: d_bias", d_bias, to)?;
            // A batch is few rows: one stage.
            let whole = Chunks {
                rows: batch,
                rows_in_chunk: batch.max(1),
                count: 1,
            };
            self.column_sums(whole, to, d_output, d_bias)?;
        }
        self.gemm(&Gemm {
            groups: 1,
            m: to,
            n: from,
            k: batch,
            a: Matrix {
                slice: d_output,
                stride: to,
                group: 0,
            },
            transpose_a: true,
            b: Matrix {
                slice: input,
                stride: from,
                group: 0,
            },
            b_columns: from,
            c: Matrix {
                slice: d_weights,
                stride: from,
                group: 0,
            },
            bias: None,
            range: UNLIMITED,
        })
    }
}
