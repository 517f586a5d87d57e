//! Graphs that grow node by node.

use kinglet::model::{GraphSpec, InputSpec, NodeSpec, OutputSpec, TensorSpec};
use kinglet::operator::{Operator, Owned};
use kinglet_kernels::{Conv2d, CountPadding, Linear, Pool2d, PooledConv2d, Shape};

use crate::interpreter::each_axis;

/// A graph in the making: one input to begin with, and no output until it is finished.
#[derive(Debug, Clone)]
pub struct Builder {
    spec: GraphSpec,
}

impl Builder {
    /// A graph of one input and no nodes.
    pub fn new(name: &str, input: impl Into<TensorSpec>) -> Self {
        let spec = GraphSpec {
            name: name.into(),
            inputs: vec![InputSpec::new("input", input)],
            nodes: vec![],
            outputs: vec![],
            trainable_nodes: 0,
        };
        Self { spec }
    }

    /// Adds an input; returns the number of its tensor.
    ///
    /// # Panics
    /// If there is a node already, whose output has that number.
    pub fn add_input(&mut self, name: &str, input: impl Into<TensorSpec>) -> usize {
        assert!(self.spec.nodes.is_empty(), "inputs come before nodes");
        self.spec.inputs.push(InputSpec::new(name, input));
        self.last()
    }

    /// Adds a node, and an output that follows from what it reads; returns the number of the tensor that it writes.
    ///
    /// # Panics
    /// If the output does not follow.
    pub fn add(&mut self, operator: impl Into<Operator<Owned>>, inputs: &[usize]) -> usize {
        let operator = operator.into();
        let read: Vec<TensorSpec> = inputs.iter().map(|input| self.tensor(*input)).collect();
        let output = written(&operator, &read);
        self.add_as(operator, inputs, output)
    }

    /// Adds a node that writes `output`; returns the number of that tensor.
    pub fn add_as(
        &mut self,
        operator: impl Into<Operator<Owned>>,
        inputs: &[usize],
        output: impl Into<TensorSpec>,
    ) -> usize {
        self.spec.nodes.push(NodeSpec {
            operator: operator.into(),
            inputs: inputs.to_vec(),
            output: output.into(),
        });
        self.last()
    }

    /// How many tensors there are.
    pub fn tensors(&self) -> usize {
        self.spec.inputs.len() + self.spec.nodes.len()
    }

    /// The number of the last tensor.
    pub fn last(&self) -> usize {
        self.tensors() - 1
    }

    /// What a tensor is.
    pub fn tensor(&self, number: usize) -> TensorSpec {
        match number.checked_sub(self.spec.inputs.len()) {
            None => self.spec.inputs[number].tensor,
            Some(node) => self.spec.nodes[node].output,
        }
    }

    /// The shape of a tensor.
    pub fn shape(&self, number: usize) -> Shape {
        self.tensor(number).shape
    }

    /// The graph, whose output is the last tensor.
    pub fn finish(self) -> GraphSpec {
        let last = self.last();
        self.finish_with(&[last])
    }

    /// The graph with these tensors as its outputs.
    pub fn finish_with(mut self, outputs: &[usize]) -> GraphSpec {
        let outputs = outputs.iter();
        self.spec.outputs = outputs.map(|o| OutputSpec::new("output", *o)).collect();
        self.spec
    }
}

/// What `operator` writes, where that follows from what it reads.
fn written(operator: &Operator<Owned>, inputs: &[TensorSpec]) -> TensorSpec {
    let valid = "sample graphs are valid";
    let input = inputs[0];
    let (shape, dtype) = (input.shape, input.dtype);
    let real = dtype.quantization().is_none();
    let shape = match operator {
        Operator::Conv2d(conv) => convolution(shape, conv).output(),
        Operator::Conv2dMaxPool2d(joined) => {
            let conv = convolution(shape, &joined.conv);
            let pooled = PooledConv2d::new(conv, joined.pool, joined.rounding);
            pooled.expect(valid).output()
        }
        Operator::Linear(linear) => {
            let features = linear.layer.weights.len() / shape.len();
            let params = Linear::new(shape.len(), features, linear.activation);
            Shape::vector(params.expect(valid).out_features())
        }
        Operator::MaxPool2d(pool) => {
            let any = CountPadding::default();
            let params = Pool2d::new(shape, pool.window, pool.rounding, any);
            params.expect(valid).output()
        }
        Operator::AvgPool2d(pool) if real => {
            let params = Pool2d::new(shape, pool.window, pool.rounding, pool.count_padding);
            params.expect(valid).output()
        }
        Operator::Softmax(_) if real => shape,
        Operator::Unary(_)
        | Operator::LogSoftmax(_)
        | Operator::Binary(_)
        | Operator::BinaryConstant(_)
        | Operator::ChannelAffine(_) => shape,
        Operator::Concat(concat) => {
            let axis = concat.axis as usize;
            let parts = inputs.iter().map(|part| extents(part.shape)[axis]);
            let joined: usize = parts.sum();
            let extents = extents(shape);
            shaped(each_axis(
                |at| if at == axis { joined } else { extents[at] },
            ))
        }
        Operator::Upsample(upsample) => Shape::new(
            shape.height * upsample.factor_h as usize,
            shape.width * upsample.factor_w as usize,
            shape.channels,
        ),
        Operator::Transpose(transpose) => {
            let extents = extents(shape);
            shaped(transpose.order.map(|axis| extents[axis as usize]))
        }
        Operator::Dequantize(_) => return shape.into(),
        other => panic!("what {other:?} writes does not follow from what it reads"),
    };
    TensorSpec { shape, dtype }
}

/// The geometry of a convolution of `input`, whose weights tell the channels of its output.
fn convolution(input: Shape, conv: &kinglet::operator::Conv2d<Owned>) -> Conv2d {
    let window = conv.window;
    let groups = conv.groups as usize;
    let taps = window.kernel_h * window.kernel_w * input.channels / groups;
    let channels = conv.layer.weights.len() / taps;
    let params = Conv2d::new(input, channels, window, groups, conv.activation);
    params.expect("sample graphs are valid")
}

/// Height, width and channels.
pub(crate) fn extents(shape: Shape) -> [usize; 3] {
    [shape.height, shape.width, shape.channels]
}

/// A shape of so many rows, columns and channels.
pub(crate) fn shaped([height, width, channels]: [usize; 3]) -> Shape {
    Shape::new(height, width, channels)
}
