//! Networks of 8-bit numbers, as `dequantize, compute, quantize`: what operators with quantization of their own
//! are taken apart to.
//!
//! A quantized tensor is kept as what its numbers mean; copies of it need not know. A later pass of the
//! optimizer joins the steps to operations on 8-bit numbers.

use crate::import::onnx::messages::DataType;
use kinglet_kernels::{BinaryFunction, Quantization};
use ndarray::Axis;

use super::{conv, elementwise, linear, normalize, part, pool};
use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::door::Numbers;
use crate::import::onnx::node::{Node, Outputs, wrong};
use crate::import::onnx::operand::{Meaning, Operand};
use crate::import::onnx::tensor::{Tensor, Values, WeightScale, range};

pub(super) fn quantize(node: &mut Node<'_>) -> Outputs {
    node.require_int("block_size", 0)?;
    // Without a zero point its attribute says what it writes, unsigned numbers if there is none.
    let output_type = match node.int("output_dtype", 0) {
        0 => DataType::Uint8,
        found => match i32::try_from(found).map(DataType::try_from) {
            Ok(Ok(data_type)) => data_type,
            _ => DataType::Undefined,
        },
    };
    let numbers = numbers(node, 1, output_type)?;
    match node.input(0, "input")? {
        Operand::Value(value) => Ok(vec![quantized(node, &value, numbers)?]),
        Operand::Constant(tensor) => {
            let data_type = if numbers.signed {
                DataType::Int8
            } else {
                DataType::Uint8
            };
            let (least, most) = range(data_type);
            let Values::Floats(array) = &tensor.values else {
                return Err(wrong("input", &tensor, "float32"));
            };
            node.budget.take(tensor.dims())?;
            let number = |x: f32| {
                let rounded = (x / numbers.scale).round_ties_even() as i64;
                rounded
                    .saturating_add(numbers.zero_point.into())
                    .clamp(least, most)
            };
            let values = Values::Integers(array.mapv(number).into_shared());
            Ok(vec![Operand::Constant(Tensor {
                data_type,
                ..tensor.with(values)
            })])
        }
        Operand::Quantized(..) => Err(NodeProblem::Refused {
            reason: "its input is quantized already".into(),
        }),
    }
}

pub(super) fn dequantize(node: &mut Node<'_>) -> Outputs {
    node.require_int("block_size", 0)?;
    dequantized(node, 0, node.int("axis", 1)).map(|operand| vec![operand])
}

/// Input `index` with the scale and the zero point that follow it.
fn dequantized(node: &mut Node<'_>, index: usize, axis: i64) -> Result<Operand, NodeProblem> {
    match node.input(index, "input")? {
        Operand::Constant(tensor) => {
            dequantized_constant(node, &tensor, index, axis).map(Operand::Constant)
        }
        Operand::Value(value) => Err(NodeProblem::Input {
            found: format!("real numbers, {:?}", value.dims),
            right: "quantized ones",
        }),
        Operand::Quantized(value, known) => {
            // Without a zero point it reads what was written.
            let signed = match known {
                Meaning::Known(known) => known.signed,
                Meaning::OfInput { signed, .. } => signed,
            };
            let data_type = match signed {
                true => DataType::Int8,
                false => DataType::Uint8,
            };
            let numbers = numbers(node, index + 1, data_type)?;
            let input = match known {
                Meaning::Known(known) if known == numbers => return Ok(Operand::Value(value)),
                Meaning::Known(_) => {
                    return Err(NodeProblem::Refused {
                        reason:
                            "it is dequantized by another scale or zero point than it was quantized by"
                                .into(),
                    });
                }
                Meaning::OfInput { input, .. } => input,
            };
            // An input's numbers mean what is read from them first.
            node.input_numbers[input] = Some(numbers);
            match quantized(node, &value, numbers)? {
                Operand::Quantized(value, _) => Ok(Operand::Value(value)),
                other => Ok(other),
            }
        }
    }
}

