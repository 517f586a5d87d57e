//! Constants that are nodes, and what is computed from shapes.

use kinglet_kernels::BinaryFunction;
use ndarray::ArrayD;

use crate::import::NodeProblem;
use crate::import::onnx::fold;
use crate::import::onnx::messages::DataType;
use crate::import::onnx::node::{Node, Outputs, wrong};
use crate::import::onnx::operand::Operand;
use crate::import::onnx::tensor::{self, Tensor, Values, each_type, is_float};

pub(super) fn constant(node: &mut Node<'_>) -> Outputs {
    let floats = |dims: &[usize], values: &[f32]| {
        let array = tensor::array(dims, values.iter().copied());
        Tensor::floats(array.into_owned())
    };
    let tensor = if let Some(proto) = node.tensor("value") {
        // Only initializers may be kept in another file.
        tensor::read(proto, None).map_err(|problem| tensor::problem("value", problem))?
    } else if let Some(values) = node.floats("value_floats") {
        floats(&[values.len()], values)
    } else if node.has("value_float") {
        floats(&[], &[node.float("value_float", 0.0)])
    } else if let Some(values) = node.ints("value_ints") {
        Tensor::int64(&[values.len()], values)
    } else if node.has("value_int") {
        Tensor::int64(&[], &[node.int("value_int", 0)])
    } else {
        return Err(NodeProblem::Missing { what: "value" });
    };
    Ok(vec![Operand::Constant(tensor)])
}

/// How many elements the input has.
pub(super) fn size(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let len = input.dims().iter().product::<usize>() as i64;
    Ok(vec![Operand::Constant(Tensor::int64(&[], &[len]))])
}

/// To the type of another tensor; real numbers stay what they are.
pub(super) fn cast_like(node: &mut Node<'_>) -> Outputs {
    let to = match node.input(1, "target type")? {
        Operand::Value(_) => DataType::Float,
        Operand::Constant(tensor) => tensor.data_type,
        Operand::Quantized(..) => {
            return Err(NodeProblem::Refused {
                reason: "it casts to quantized numbers; a QuantizeLinear is right".into(),
            });
        }
    };
    cast_to(node, Some(to))
}

/// Whether elements of constants are equal.
pub(super) fn equal(node: &mut Node<'_>) -> Outputs {
    let (first, second) = (
        node.constant(0, "first operand")?,
        node.constant(1, "second operand")?,
    );
    let dims = fold::broadcast(first.dims(), second.dims())?;
    node.budget.take(&dims)?;
    let difference = fold::binary(BinaryFunction::Subtract, &first, &second, &dims)?;
    let zeros: Vec<i64> = match &difference.values {
        Values::Floats(array) => array.iter().map(|x| i64::from(*x == 0.0)).collect(),
        Values::Integers(array) => array.iter().map(|x| i64::from(*x == 0)).collect(),
    };
    let values = Values::Integers(tensor::array(&dims, zeros.into_iter()));
    let equal = Tensor {
        data_type: DataType::Bool,
        ..difference.with(values)
    };
    Ok(vec![Operand::Constant(equal)])
}

/// The dimensions of the input from `start` to before `end`.
pub(super) fn shape(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let rank = i64::try_from(input.dims().len()).unwrap_or(i64::MAX);
    let from_front = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank);
    let start = from_front(node.int("start", 0)) as usize;
    let end = from_front(node.int("end", rank)) as usize;
    let dims = input.dims().get(start..end).unwrap_or_default();
    let dims: Vec<i64> = dims.iter().map(|extent| *extent as i64).collect();
    Ok(vec![Operand::Constant(Tensor::int64(&[dims.len()], &dims))])
}

