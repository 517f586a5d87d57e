//! A linear layer over the whole batch, with the activation behind it.
//!
//! Forward and the gradient of the input are shared out by samples, the gradient of the weights by rows of
//! the weight matrix: no sum is divided, so no bit depends on how.

use kinglet_kernels::Linear;
use rayon::prelude::*;

use super::{Backward, Pass};
use crate::train::plan::{Place, function_of};

/// Rows of the weight matrix that a thread takes at least: less would be all overhead.
const MIN_ROWS: usize = 8;

pub(crate) struct LinearStage {
    params: Linear,
    place: Place,
}

impl LinearStage {
    pub(super) fn new(params: Linear, place: Place) -> Self {
        Self { params, place }
    }

    /// Samples of one thread.
    fn piece(&self, input: &[f32]) -> usize {
        let samples = input.len() / self.params.in_features();
        samples.div_ceil(rayon::current_num_threads()).max(1)
    }

    pub(super) fn forward(&self, pass: &Pass, input: &[f32], output: &mut [f32]) {
        let params = &self.params;
        let (weights, bias) = self.place.values(pass.parameters);
        let piece = self.piece(input);
        input
            .par_chunks(piece * params.in_features())
            .zip(output.par_chunks_mut(piece * params.out_features()))
            .for_each(|(input, output)| {
                pass.kernels
                    .linear_f32(params, input, weights, bias, output);
            });
    }

    pub(super) fn backward(&self, pass: &Pass, of: Backward) {
        let params = &self.params;
        let (weights, _) = self.place.values(pass.parameters);
        let (inputs, outputs) = (params.in_features(), params.out_features());
        let piece = self.piece(of.input);
        if let Some(function) = function_of(params.activation()) {
            let pieces = of.output.par_chunks(piece * outputs);
            pieces
                .zip(of.d_output.par_chunks_mut(piece * outputs))
                .for_each(|(output, d)| pass.kernels.unary_f32_backward(function, output, d));
        }
        let d_output = &*of.d_output;
        let gradients = of.gradients;
        let input = of.input;
        let mut weight_gradients = move || {
            let rows = outputs
                .div_ceil(2 * rayon::current_num_threads())
                .max(MIN_ROWS);
            let (d_weights, d_bias) = self.place.gradients(gradients, 0);
            let compute = |i: usize, d_weights: &mut [f32], mut d_bias: Option<&mut [f32]>| {
                let first = i * rows;
                let last = (first + rows).min(outputs);
                d_weights.fill(0.0);
                if let Some(d_bias) = &mut d_bias {
                    d_bias.fill(0.0);
                }
                pass.kernels.linear_f32_backward_weights(
                    params,
                    first..last,
                    input,
                    d_output,
                    d_weights,
                    d_bias,
                );
            };
            let d_weights = d_weights.par_chunks_mut(rows * inputs).with_max_len(1);
            match d_bias {
                Some(d_bias) => d_weights
                    .zip(d_bias.par_chunks_mut(rows))
                    .enumerate()
                    .for_each(|(i, (d_weights, d_bias))| compute(i, d_weights, Some(d_bias))),
                None => d_weights
                    .enumerate()
                    .for_each(|(i, d_weights)| compute(i, d_weights, None)),
            }
        };
        let input_gradient = |d_input: &mut [f32]| {
            d_input
                .par_chunks_mut(piece * inputs)
                .zip(d_output.par_chunks(piece * outputs))
                .for_each(|(d_input, d_output)| {
                    pass.kernels
                        .linear_f32_backward_input(params, d_output, weights, d_input);
                });
        };
        // Both only read the gradient of the output: one wait for the two of them.
        match of.d_input {
            Some(d_input) => {
                rayon::join(weight_gradients, || input_gradient(d_input));
            }
            None => weight_gradients(),
        }
    }
}
