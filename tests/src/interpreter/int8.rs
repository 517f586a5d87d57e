//! What operators on 8-bit numbers mean, written down from `FORMAT.md` in exact arithmetic: integers as they are, and
//! each rounding of an `f32` as one of an `f64` that holds the exact value.

use kinglet::model::NodeSpec;
use kinglet::operator::{
    AvgPool2d, LayerI8, Operator, Owned, QuantizedAdd, QuantizedConv2d, QuantizedLinear, Requantize,
};
use kinglet_kernels::{
    Activation, BinaryFunction, Conv2d, CountPadding, Pool2d, Quantization, Shape, Window,
    reference,
};

use super::{Value, combine};

/// `a * b`, rounded once: the product of two `f32` is exact in `f64`.
fn product(a: f32, b: f32) -> f32 {
    (f64::from(a) * f64::from(b)) as f32
}

/// The number of `output` within `bounds` for `x` of its scales.
fn rounded(output: Quantization, (low, high): (i8, i8), x: f32) -> f32 {
    if x.is_nan() {
        return f32::from(low);
    }
    let zero_point = f64::from(output.zero_point);
    let q = f64::from(x).round_ties_even() + zero_point;
    q.clamp(f64::from(low), f64::from(high)) as f32
}

const WHOLE: (i8, i8) = (i8::MIN, i8::MAX);

/// The number of `quantization` nearest to `x`.
pub(super) fn quantized(quantization: Quantization, x: f32) -> f32 {
    rounded(quantization, WHOLE, x / quantization.scale)
}

/// What the number `q` less its zero point, times `factor`, is.
fn scaled(q: f32, zero_point: i8, factor: f32) -> f32 {
    product(q - f32::from(zero_point), factor)
}

/// What the numbers of a tensor mean.
fn meaning(value: &Value) -> Quantization {
    value.quantization.expect("sample graphs are valid")
}

/// What `node` makes of `inputs`, if it computes with 8-bit numbers.
pub(super) fn output(node: &NodeSpec, inputs: &[&Value]) -> Option<Value> {
    let input = inputs[0];
    if let Operator::Dequantize(_) = node.operator {
        return Some(dequantized(input));
    }
    // What a quantizing node writes: only nodes that compute `f32` have none.
    let to = node.output.dtype.quantization()?;
    let each = |f: &dyn Fn(f32) -> f32| Value {
        shape: input.shape,
        elements: input.elements.iter().map(|x| f(*x)).collect(),
        quantization: Some(to),
    };
    Some(match &node.operator {
        Operator::Quantize(_) => each(&|x| quantized(to, x)),
        Operator::Requantize(Requantize { low, high }) => {
            let from = meaning(input);
            let factor = from.scale / to.scale;
            each(&|q| rounded(to, (*low, *high), scaled(q, from.zero_point, factor)))
        }
        // By the byte of the number.
        Operator::Table(table) => each(&|q| f32::from(table.entries[(q as i32 as u8) as usize])),
        Operator::QuantizedAdd(QuantizedAdd { low, high }) => {
            let terms = [inputs[0], inputs[1]].map(|value| {
                let from = meaning(value);
                let factor = from.scale / to.scale;
                let terms = value.elements.iter();
                let terms = terms.map(move |q| scaled(*q, from.zero_point, factor));
                terms.collect::<Vec<f32>>()
            });
            let pairs = terms[0].iter().zip(&terms[1]);
            let sums = pairs.map(|(a, b)| rounded(to, (*low, *high), a + b));
            Value {
                shape: input.shape,
                elements: sums.collect(),
                quantization: Some(to),
            }
        }
        Operator::QuantizedBinary(binary) => {
            let terms = [inputs[0], inputs[1]].map(meaning);
            let (a, b) = (terms[0].scale, terms[1].scale);
            use BinaryFunction::{Divide, Multiply, PRelu, ReverseDivide};
            let (of_first, of_second, of_both) = match binary.function {
                Multiply => (1.0, 1.0, product(a, b) / to.scale),
                Divide => (1.0, 1.0, a / b / to.scale),
                ReverseDivide => (1.0, 1.0, b / a / to.scale),
                PRelu => (1.0, b, a / to.scale),
                _ => (a / to.scale, b / to.scale, 1.0),
            };
            let term = |value: &Value, factor| Value {
                elements: {
                    let zero_point = meaning(value).zero_point;
                    let numbers = value.elements.iter();
                    numbers.map(|q| scaled(*q, zero_point, factor)).collect()
                },
                ..value.clone()
            };
            let (x, o) = (term(inputs[0], of_first), term(inputs[1], of_second));
            let results = combine(binary.function, Activation::Identity, &x, &o);
            let bounds = (binary.low, binary.high);
            let results = results.elements.iter();
            Value {
                shape: input.shape,
                elements: results
                    .map(|y| rounded(to, bounds, product(*y, of_both)))
                    .collect(),
                quantization: Some(to),
            }
        }
        Operator::Softmax(_) => {
            let mut real = dequantized(input).elements;
            reference::softmax_f32(input.shape.channels, &mut real);
            Value {
                shape: input.shape,
                elements: real.iter().map(|y| quantized(to, *y)).collect(),
                quantization: Some(to),
            }
        }
        Operator::QuantizedLinear(QuantizedLinear { low, high, layer }) => {
            // A convolution whose window is the whole input.
            let window = Window::new(input.shape.height, input.shape.width);
            let sizes = (window, 1, node.output.shape.len());
            conv2d(input, sizes, layer, (*low, *high), to)
        }
        Operator::QuantizedConv2d(QuantizedConv2d {
            window,
            groups,
            low,
            high,
            layer,
        }) => {
            let sizes = (*window, *groups as usize, node.output.shape.channels);
            conv2d(input, sizes, layer, (*low, *high), to)
        }
        Operator::AvgPool2d(pool) => avg_pool2d(input, pool, to),
        _ => return None,
    })
}

