//! Graphs of several inputs and outputs.

use kinglet::model::schema::Source;
use kinglet::model::{GraphSpec, TensorSpec};
use kinglet::operator::Dequantize;
use kinglet_kernels::{Activation, Axis, BinaryFunction, Quantization, Shape, Unary};

use crate::branching::binary;
use crate::builder::Builder;
use crate::graphs::{Bias, linear};

/// Two inputs, the second of which the first node does not read, and two outputs, one of them from the middle.
pub fn two_ends() -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(12);
    let mut graph = Builder::new("two ends", Shape::new(2, 3, 1));
    let other = graph.add_input("other", Shape::vector(4));
    let middle = graph.add(linear(rng, 6, 4, Activation::Relu, Bias::Yes), &[0]);
    let add = binary(BinaryFunction::Add, Activation::Identity);
    let sum = graph.add(add, &[middle, other]);
    let last = graph.add(linear(rng, 4, 3, Activation::Identity, Bias::Yes), &[sum]);
    graph.finish_with(&[last, middle])
}

/// Inputs and outputs with everything that they may have.
pub fn many_ends() -> GraphSpec {
    let mut graph = Builder::new("many ends", Shape::new(2, 3, 2));
    let numbers = TensorSpec::quantized(Shape::vector(4), Quantization::new(0.5, -3));
    let other = graph.add_input("numbers", numbers);
    let relu = graph.add(Unary::Relu, &[0]);
    let real = graph.add(Dequantize, &[other]);
    let mut spec = graph.finish_with(&[real, relu, other]);
    spec.inputs[0].mean = vec![0.25, -0.5];
    spec.inputs[0].std = vec![2.0, 0.5];
    spec.inputs[0].source = Some(nchw(Shape::new(2, 3, 2)));
    spec.inputs[1].source = Some(Source {
        shape: [1, 2, 1, 2].into_iter().collect(),
        order: [Axis::Width, Axis::Height, Axis::Channels],
    });
    spec.outputs[0].labels = ["a", "", "ç", "d e"].map(String::from).into();
    spec.outputs[1].source = Some(nchw(Shape::new(2, 3, 2)));
    spec
}

/// How a tensor lies where channels come first.
pub fn nchw(shape: Shape) -> Source {
    let extents = [shape.channels, shape.height, shape.width];
    Source {
        shape: extents.map(|extent| extent as u32).into_iter().collect(),
        order: [Axis::Channels, Axis::Height, Axis::Width],
    }
}
