//! Networks of 8-bit numbers, as `dequantize, compute, quantize`: what operators with quantization of their own
//! are taken apart to.
//!
//! A quantized tensor is kept as what its numbers mean; copies of it need not know. A later pass of the
//! optimizer joins the steps to operations on 8-bit numbers.

use crate::import::onnx::messages::DataType;
use kinglet_kernels::{BinaryFunction, Quantization};
use ndarray::Axis;

use super::{conv, linear, pool};
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

/// Quantizes what an operator on real numbers has computed.
fn quantize_outputs(node: &mut Node<'_>, outputs: Outputs, index: usize) -> Outputs {
    let numbers = numbers(node, index, DataType::Uint8)?;
    let outputs = outputs?.into_iter().map(|output| match output {
        Operand::Value(value) => quantized(node, &value, numbers),
        other => Ok(other),
    });
    outputs.collect()
}

/// `x, w` with scale and zero point each, scale and zero point of the output, and a bias of 32 bits.
pub(super) fn conv(node: &mut Node<'_>) -> Outputs {
    let input_scale = node.scalar(1, "scale of the input")?;
    let input = dequantized(node, 0, 1)?;
    let weights = dequantized(node, 3, 0)?;
    let bias = match node.optional(8) {
        None => None,
        Some(_) => {
            let (_, scales) = node.float_constant(4, "scale of the weights")?;
            let bias = node.integers(8, "bias")?;
            let scale =
                |i: usize| input_scale * scales.get(i).or(scales.last()).copied().unwrap_or(0.0);
            let real: Vec<f32> = bias
                .iter()
                .enumerate()
                .map(|(i, number)| *number as f32 * scale(i))
                .collect();
            Some(Operand::Constant(Tensor::floats(
                ndarray::arr1(&real).into_dyn(),
            )))
        }
    };
    let quantized_inputs =
        std::mem::replace(&mut node.inputs, vec![Some(input), Some(weights), bias]);
    let outputs = conv::conv(node);
    node.inputs = quantized_inputs;
    quantize_outputs(node, outputs, 6)
}

/// `a, b` with scale and zero point each, scale and zero point of the output.
pub(super) fn mat_mul(node: &mut Node<'_>) -> Outputs {
    let inputs = vec![
        Some(dequantized(node, 0, -1)?),
        Some(dequantized(node, 3, -1)?),
    ];
    let quantized_inputs = std::mem::replace(&mut node.inputs, inputs);
    let outputs = linear::mat_mul(node);
    node.inputs = quantized_inputs;
    quantize_outputs(node, outputs, 6)
}

pub(super) fn add(node: &mut Node<'_>) -> Outputs {
    let (first, second) = (dequantized(node, 0, 1)?, dequantized(node, 3, 1)?);
    let sum = node.binary(BinaryFunction::Add, &first, &second);
    quantize_outputs(node, sum.map(|sum| vec![sum]), 6)
}

pub(super) fn global_average(node: &mut Node<'_>) -> Outputs {
    node.require_int("channels_last", 0)?;
    let inputs = vec![Some(dequantized(node, 0, 1)?)];
    let quantized_inputs = std::mem::replace(&mut node.inputs, inputs);
    let outputs = pool::global_average(node);
    node.inputs = quantized_inputs;
    quantize_outputs(node, outputs, 3)
}

/// Tensors with a scale and a zero point each, behind those of the output.
pub(super) fn concat(node: &mut Node<'_>) -> Outputs {
    let places = (2..node.inputs.len()).step_by(3);
    let inputs: Vec<Option<Operand>> = places
        .map(|index| dequantized(node, index, 1).map(Some))
        .collect::<Result<_, _>>()?;
    let quantized_inputs = std::mem::replace(&mut node.inputs, inputs);
    let outputs = super::part::concat(node);
    node.inputs = quantized_inputs;
    quantize_outputs(node, outputs, 0)
}
