//! Products with a constant matrix: linear layers, and where there are several rows, convolutions of one tap.

use kinglet_kernels::{Activation, BinaryFunction, Conv2d, Linear, Shape, Window};
use ndarray::ArrayView2;

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::fold;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

/// `alpha * A * B + beta * C`, with `B` transposed or not.
pub(super) fn gemm(node: &mut Node<'_>) -> Outputs {
    node.require_int("transA", 0)?;
    let value = node.value(0, "input")?;
    let (dims, mut matrix) = node.float_constant(1, "weights")?;
    let transposed = node.int("transB", 0) != 0;
    let (&[rows, features], &[first, second]) = (value.dims.as_slice(), dims.as_slice()) else {
        return Err(NodeProblem::Input {
            found: format!("{:?} and a matrix of {dims:?}", value.dims),
            right: "two axes each",
        });
    };
    let (ins, outs) = if transposed {
        (second, first)
    } else {
        (first, second)
    };
    let scale = node
        .constant(1, "weights")?
        .scale_along(usize::from(!transposed), outs);
    if ins != features {
        let right = match transposed {
            true => format!("[out_features, {features}]"),
            false => format!("[{features}, out_features]"),
        };
        return Err(NodeProblem::Constant {
            what: "weights",
            found: format!("of shape {dims:?}"),
            right,
        });
    }
    if !transposed {
        matrix = transpose(&matrix, ins, outs)?;
    }
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    matrix.iter_mut().for_each(|w| *w *= alpha);
    let weight_scale = scale.filter(|_| alpha > 0.0);
    let weight_scale = weight_scale.map(|scale| scale.iter().map(|s| s * alpha).collect());
    let (mut bias, mut summand) = (None, None);
    match node.optional(2).cloned() {
        Some(Operand::Constant(tensor)) => {
            let wrong = || NodeProblem::Constant {
                what: "bias",
                found: tensor.describe(),
                right: format!("float32 that broadcasts to [{rows}, {outs}]"),
            };
            if !fold::broadcast(tensor.dims(), &[rows, outs]).is_ok_and(|d| d == [rows, outs]) {
                return Err(wrong());
            }
            let values = tensor.to_floats().ok_or_else(wrong)?;
            let scaled: Vec<f32> = values.iter().map(|b| b * beta).collect();
            match tensor.dims() {
                [] | [1] | [1, 1] => bias = Some(vec![scaled[0]; outs]),
                [len] | [1, len] if *len == outs => bias = Some(scaled),
                _ => summand = Some(Operand::Constant(fold::scaled(&tensor, beta)?)),
            }
        }
        Some(Operand::Quantized(..)) => {
            return Err(NodeProblem::Refused {
                reason: "its bias is quantized; a DequantizeLinear before it is right".into(),
            });
        }
        Some(Operand::Value(value)) => {
            let beta = Operand::Constant(fold::filled(&[], beta));
            summand = Some(node.binary(BinaryFunction::Multiply, &Operand::Value(value), &beta)?);
        }
        None => {}
    }
    let output = Operand::Value(product(node, &value, (matrix, weight_scale), bias, outs)?);
    Ok(vec![match summand {
        Some(summand) => node.binary(BinaryFunction::Add, &output, &summand)?,
        None => output,
    }])
}

/// The last axis of a tensor times a constant matrix.
pub(super) fn mat_mul(node: &mut Node<'_>) -> Outputs {
    let value = node.value(0, "first factor")?;
    let (dims, matrix) = node.float_constant(1, "second factor")?;
    let features = value.dims.last().copied().unwrap_or(0);
    // A vector is a matrix of one column that its result does not have; axes of 1 in front repeat nothing.
    let (ins, outs) = match dims.as_slice() {
        [ins] => (*ins, 1),
        [front @ .., ins, outs] if front.iter().all(|d| *d == 1) => (*ins, *outs),
        _ => (0, 0),
    };
    if ins != features || ins == 0 {
        return Err(NodeProblem::Constant {
            what: "second factor",
            found: format!("of shape {dims:?}"),
            right: format!("[{features}, columns]"),
        });
    }
    let matrix = transpose(&matrix, ins, outs)?;
    let weight_scale = match dims.len() {
        1 => None,
        rank => node
            .constant(1, "second factor")?
            .scale_along(rank - 1, outs),
    };
    let mut output = product(node, &value, (matrix, weight_scale), None, outs)?;
    if dims.len() == 1 {
        output.dims.pop();
    }
    let missing = dims.len().saturating_sub(value.dims.len());
    output.dims.splice(0..0, vec![1; missing]);
    Ok(vec![Operand::Value(output)])
}

/// `value` with its last axis multiplied by the rows of `matrix`, of which there are `outs`; they may be quantized.
fn product(
    node: &mut Node<'_>,
    value: &Value,
    (matrix, weight_scale): (Vec<f32>, Option<Vec<f32>>),
    bias: Option<Vec<f32>>,
    outs: usize,
) -> Result<Value, NodeProblem> {
    let mut dims = value.dims.clone();
    let ins = dims.pop().unwrap_or(1);
    let rows: Vec<usize> = dims.iter().copied().filter(|d| *d != 1).collect();
    dims.push(outs);
    let refused = |reason| NodeProblem::params(&value.dims, reason);
    let number = if rows.is_empty() {
        let operation = Operation::Linear {
            params: Linear::new(ins, outs, Activation::Identity).map_err(refused)?,
            weights: matrix,
            weight_scale,
            bias,
        };
        node.builder.push(node.name, operation, &[value.number])?
    } else {
        let (width, height) = rows.split_last().map_or((1, &rows[..]), |(w, h)| (*w, h));
        let shape = Shape::new(height.iter().product(), width, ins);
        let window = Window::new(1, 1);
        let params = Conv2d::new(shape, outs, window, 1, Activation::Identity);
        let operation = Operation::Conv2d {
            params: params.map_err(refused)?,
            weights: matrix,
            weight_scale,
            bias,
            pool: None,
        };
        let number = node.builder.view(node.name, value.number, shape)?;
        node.builder.push(node.name, operation, &[number])?
    };
    node.check(&dims)?;
    Ok(Value { number, dims })
}

/// A matrix of `rows` by `columns`, transposed.
fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Result<Vec<f32>, NodeProblem> {
    let matrix = ArrayView2::from_shape([rows, columns], matrix);
    let matrix = matrix.map_err(|error| NodeProblem::Refused {
        reason: error.to_string(),
    })?;
    Ok(matrix.t().iter().copied().collect())
}
