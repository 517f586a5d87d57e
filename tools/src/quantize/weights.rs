//! The weights of a layer as 8-bit numbers, each output channel with a scale of its own, and its bias at the scale of the
//! sums. They stay real numbers here, whole multiples of their scales: what a quantized file would have said.

/// What a layer computes with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rounded {
    pub(crate) weights: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// The largest size of a weight as a number. -128 has no counterpart, and is left out.
const LARGEST: f32 = 127.0;

/// The largest size of a number less its zero point, times a weight.
const LARGEST_PRODUCT: f32 = 255.0 * 128.0;

/// Weights below are no more than 0: their scale would have no digits.
const SMALLEST: f32 = 1e-30;

/// How many steps a bias is to have where its channel has no weights to say so.
const BIAS_STEPS: f32 = 1_048_576.0;

/// The layer with rows of `row` weights, over numbers of the scale `input`.
pub(crate) fn round(weights: &[f32], row: usize, bias: Option<&[f32]>, input: f32) -> Rounded {
    let biases = bias.into_iter().flatten().copied();
    let biases = biases.chain(std::iter::repeat(0.0));
    let rows = weights.chunks_exact(row);
    let scale: Vec<f32> = rows
        .clone()
        .zip(biases)
        .map(|(weights, bias)| scale(weights, bias, input))
        .collect();
    let pairs = rows.zip(&scale);
    let weights = pairs.flat_map(|(row, scale)| {
        let number = move |weight: &f32| (weight / scale).round().clamp(-LARGEST, LARGEST);
        row.iter().map(move |weight| number(weight) * scale)
    });
    let bias = bias.map(|bias| {
        let pairs = bias.iter().zip(&scale);
        let rounded = pairs.map(|(bias, scale)| {
            // The scale that sums have is itself rounded.
            let step = f64::from(input * scale);
            ((f64::from(*bias) / step).round() * step) as f32
        });
        rounded.collect()
    });
    Rounded {
        weights: weights.collect(),
        bias,
        scale,
    }
}

/// The scale of a channel: as fine as its largest weight leaves it, and so coarse that its bias has room in a sum.
fn scale(weights: &[f32], bias: f32, input: f32) -> f32 {
    let largest = weights.iter().fold(0.0, |most: f32, w| most.max(w.abs()));
    if largest < SMALLEST {
        return match bias.abs() / (input * BIAS_STEPS) {
            scale if scale >= SMALLEST => scale,
            _ => 1.0,
        };
    }
    // What an i32 holds beside the products, and a little less for what an f32 rounds.
    let products = weights.len() as f32 * LARGEST_PRODUCT;
    let room = (0.999 * i32::MAX as f32 - products).max(1.0);
    (largest / LARGEST).max(bias.abs() / (input * room))
}