/// A constant whose integers are multiplied by a scale: one for all, or one for each index along `axis`.
fn dequantized_constant(
    node: &mut Node<'_>,
    tensor: &Tensor,
    index: usize,
    axis: i64,
) -> Result<Tensor, NodeProblem> {
    let Values::Integers(array) = &tensor.values else {
        return Err(wrong("input", tensor, "integers"));
    };
    let (scale_dims, scales) = node.float_constant(index + 1, "scale")?;
    let zero_points = match node.optional(index + 2) {
        Some(_) => node.integers(index + 2, "zero point")?,
        None => vec![0],
    };
    let along = match scales.len() {
        1 => None,
        _ => Some(node.axis(axis, tensor.dims().len())?),
    };
    let len = along.map_or(1, |axis| tensor.dims()[axis]);
    if scales.len() != len || (zero_points.len() != len && zero_points.len() != 1) {
        return Err(NodeProblem::Constant {
            what: "scale",
            found: format!("of shape {scale_dims:?}"),
            right: format!("one number, or {len}"),
        });
    }
    node.budget.take(tensor.dims())?;
    let zero_point = |i: usize| {
        zero_points
            .get(i)
            .or(zero_points.last())
            .copied()
            .unwrap_or(0)
    };
    let mut small = true;
    let mut real = |number: i64, i: usize| {
        let number = number.saturating_sub(zero_point(i));
        small &= i8::try_from(number).is_ok();
        number as f32 * scales[i]
    };
    let mut values = array.mapv(|_| 0.0f32);
    match along {
        None => ndarray::Zip::from(&mut values)
            .and(array)
            .for_each(|v, n| *v = real(*n, 0)),
        Some(axis) => {
            let lanes = values
                .axis_iter_mut(Axis(axis))
                .zip(array.axis_iter(Axis(axis)));
            for (i, (mut values, numbers)) in lanes.enumerate() {
                ndarray::Zip::from(&mut values)
                    .and(&numbers)
                    .for_each(|v, n| *v = real(*n, i));
            }
        }
    }
    let mut tensor = Tensor::floats(values);
    tensor.scale = small.then(|| WeightScale {
        scales: scales.into(),
        axis: along,
    });
    Ok(tensor)
}

/// Scale and zero point of a whole tensor: inputs `index` and the one behind it. Where there is no zero point, the numbers
/// are of `data_type`.
fn numbers(node: &Node<'_>, index: usize, data_type: DataType) -> Result<Numbers, NodeProblem> {
    let scale = node.scalar(index, "scale")?;
    let (data_type, zero_point) = match node.optional(index + 1) {
        None => (data_type, 0),
        Some(_) => {
            let tensor = node.constant(index + 1, "zero point")?;
            match tensor.to_integers().as_deref() {
                Some(&[zero_point]) => (tensor.data_type, zero_point),
                _ => return Err(wrong("zero point", &tensor, "one integer")),
            }
        }
    };
    let zero_point = i16::try_from(zero_point).unwrap_or(i16::MAX);
    let signed = match data_type {
        DataType::Int8 => true,
        DataType::Uint8 => false,
        other => {
            return Err(NodeProblem::Constant {
                what: "zero point",
                found: other.name().to_lowercase(),
                right: "int8 or uint8".into(),
            });
        }
    };
    Ok(Numbers {
        scale,
        zero_point,
        signed,
    })
}

/// `value` as far as 8-bit numbers tell it.
fn quantized(node: &mut Node<'_>, value: &Value, numbers: Numbers) -> Result<Operand, NodeProblem> {
    // Unsigned numbers are signed ones, 128 higher.
    let zero_point = numbers
        .zero_point
        .saturating_sub(if numbers.signed { 0 } else { 128 });
    let zero_point = i8::try_from(zero_point).map_err(|_| NodeProblem::Constant {
        what: "zero point",
        found: numbers.zero_point.to_string(),
        right: "a number of its type".into(),
    })?;
    let quantization = Quantization::new(numbers.scale, zero_point);
    quantization.check()?;
    let mut number = value.number;
    for operation in [
        Operation::Quantize(quantization),
        Operation::Dequantize(quantization),
    ] {
        number = node.builder.push(node.name, operation, &[number])?;
    }
    let dims = value.dims.clone();
    Ok(Operand::Quantized(
        Value { number, dims },
        Meaning::Known(numbers),
    ))
}

