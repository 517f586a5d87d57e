//! Arithmetic on constants.

use kinglet_kernels::BinaryFunction;
use ndarray::{ArrayD, Axis, Zip, concatenate};

use super::operand::Operand;
use super::tensor::{self, Array, Tensor, Values};
use crate::import::NodeProblem;

/// A constant of one float everywhere.
pub(super) fn filled(dims: &[usize], value: f32) -> Tensor {
    Tensor::floats(ArrayD::from_elem(dims, value))
}

/// The shape that two shapes are broadcast to.
pub(super) fn broadcast(first: &[usize], second: &[usize]) -> Result<Vec<usize>, NodeProblem> {
    let rank = first.len().max(second.len());
    let extent = |dims: &[usize], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(own) => dims[own],
        None => 1,
    };
    let joint = |axis| match (extent(first, axis), extent(second, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let dims: Option<Vec<usize>> = (0..rank).map(joint).collect();
    dims.ok_or_else(|| NodeProblem::Refused {
        reason: format!("shapes {first:?} and {second:?} do not broadcast to each other"),
    })
}

/// A function of two constants of the same type, broadcast to `dims`.
pub(super) fn binary(
    function: BinaryFunction,
    first: &Tensor,
    second: &Tensor,
    dims: &[usize],
) -> Result<Tensor, NodeProblem> {
    let values = match (&first.values, &second.values) {
        (Values::Floats(a), Values::Floats(b)) => {
            Values::Floats(zip(a, b, dims, |a, b| function.apply(a, b)))
        }
        (Values::Integers(a), Values::Integers(b)) => {
            let (least, most) = tensor::range(first.data_type);
            let mut fits = true;
            let result = zip(a, b, dims, |a, b| {
                let result = integer(function, a, b).filter(|r| (least..=most).contains(r));
                fits &= result.is_some();
                result.unwrap_or(0)
            });
            if !fits {
                return Err(NodeProblem::Refused {
                    reason: "its result is no integer of its type".into(),
                });
            }
            Values::Integers(result)
        }
        _ => {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "{} and {} are of different types",
                    first.describe(),
                    second.describe()
                ),
            });
        }
    };
    Ok(first.with(values))
}

/// None where the result is too large or there is none.
fn integer(function: BinaryFunction, a: i64, b: i64) -> Option<i64> {
    match function {
        BinaryFunction::Add => a.checked_add(b),
        BinaryFunction::Subtract => a.checked_sub(b),
        BinaryFunction::ReverseSubtract => b.checked_sub(a),
        BinaryFunction::Multiply => a.checked_mul(b),
        BinaryFunction::Divide => a.checked_div(b),
        BinaryFunction::Minimum => Some(a.min(b)),
        BinaryFunction::Maximum => Some(a.max(b)),
        _ => None,
    }
}

fn zip<T: Copy>(
    first: &Array<T>,
    second: &Array<T>,
    dims: &[usize],
    function: impl FnMut(T, T) -> T,
) -> Array<T> {
    let (first, second) = (first.broadcast(dims), second.broadcast(dims));
    let (first, second) = first
        .zip(second)
        .expect("the caller has compared the shapes");
    let mut function = function;
    Zip::from(&first)
        .and(&second)
        .map_collect(|a, b| function(*a, *b))
        .into_shared()
}

/// Constants of one type one after the other.
pub(super) fn concat(axis: usize, operands: &[Operand]) -> Result<Tensor, NodeProblem> {
    let tensors: Vec<&Tensor> = operands
        .iter()
        .filter_map(|operand| match operand {
            Operand::Constant(tensor) => Some(tensor),
            Operand::Value(_) | Operand::Quantized(..) => None,
        })
        .collect();
    let floats: Option<Vec<_>> = tensors
        .iter()
        .map(|tensor| match &tensor.values {
            Values::Floats(array) => Some(array.view()),
            Values::Integers(_) => None,
        })
        .collect();
    let integers: Option<Vec<_>> = tensors
        .iter()
        .map(|tensor| match &tensor.values {
            Values::Integers(array) => Some(array.view()),
            Values::Floats(_) => None,
        })
        .collect();
    let joined = match (floats, integers) {
        (Some(arrays), _) => {
            concatenate(Axis(axis), &arrays).map(|a| Values::Floats(a.into_shared()))
        }
        (_, Some(arrays)) => {
            concatenate(Axis(axis), &arrays).map(|a| Values::Integers(a.into_shared()))
        }
        _ => {
            return Err(NodeProblem::Refused {
                reason: "it joins constants of different types".into(),
            });
        }
    };
    let values = joined.map_err(|error| NodeProblem::Refused {
        reason: error.to_string(),
    })?;
    Ok(tensors[0].with(values))
}

/// A function of each element of a constant.
pub(super) fn unary(tensor: &Tensor, function: impl Fn(f32) -> f32) -> Result<Tensor, NodeProblem> {
    match &tensor.values {
        Values::Floats(array) => {
            Ok(tensor.with(Values::Floats(array.mapv(function).into_shared())))
        }
        Values::Integers(_) => Err(NodeProblem::Constant {
            what: "input",
            found: tensor.describe(),
            right: "float32".into(),
        }),
    }
}

/// A constant broadcast to `dims`, 0 where `factors` are.
pub(super) fn masked(
    tensor: &Tensor,
    factors: &Tensor,
    dims: &[usize],
) -> Result<Tensor, NodeProblem> {
    let (Values::Floats(values), Values::Floats(factors)) = (&tensor.values, &factors.values)
    else {
        return Err(NodeProblem::Constant {
            what: "choice",
            found: tensor.describe(),
            right: "float32".into(),
        });
    };
    let chosen = |x: f32, factor: f32| if factor == 0.0 { 0.0 } else { x };
    Ok(tensor.with(Values::Floats(zip(values, factors, dims, chosen))))
}

/// A constant times a number.
pub(super) fn scaled(tensor: &Tensor, factor: f32) -> Result<Tensor, NodeProblem> {
    with_scalar(tensor, BinaryFunction::Multiply, factor)
}

/// A function of each element and a whole number or, for floats, any other.
pub(super) fn with_scalar(
    tensor: &Tensor,
    function: BinaryFunction,
    operand: f32,
) -> Result<Tensor, NodeProblem> {
    let operand = match &tensor.values {
        Values::Floats(_) => filled(&[], operand),
        Values::Integers(_) => tensor.with(Values::Integers(tensor::array(
            &[],
            std::iter::once(operand as i64),
        ))),
    };
    binary(function, tensor, &operand, tensor.dims())
}

/// A constant broadcast to the shape `dims`, which fits.
pub(super) fn expand(tensor: &Tensor, dims: &[usize]) -> Tensor {
    let values = tensor::each_type!(&tensor.values, array => {
        let array = array.broadcast(dims).expect("the caller has compared the shapes");
        array.to_owned().into_shared()
    });
    tensor.with(values)
}

/// The elements of a constant at `indices` along an axis.
pub(super) fn select(tensor: &Tensor, axis: usize, indices: &[usize]) -> Tensor {
    let values = tensor::each_type!(&tensor.values, array => {
        array.select(Axis(axis), indices).into_shared()
    });
    tensor.with(values)
}
