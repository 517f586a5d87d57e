//! Stages that read several maps, or only move values: sample by sample, on all threads. No sum goes over samples, so no
//! bit depends on how they are shared out.

use kinglet_kernels::params::Loop;
use kinglet_kernels::{Binary, BinaryFunction};
use rayon::prelude::*;

use super::Pass;
use crate::train::plan::{Copies, Gradient};

pub(crate) enum Join {
    Binary(Binary),
    Copies(Copies),
}

/// One map over the batch: its values, and how many each sample has.
#[derive(Clone, Copy)]
pub(in crate::train) struct Map<'a> {
    pub(in crate::train) values: &'a [f32],
    pub(in crate::train) len: usize,
}

impl<'a> Map<'a> {
    /// The values of `count` samples from `first` on.
    fn samples(self, first: usize, count: usize) -> &'a [f32] {
        &self.values[first * self.len..][..count * self.len]
    }
}

impl Join {
    pub(super) fn forward(&self, pass: &Pass, inputs: &[Map], output: &mut [f32], len: usize) {
        let piece = piece(output.len() / len);
        let pieces = output.par_chunks_mut(piece * len).enumerate();
        pieces.for_each(|(i, output)| {
            let count = output.len() / len;
            let input = |which: usize| inputs[which].samples(i * piece, count);
            match self {
                Self::Binary(params) => {
                    output.copy_from_slice(input(0));
                    pass.kernels.binary_f32(params, input(1), output);
                }
                Self::Copies(copies) => {
                    if let Some(value) = copies.fill {
                        output.fill(value);
                    }
                    for (which, part) in &copies.parts {
                        pass.kernels.strided_copy_f32(part, input(*which), output);
                    }
                }
            }
        });
    }

    /// Computes the gradient of input `which`, or adds to what it is so far.
    pub(in crate::train) fn backward(
        &self,
        which: usize,
        inputs: &[Map],
        d_output: Map,
        d_input: &mut [f32],
        gradient: Gradient,
    ) {
        let len = inputs[which].len;
        let piece = piece(d_input.len() / len);
        let pieces = d_input.par_chunks_mut(piece * len).enumerate();
        pieces.for_each(|(i, d_input)| {
            for (n, d_input) in d_input.chunks_mut(len).enumerate() {
                let sample = i * piece + n;
                let d_output = d_output.samples(sample, 1);
                if gradient == Gradient::Write {
                    d_input.fill(0.0);
                }
                match self {
                    Self::Binary(params) => {
                        let operands = [0, 1].map(|which| inputs[which].samples(sample, 1));
                        binary_backward(params, which, operands, d_output, d_input);
                    }
                    Self::Copies(copies) => {
                        let parts = copies.parts.iter().filter(|(from, _)| *from == which);
                        for (_, part) in parts {
                            let each = |from, to| d_input[from] += d_output[to];
                            for_each(part.starts(), part.loops(), each);
                        }
                    }
                }
            }
        });
    }
}

/// Samples of one thread.
fn piece(samples: usize) -> usize {
    samples.div_ceil(rayon::current_num_threads()).max(1)
}

/// Calls `f` with the place in the tensor that is read and in the one that is written, loop within loop.
fn for_each(
    (from, to): (usize, usize),
    [rows, columns, run]: [Loop; 3],
    mut f: impl FnMut(usize, usize),
) {
    for row in 0..rows.extent {
        for column in 0..columns.extent {
            let from = from + row * rows.from + column * columns.from;
            let to = to + row * rows.to + column * columns.to;
            for i in 0..run.extent {
                f(from + i * run.from, to + i * run.to);
            }
        }
    }
}

/// The pairs of elements and operands of one sample.
struct Pairs<'a> {
    params: &'a Binary,
    which: usize,
    x: &'a [f32],
    o: &'a [f32],
    d_output: &'a [f32],
}

impl Pairs<'_> {
    /// Adds each output's gradient times its slope.
    fn add(&self, d_input: &mut [f32], slope: impl Fn(f32, f32) -> f32) {
        let Self { x, o, d_output, .. } = *self;
        let loops = self.params.loops();
        match self.which {
            0 => for_each((0, 0), loops, |operand, element| {
                d_input[element] += d_output[element] * slope(x[element], o[operand]);
            }),
            _ => for_each((0, 0), loops, |operand, element| {
                d_input[operand] += d_output[element] * slope(x[element], o[operand]);
            }),
        }
    }
}