/// One value everywhere; a float of 0 if none is given.
pub(super) fn constant_of_shape(node: &mut Node<'_>) -> Outputs {
    let shape = node.integers(0, "shape")?;
    let dims: Option<Vec<usize>> = shape.iter().map(|d| usize::try_from(*d).ok()).collect();
    let dims = dims.ok_or_else(|| NodeProblem::Constant {
        what: "shape",
        found: format!("{shape:?}"),
        right: "numbers of at least 0".into(),
    })?;
    let value = match node.tensor("value") {
        Some(proto) => {
            tensor::read(proto, None).map_err(|problem| tensor::problem("value", problem))?
        }
        None => fold::filled(&[1], 0.0),
    };
    if value.len() != 1 {
        return Err(wrong("value", &value, "one element"));
    }
    node.budget.take(&dims)?;
    let values = each_type!(&value.values, array => {
        let element = *array.iter().next().expect("there is one");
        ArrayD::from_elem(dims.as_slice(), element).into_shared()
    });
    Ok(vec![Operand::Constant(value.with(values))])
}

/// `start`, `start + delta` and so on, to before `limit`.
pub(super) fn range(node: &mut Node<'_>) -> Outputs {
    let bounds = [
        node.constant(0, "start")?,
        node.constant(1, "limit")?,
        node.constant(2, "delta")?,
    ];
    let integers: Option<Vec<i64>> = bounds
        .iter()
        .map(|b| b.to_integers()?.first().copied())
        .collect();
    let Some(&[start, limit, delta]) = integers.as_deref() else {
        return Err(wrong(
            "start",
            &bounds[0],
            "one integer, like limit and delta,",
        ));
    };
    let distance = if delta < 0 {
        start.checked_sub(limit)
    } else {
        limit.checked_sub(start)
    };
    let (Some(distance), 1..) = (distance, delta.unsigned_abs()) else {
        return Err(NodeProblem::Refused {
            reason: format!("it goes from {start} to {limit} in steps of {delta}"),
        });
    };
    let count = distance
        .max(0)
        .unsigned_abs()
        .div_ceil(delta.unsigned_abs());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    node.budget.take(&[count])?;
    let values: Vec<i64> = (0..count as i64).map(|i| start + i * delta).collect();
    let range = Tensor::int64(&[count], &values);
    Ok(vec![Operand::Constant(bounds[0].with(range.values))])
}

/// From one type to another; what depends on the input is float32 and stays so.
pub(super) fn cast(node: &mut Node<'_>) -> Outputs {
    let to = i32::try_from(node.int("to", 0))
        .ok()
        .and_then(|to| DataType::try_from(to).ok());
    cast_to(node, to)
}

fn cast_to(node: &mut Node<'_>, to: Option<DataType>) -> Outputs {
    let input = node.input(0, "input")?;
    let refused = |right: &str| NodeProblem::Attribute {
        name: "to",
        found: to.map_or("no type".to_owned(), DataType::name),
        right: right.into(),
    };
    let Some(to) = to else {
        return Err(refused("a type of the ONNX standard"));
    };
    let tensor = match input {
        // Numbers of 16 bits are computed with 32, and so are those of 64.
        Operand::Value(_) if is_float(to) => return Ok(vec![input]),
        Operand::Value(_) | Operand::Quantized(..) => {
            return Err(refused("a type of real numbers"));
        }
        Operand::Constant(tensor) => tensor,
    };
    node.budget.take(tensor.dims())?;
    let (least, most) = tensor::range(to);
    let values = match &tensor.values {
        Values::Floats(array) if to == DataType::Float => Values::Floats(array.clone()),
        Values::Integers(array) if is_float(to) => {
            Values::Floats(array.mapv(|x| x as f32).into_shared())
        }
        Values::Floats(array) if to == DataType::Bool => {
            Values::Integers(array.mapv(|x| i64::from(x != 0.0)).into_shared())
        }
        Values::Integers(array) if to == DataType::Bool => {
            Values::Integers(array.mapv(|x| i64::from(x != 0)).into_shared())
        }
        Values::Floats(array) if !is_float(to) && most > 0 => {
            Values::Integers(array.mapv(|x| (x as i64).clamp(least, most)).into_shared())
        }
        Values::Integers(array) if array.iter().all(|x| (least..=most).contains(x)) => {
            Values::Integers(array.clone())
        }
        _ => {
            return Err(refused(
                "FLOAT, or an integer type that holds every element",
            ));
        }
    };
    let tensor = Tensor {
        data_type: to,
        ..tensor.rearranged(values)
    };
    Ok(vec![Operand::Constant(tensor)])
}