fn dequantized(input: &Value) -> Value {
    let from = meaning(input);
    let real = input.elements.iter();
    let real = real.map(|q| scaled(*q, from.zero_point, from.scale));
    Value::real(input.shape, real.collect())
}

/// The positions of a window at output `(y, x)` in the padded input: each with its tap.
fn positions(window: Window, y: usize, x: usize) -> impl Iterator<Item = [usize; 4]> {
    (0..window.kernel_h).flat_map(move |kernel_y| {
        (0..window.kernel_w).map(move |kernel_x| {
            let row = y * window.stride_h + kernel_y * window.dilation_h;
            let column = x * window.stride_w + kernel_x * window.dilation_w;
            [row, column, kernel_y, kernel_x]
        })
    })
}

/// The element of `input` at a position of the padded input, if it is not in the padding.
fn at_padded(input: &Value, window: Window, [row, column, channel]: [usize; 3]) -> Option<f32> {
    let row = row.checked_sub(window.padding.top)?;
    let column = column.checked_sub(window.padding.left)?;
    let inside = row < input.shape.height && column < input.shape.width;
    inside.then(|| input.at([row, column, channel]))
}

fn conv2d(
    input: &Value,
    (window, groups, out_channels): (Window, usize, usize),
    layer: &LayerI8<Owned>,
    bounds: (i8, i8),
    output: Quantization,
) -> Value {
    let params = Conv2d::new(
        input.shape,
        out_channels,
        window,
        groups,
        Activation::Identity,
    );
    let to = params.expect("sample graphs are valid").output();
    let from = meaning(input);
    let (group_in, group_out) = (input.shape.channels / groups, out_channels / groups);
    let quantized = Value::by_place(to, |[y, x, o]| {
        let mut sum = layer.bias.as_ref().map_or(0, |bias| i64::from(bias[o]));
        for [row, column, kernel_y, kernel_x] in positions(window, y, x) {
            for i in 0..group_in {
                let channel = o / group_out * group_in + i;
                // The padding holds the zero point.
                let q = at_padded(input, window, [row, column, channel]);
                let q = q.unwrap_or(f32::from(from.zero_point));
                let tap = (o * window.kernel_h + kernel_y) * window.kernel_w + kernel_x;
                let weight = layer.weights[tap * group_in + i];
                sum += (q as i64 - i64::from(from.zero_point)) * i64::from(weight);
            }
        }
        rounded(output, bounds, product(sum as f32, layer.scale[o]))
    });
    Value {
        quantization: Some(output),
        ..quantized
    }
}

fn avg_pool2d(input: &Value, pool: &AvgPool2d, output: Quantization) -> Value {
    let AvgPool2d {
        window,
        rounding,
        count_padding,
    } = *pool;
    let params = Pool2d::new(input.shape, window, rounding, count_padding);
    let to = params.expect("sample graphs are valid").output();
    let from = meaning(input);
    let p = window.padding;
    let padded = Shape::new(
        input.shape.height + p.top + p.bottom,
        input.shape.width + p.left + p.right,
        1,
    );
    let quantized = Value::by_place(to, |[y, x, channel]| {
        let (mut sum, mut inside, mut counted) = (0, 0, 0);
        for [row, column, ..] in positions(window, y, x) {
            counted += usize::from(row < padded.height && column < padded.width);
            if let Some(q) = at_padded(input, window, [row, column, channel]) {
                sum += q as i64 - i64::from(from.zero_point);
                inside += 1;
            }
        }
        let count = match count_padding {
            CountPadding::Include => counted,
            CountPadding::Exclude => inside,
        };
        let scale = (from.scale / output.scale) / count.max(1) as f32;
        rounded(output, WHOLE, product(sum as f32, scale))
    });
    Value {
        quantization: Some(output),
        ..quantized
    }
}