/// Adds the gradient of the first tensor or, for `which` 1, of the operand, of one sample. What the operand is repeated for
/// adds up in the order of the tensor.
pub(super) fn binary_backward(
    params: &Binary,
    which: usize,
    [x, o]: [&[f32]; 2],
    d_output: &[f32],
    d_input: &mut [f32],
) {
    let of = Pairs {
        params,
        which,
        x,
        o,
        d_output,
    };
    match (params.function(), which) {
        (BinaryFunction::Add, _)
        | (BinaryFunction::Subtract, 0)
        | (BinaryFunction::ReverseSubtract, 1) => {
            if d_input.len() == d_output.len() {
                d_input
                    .iter_mut()
                    .zip(d_output)
                    .for_each(|(sum, d)| *sum += d);
            } else {
                of.add(d_input, |_, _| 1.0);
            }
        }
        (BinaryFunction::Subtract | BinaryFunction::ReverseSubtract, _) => {
            of.add(d_input, |_, _| -1.0)
        }
        (BinaryFunction::Multiply, 0) => of.add(d_input, |_, o| o),
        (BinaryFunction::Multiply, _) => of.add(d_input, |x, _| x),
        (BinaryFunction::Divide, 0) => of.add(d_input, |_, o| 1.0 / o),
        (BinaryFunction::Divide, _) => of.add(d_input, |x, o| -x / (o * o)),
        (BinaryFunction::ReverseDivide, 0) => of.add(d_input, |x, o| -o / (x * x)),
        (BinaryFunction::ReverseDivide, _) => of.add(d_input, |x, _| 1.0 / x),
        (BinaryFunction::Minimum, 0) => of.add(d_input, |x, o| f32::from(x < o)),
        (BinaryFunction::Minimum, _) => of.add(d_input, |x, o| f32::from(x >= o)),
        (BinaryFunction::Maximum, 0) => of.add(d_input, |x, o| f32::from(x > o)),
        (BinaryFunction::Maximum, _) => of.add(d_input, |x, o| f32::from(x <= o)),
        (BinaryFunction::PRelu, 0) => of.add(d_input, |x, o| if x > 0.0 { 1.0 } else { o }),
        (BinaryFunction::PRelu, _) => of.add(d_input, |x, _| if x > 0.0 { 0.0 } else { x }),
    }
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::{Activation, Portable, Shape};

    use super::*;
    use crate::random::{for_sample, uniform};
    use crate::train::stage::Mode;

    /// Numbers from 0.5 to 1.5 of either sign: no divisor is near 0.
    fn numbers(seed: u64, len: usize) -> Vec<f32> {
        let mut rng = for_sample(seed, 0, 0, 0);
        let number =
            |i: usize| (uniform(&mut rng) + 0.5) * if i.is_multiple_of(3) { -1.0 } else { 1.0 };
        (0..len).map(number).collect()
    }

    #[test]
    fn gradients_of_two_maps_are_those_of_finite_differences() {
        let shape = Shape::new(3, 2, 4);
        for (operand, function) in [
            shape,
            Shape::vector(4),
            Shape::new(3, 2, 1),
            Shape::new(1, 2, 4),
        ]
        .into_iter()
        .flat_map(|operand| BinaryFunction::ALL.map(|function| (operand, function)))
        {
            let params = Binary::new(function, Activation::Identity, shape, operand).unwrap();
            let join = Join::Binary(params);
            let pass = Pass {
                kernels: &Portable,
                mode: Mode::Evaluate,
                parameters: &[],
            };
            let samples = 2;
            let lens = [shape.len(), operand.len()];
            let mut values = [0, 1].map(|i| numbers(i as u64, samples * lens[i]));
            let d_output = numbers(5, samples * shape.len());
            // Sums of a few hundred terms at most; the sum of all outputs times their gradients.
            let total = |values: &[Vec<f32>; 2]| {
                let maps = [0, 1].map(|i| Map {
                    values: &values[i],
                    len: lens[i],
                });
                let mut output = vec![0.0; samples * shape.len()];
                join.forward(&pass, &maps, &mut output, shape.len());
                let terms = output.iter().zip(&d_output);
                terms
                    .map(|(x, d)| f64::from(*x) * f64::from(*d))
                    .sum::<f64>()
            };
            for which in [0, 1] {
                let maps = [0, 1].map(|i| Map {
                    values: &values[i],
                    len: lens[i],
                });
                let d_map = Map {
                    values: &d_output,
                    len: shape.len(),
                };
                let mut found = vec![f32::NAN; samples * lens[which]];
                join.backward(which, &maps, d_map, &mut found, Gradient::Write);
                let mut twice = found.clone();
                join.backward(which, &maps, d_map, &mut twice, Gradient::Add);
                for (place, d) in found.iter().enumerate() {
                    let what = format!("{function:?} of {operand:?}, {which}, {place}");
                    assert!(
                        (twice[place] - 2.0 * d).abs() <= 1e-5 * d.abs().max(1.0),
                        "{what}"
                    );
                    let (step, own) = (1e-3, values[which][place]);
                    values[which][place] = own + step;
                    let above = total(&values);
                    values[which][place] = own - step;
                    let slope = (above - total(&values)) / f64::from(2.0 * step);
                    values[which][place] = own;
                    assert!(
                        (slope - f64::from(*d)).abs() < 0.02,
                        "{what}: {d}, slope {slope}"
                    );
                }
            }
        }
    }
}
