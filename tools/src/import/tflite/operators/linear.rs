//! Fully connected layers.

use kinglet_kernels::{Activation, Conv2d, Linear, Shape, Window};

use super::{Translated, one};
use crate::graph::Operation;
use crate::import::tflite::constant::Floats;
use crate::import::tflite::names::WeightsFormat;
use crate::import::tflite::node::{Node, refused};
use crate::import::tflite::options::FullyConnectedOptions;
use crate::import::tflite::tensor::wrong;
use crate::import::{NodeProblem, Value};

/// Weights `[out_features, in_features]`, over each row of an input of any shape.
pub(super) fn fully_connected(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<FullyConnectedOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "options" })?;
    let format = options.weights_format();
    if format != WeightsFormat::DEFAULT {
        return Err(NodeProblem::Attribute {
            name: "weights_format",
            found: format!("{format:?}"),
            right: "DEFAULT".into(),
        });
    }
    let value = node.value(0)?;
    let weights = node.weights()?;
    let weight_scale = weights.scale_along(0);
    let Floats { dims, values, .. } = weights;
    let len: usize = value.dims.iter().product();
    let (out_features, in_features) = match dims.as_slice() {
        &[outs, ins] if ins > 0 && len.is_multiple_of(ins) => (outs, ins),
        _ => {
            let right = format!("[out_features, a divisor of the input's {len} elements]");
            return Err(wrong("weights", format!("of shape {dims:?}"), right));
        }
    };
    let rows = len / in_features;
    let bias = node.bias(2, out_features)?;
    let identity = Activation::Identity;
    let (shape, operation) = if rows == 1 {
        let shape = Shape::vector(in_features);
        let params = Linear::new(in_features, out_features, identity);
        let params = params.map_err(|reason| refused(shape, reason))?;
        let linear = Operation::Linear {
            params,
            weights: values,
            weight_scale,
            bias,
        };
        (shape, linear)
    } else {
        // Each row is a position of a map.
        let shape = Shape::new(1, rows, in_features);
        let params = Conv2d::new(shape, out_features, Window::new(1, 1), 1, identity);
        let params = params.map_err(|reason| refused(shape, reason))?;
        let pointwise = Operation::Conv2d {
            params,
            weights: values,
            weight_scale,
            bias,
            pool: None,
        };
        (shape, pointwise)
    };
    let input = node.view(&value, shape)?;
    let number = node.push(operation, &[input])?;
    let mut dims = vec![rows];
    if options.keep_num_dims() {
        let last = value.dims.last().copied();
        if last != Some(in_features) {
            return Err(NodeProblem::Attribute {
                name: "keep_num_dims",
                found: format!("true on an input of {:?}", value.dims),
                right: format!("true where the last axis is one of {in_features}"),
            });
        }
        dims = value.dims[..value.dims.len() - 1].to_vec();
    }
    dims.push(out_features);
    let fused = options.fused_activation_function();
    one(node.activated(Value { number, dims }, Some(fused))?)
}