/// What `translate` makes of `inputs`, which are real numbers in the place of the node's own; scale and zero point of the
/// result are inputs `index` and the one behind it of the node. Without a zero point it is of the type that input `like` has.
fn computed(
    node: &mut Node<'_>,
    (index, like): (usize, usize),
    inputs: Vec<Operand>,
    translate: impl FnOnce(&mut Node<'_>) -> Outputs,
) -> Outputs {
    let own = std::mem::replace(&mut node.inputs, inputs.into_iter().map(Some).collect());
    let outputs = translate(node);
    node.inputs = own;
    let numbers = numbers(node, index, data_type(node, like))?;
    let outputs = outputs?.into_iter().map(|output| match output {
        Operand::Value(value) => quantized(node, &value, numbers),
        other => Ok(other),
    });
    outputs.collect()
}

/// The type of the 8-bit numbers that input `index` has.
fn data_type(node: &Node<'_>, index: usize) -> DataType {
    let signed = match node.optional(index) {
        Some(Operand::Quantized(_, Meaning::Known(numbers))) => numbers.signed,
        Some(Operand::Quantized(_, Meaning::OfInput { signed, .. })) => *signed,
        _ => false,
    };
    match signed {
        true => DataType::Int8,
        false => DataType::Uint8,
    }
}

/// Numbers that a sum of products may start with, as what they mean: the scale is that of input `first` times those of the
/// input behind the weights `first + 3`, times `factor`.
fn bias(
    node: &Node<'_>,
    (index, first): (usize, usize),
    factor: f32,
) -> Result<Option<Operand>, NodeProblem> {
    if node.optional(index).is_none() {
        return Ok(None);
    }
    let input_scale = node.scalar(first, "scale of the input")?;
    let (_, scales) = node.float_constant(first + 3, "scale of the weights")?;
    let numbers = node.integers(index, "bias")?;
    let scale = |i: usize| scales.get(i).or(scales.last()).copied().unwrap_or(0.0);
    let real: Vec<f32> = numbers
        .iter()
        .enumerate()
        .map(|(i, number)| *number as f32 * (input_scale * scale(i) * factor))
        .collect();
    let real = Tensor::floats(ndarray::arr1(&real).into_dyn());
    Ok(Some(Operand::Constant(real)))
}

/// `x, w` with scale and zero point each, scale and zero point of the output, and a bias of 32 bits.
pub(super) fn conv(node: &mut Node<'_>) -> Outputs {
    let mut inputs = vec![dequantized(node, 0, 1)?, dequantized(node, 3, 0)?];
    inputs.extend(bias(node, (8, 1), 1.0)?);
    computed(node, (6, 0), inputs, conv::conv)
}

/// `a, b` with scale and zero point each, scale and zero point of the output.
pub(super) fn mat_mul(node: &mut Node<'_>) -> Outputs {
    let inputs = vec![dequantized(node, 0, -1)?, dequantized(node, 3, -1)?];
    computed(node, (6, 0), inputs, linear::mat_mul)
}

/// `a, b` with scale and zero point each, a bias of 32 bits, and scale and zero point of the output, which is of real
/// numbers without them.
pub(super) fn gemm(node: &mut Node<'_>) -> Outputs {
    let along = match node.int("transB", 0) {
        0 => 1,
        _ => 0,
    };
    let mut inputs = vec![dequantized(node, 0, 1)?, dequantized(node, 3, along)?];
    // What the product is multiplied by is a part of the scale that the bias has.
    inputs.extend(bias(node, (6, 1), node.float("alpha", 1.0))?);
    if node.optional(7).is_some() {
        return computed(node, (7, 0), inputs, linear::gemm);
    }
    node.inputs = inputs.into_iter().map(Some).collect();
    linear::gemm(node)
}

pub(super) fn add(node: &mut Node<'_>) -> Outputs {
    binary(node, BinaryFunction::Add)
}

pub(super) fn mul(node: &mut Node<'_>) -> Outputs {
    binary(node, BinaryFunction::Multiply)
}

/// Two tensors with scale and zero point each, scale and zero point of the output.
fn binary(node: &mut Node<'_>, function: BinaryFunction) -> Outputs {
    let (first, second) = (dequantized(node, 0, 1)?, dequantized(node, 3, 1)?);
    computed(node, (6, 0), Vec::new(), |node| {
        Ok(vec![node.binary(function, &first, &second)?])
    })
}

/// A tensor with scale and zero point, scale and zero point of the output.
fn unary(node: &mut Node<'_>, translate: fn(&mut Node<'_>) -> Outputs) -> Outputs {
    let inputs = vec![dequantized(node, 0, 1)?];
    computed(node, (3, 0), inputs, translate)
}

pub(super) fn sigmoid(node: &mut Node<'_>) -> Outputs {
    unary(node, elementwise::sigmoid)
}

pub(super) fn leaky_relu(node: &mut Node<'_>) -> Outputs {
    unary(node, elementwise::leaky_relu)
}

pub(super) fn softmax(node: &mut Node<'_>) -> Outputs {
    // It says itself what it means: that of older operator sets is over several axes.
    let opset = node.opset;
    node.opset = node.int("opset", opset);
    let outputs = unary(node, normalize::softmax);
    node.opset = opset;
    outputs
}

pub(super) fn average(node: &mut Node<'_>) -> Outputs {
    node.require_int("channels_last", 0)?;
    unary(node, pool::average)
}

pub(super) fn global_average(node: &mut Node<'_>) -> Outputs {
    node.require_int("channels_last", 0)?;
    unary(node, pool::global_average)
}

/// Tensors with a scale and a zero point each, behind those of the output.
pub(super) fn concat(node: &mut Node<'_>) -> Outputs {
    let places = (2..node.inputs.len()).step_by(3);
    let inputs: Vec<Operand> = places
        .map(|index| dequantized(node, index, 1))
        .collect::<Result<_, _>>()?;
    computed(node, (0, 2), inputs, part::concat)
}
