//! The steps of a network in training, in their order, as the CPU and a device walk them: forward from map to map, and
//! backward for the gradients.
//!
//! A *map* is what a step writes for each sample of a batch; map 0 is the input. What only names its input anew (a
//! reshape) is no step, nor is a function that a convolution or linear layer computes in passing. A cross-entropy is taken of
//! the logits: a softmax behind them is no step either. A layer that is frozen computes as in evaluation, and no gradient comes
//! to it: what is frozen are the first nodes, and a node reads only what comes before its own.

use std::ops::Range;

use kinglet_kernels::{
    Activation, Axis, Binary, Conv2d, Linear, Pool2d, Shape, StridedCopy, Unary, Upsample,
};

use super::stage::dropout::Dropout;
use super::{Loss, TrainError};
use crate::graph::{Graph, Operation, Role, Tensor, extents};

/// The steps and the maps between them.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Values of one sample in each map.
    pub(super) map_lens: Vec<usize>,
    /// The map that the loss is taken of.
    pub(super) outputs: usize,
}

/// Buffers that gradients of maps share, each of them from its first writer on the way back to its last reader.
#[derive(Debug, Default)]
pub(super) struct GradientBuffers {
    /// The buffer of each map's gradient; of no meaning for maps without one.
    pub(super) of: Vec<usize>,
    /// Values of one sample in each buffer.
    pub(super) lens: Vec<usize>,
}

impl GradientBuffers {
    /// For steps that come on the way back as `(to, from)`: each reads the gradient of `to`, which is done with then, and
    /// writes or adds to those of `from`.
    pub(super) fn new(
        map_lens: &[usize],
        outputs: usize,
        backward: impl Iterator<Item = (usize, Vec<usize>)>,
    ) -> Self {
        let mut buffers = Self {
            of: vec![usize::MAX; map_lens.len()],
            lens: Vec::new(),
        };
        let mut free = Vec::new();
        buffers.assign(outputs, map_lens, &mut free);
        for (to, from) in backward {
            for &map in &from {
                if buffers.of[map] == usize::MAX {
                    buffers.assign(map, map_lens, &mut free);
                }
            }
            // What is written in place is not done with.
            if !from.contains(&to) {
                free.push(buffers.of[to]);
            }
        }
        buffers
    }

    /// Gives a map a buffer: of those that are free the smallest that is large enough, or else the largest.
    fn assign(&mut self, map: usize, map_lens: &[usize], free: &mut Vec<usize>) {
        let len = map_lens[map];
        let of_free = free.iter().enumerate();
        let best = of_free.min_by_key(|(_, buffer)| {
            let found = self.lens[**buffer];
            (found < len, found.abs_diff(len))
        });
        let buffer = match best.map(|(place, _)| place) {
            Some(place) => free.swap_remove(place),
            None => {
                self.lens.push(0);
                self.lens.len() - 1
            }
        };
        self.lens[buffer] = self.lens[buffer].max(len);
        self.of[map] = buffer;
    }
}

/// One step: reads maps, writes one.
pub(super) struct Step {
    pub(super) kind: Kind,
    /// The maps it reads.
    pub(super) from: Vec<usize>,
    /// The map it writes.
    pub(super) to: usize,
    /// Whether it may write where it reads: nobody else needs those values, and no gradient does.
    pub(super) in_place: bool,
    /// Whether anything is trained in it or before it, so that the gradient has to come this far.
    pub(super) learns: bool,
    /// What it does to the gradient of each map it reads.
    pub(super) d_from: Vec<Gradient>,
}

/// What a step does to the gradient of a map it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gradient {
    /// Nobody needs it.
    Unwanted,
    /// Is the first to compute it.
    Write,
    /// Adds to what others computed.
    Add,
}

/// The maps among those read whose gradients somebody needs.
pub(super) fn wanted<'a>(
    from: &'a [usize],
    d_from: &'a [Gradient],
) -> impl Iterator<Item = usize> + 'a {
    let from = from.iter().zip(d_from);
    let wanted = from.filter(|(_, gradient)| **gradient != Gradient::Unwanted);
    wanted.map(|(map, _)| *map)
}

/// What a step computes, and where its parameters lie.
#[derive(Clone)]
pub(super) enum Kind {
    /// A convolution; its activation is computed in passing.
    Conv2d(Conv2d, Place),
    /// A linear layer; its activation is computed in passing.
    Linear(Linear, Place),
    MaxPool2d(Pool2d),
    AvgPool2d(Pool2d),
    Unary(Unary),
    /// Over that many channels.
    Softmax(usize),
    /// Over that many channels.
    LogSoftmax(usize),
    BatchNorm(Normalization),
    ChannelAffine(Affine),
    Dropout(Dropout),
    FakeQuantize(Rounding),
    /// A function of the elements of two maps.
    Binary(Binary),
    /// A function of the elements of a map and of an operand that is the network's, and stays as it is.
    BinaryConstant(Binary, Vec<f32>),
    Copies(Copies),
}

/// Factor and summand of each channel.
#[derive(Clone)]
pub(super) struct Affine {
    pub(super) channels: usize,
    pub(super) activation: Activation,
    pub(super) place: Place,
}

/// What only moves values: concatenation, slices, padding, transposition, repetition.
#[derive(Clone)]
pub(super) struct Copies {
    /// Which of the maps that are read each part is copied from.
    pub(super) parts: Vec<(usize, StridedCopy)>,
    /// What else there is in the output.
    pub(super) fill: Option<f32>,
}

/// A batch normalization.
#[derive(Clone)]
pub(super) struct Normalization {
    pub(super) channels: usize,
    pub(super) epsilon: f32,
    pub(super) momentum: f32,
    pub(super) place: Place,
    /// Whether it takes the running statistics in training, too, and leaves them as they are.
    pub(super) frozen: bool,
    /// In the statistics.
    pub(super) running_mean: Range<usize>,
    /// In the statistics.
    pub(super) running_variance: Range<usize>,
}

/// Rounding to 8-bit numbers and back.
#[derive(Clone)]
pub(super) struct Rounding {
    /// In the statistics.
    pub(super) range: Range<usize>,
    pub(super) momentum: f32,
}

/// Where a step's weights and bias lie among the parameters.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) weights: Range<usize>,
    pub(super) bias: Option<Range<usize>>,
}

impl Place {
    pub(super) fn of(tensors: &[Tensor], node: usize) -> Self {
        Self {
            weights: range(tensors, node, Role::Weights).unwrap_or(0..0),
            bias: range(tensors, node, Role::Bias),
        }
    }

    /// Weights and bias together: they lie one after the other.
    pub(super) fn range(&self) -> Range<usize> {
        self.weights.start..self.bias.as_ref().map_or(self.weights.end, |bias| bias.end)
    }

    pub(super) fn values<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], Option<&'a [f32]>) {
        let bias = self.bias.clone().map(|bias| &parameters[bias]);
        (&parameters[self.weights.clone()], bias)
    }

    /// The gradients of weights and bias, out of those of all parameters from `start` on.
    pub(super) fn gradients<'a>(
        &self,
        gradients: &'a mut [f32],
        start: usize,
    ) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        let range = self.range();
        let own = &mut gradients[range.start - start..range.end - start];
        let (weights, bias) = own.split_at_mut(self.weights.len());
        (weights, self.bias.is_some().then_some(bias))
    }
}

/// Where a node's tensor lies in its flat vector, if the node has it.
fn range(tensors: &[Tensor], node: usize, role: Role) -> Option<Range<usize>> {
    let mut tensors = tensors.iter();
    let tensor = tensors.find(|tensor| tensor.node == node && tensor.role == role);
    tensor.map(|tensor| tensor.range.clone())
}

impl Kind {
    /// Where its parameters lie, if it has any.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Conv2d(_, place) | Self::Linear(_, place) => Some(place),
            Self::BatchNorm(of) => Some(&of.place),
            Self::ChannelAffine(of) => Some(&of.place),
            _ => None,
        }
    }

    /// The function that is computed in passing: its gradient is taken first.
    pub(super) fn function(&self) -> Option<Unary> {
        match self {
            Self::Conv2d(params, _) => function_of(params.activation()),
            Self::Linear(params, _) => function_of(params.activation()),
            Self::Binary(params) | Self::BinaryConstant(params, _) => {
                function_of(params.activation())
            }
            Self::ChannelAffine(of) => function_of(of.activation),
            _ => None,
        }
    }

    /// Takes in a function behind it, if it can compute it in passing, with the same bits.
    fn fuse(&mut self, function: Unary) -> bool {
        let activation = match function {
            Unary::Relu => Activation::Relu,
            Unary::Relu6 => Activation::Relu6,
            _ => return false,
        };
        if self.function().is_some() {
            return false;
        }
        match self {
            Self::Conv2d(params, _) => *params = params.with_activation(activation),
            Self::Linear(params, _) => *params = params.with_activation(activation),
            Self::Binary(params) | Self::BinaryConstant(params, _) => {
                *params = params.with_activation(activation);
            }
            Self::ChannelAffine(of) => of.activation = activation,
            _ => return false,
        }
        true
    }

    /// Whether its gradient needs its output as it was.
    fn keeps_output(&self) -> bool {
        match self {
            // Of the others it needs the input.
            Self::Unary(function) => function.has_backward(),
            Self::Softmax(_) | Self::LogSoftmax(_) => true,
            _ => self.function().is_some(),
        }
    }

    /// Whether it can write where it reads.
    fn can_work_in_place(&self) -> bool {
        match self {
            Self::Unary(function) => function.has_backward(),
            Self::Softmax(_) | Self::LogSoftmax(_) | Self::Dropout(_) => true,
            _ => false,
        }
    }
}

impl Plan {
    /// The plan of a graph whose tensors are `tensors`, the first `frozen` nodes of which keep their values.
    ///
    /// # Errors
    /// [`TrainError::Untrainable`] with the node that training has no step for.
    pub(super) fn of(
        graph: &Graph,
        tensors: &[Tensor],
        frozen: usize,
        loss: &Loss,
    ) -> Result<Self, TrainError> {
        let [input] = graph.inputs.as_slice() else {
            return Err(untrainable(&graph.name, "it has several inputs"));
        };
        let last = match loss {
            Loss::CrossEntropy(_) => graph.logits(),
            Loss::SquaredError => graph.outputs.first().map_or(0, |output| output.value),
        };
        let needed = needed(graph, last);
        let shapes = graph.shapes();
        let mut plan = Self {
            steps: Vec::new(),
            map_lens: vec![input.shape.len()],
            outputs: 0,
        };
        // The map of each value, and how many read each map.
        let mut maps = vec![0; shapes.len()];
        let readers = readers(graph, last, &needed, frozen);
        for (index, node) in graph.nodes.iter().enumerate() {
            let value = graph.value_of(index);
            if !needed[value] {
                continue;
            }
            let from: Vec<usize> = node.inputs.iter().map(|input| maps[*input]).collect();
            let only_reader = node.inputs.iter().all(|input| readers[*input] == 1);
            let frozen = index < frozen;
            if is_name(&node.operation, frozen) {
                maps[value] = from[0];
                continue;
            }
            let producer = plan.steps.iter_mut().find(|step| step.to == from[0]);
            if let (Operation::Unary(function), true, Some(producer)) =
                (&node.operation, only_reader, producer)
                && producer.kind.fuse(*function)
            {
                maps[value] = from[0];
                continue;
            }
            let inputs: Vec<Shape> = node.inputs.iter().map(|input| shapes[*input]).collect();
            let mut kind = kind(index, &node.operation, &inputs, shapes[value], tensors)
                .map_err(|reason| untrainable(&node.name, reason))?;
            if let Kind::BatchNorm(of) = &mut kind {
                of.frozen = frozen;
            }
            plan.map_lens.push(shapes[value].len());
            maps[value] = plan.map_lens.len() - 1;
            plan.push(kind, from, only_reader, frozen);
        }
        plan.outputs = maps[last];
        plan.find_gradients();
        Ok(plan)
    }

    /// Appends a step that writes the newest map; `only_reader` if nobody else reads what it reads.
    fn push(&mut self, kind: Kind, from: Vec<usize>, only_reader: bool, frozen: bool) {
        let producer = self.steps.iter().find(|step| step.to == from[0]);
        let kept = producer.is_some_and(|producer| producer.kind.keeps_output());
        let learns = kind.place().is_some() && !frozen
            || self
                .steps
                .iter()
                .any(|step| step.learns && from.contains(&step.to));
        self.steps.push(Step {
            in_place: kind.can_work_in_place() && only_reader && !kept,
            learns,
            d_from: Vec::new(),
            to: self.map_lens.len() - 1,
            from,
            kind,
        });
    }

    /// Finds who is the first to compute the gradient of each map, on the way back.
    fn find_gradients(&mut self) {
        let mut wanted = vec![false; self.map_lens.len()];
        for step in &self.steps {
            wanted[step.to] = step.learns;
        }
        let mut written = vec![false; self.map_lens.len()];
        for step in self.steps.iter_mut().rev() {
            let gradient =
                |map: &usize| match (wanted[*map], std::mem::replace(&mut written[*map], true)) {
                    (false, _) => Gradient::Unwanted,
                    (true, false) => Gradient::Write,
                    (true, true) => Gradient::Add,
                };
            step.d_from = step.from.iter().map(gradient).collect();
        }
    }

    /// How many steps from `first` on are such that each but the last is read by the next one alone; `first` itself is
    /// not asked.
    pub(super) fn run_from(&self, first: usize, takes: impl Fn(&Step) -> bool) -> usize {
        let readers = |map: usize| {
            let steps = self.steps.iter().flat_map(|step| &step.from);
            steps.filter(|from| **from == map).count() + usize::from(map == self.outputs)
        };
        let pairs = self.steps[first..].windows(2);
        let joined = pairs.take_while(|pair| {
            let map = pair[0].to;
            takes(&pair[1]) && pair[1].from == [map] && readers(map) == 1
        });
        joined.count() + 1
    }

    /// Values of one sample that the loss is taken of.
    pub(super) fn output_len(&self) -> usize {
        self.map_lens[self.outputs]
    }
}

/// The function that an activation is.
pub(super) const fn function_of(activation: Activation) -> Option<Unary> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => Some(Unary::Relu),
        Activation::Relu6 => Some(Unary::Relu6),
    }
}

/// Which values `last` is computed of, itself included.
fn needed(graph: &Graph, last: usize) -> Vec<bool> {
    let mut needed = vec![false; graph.value_of(graph.nodes.len())];
    needed[last] = true;
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if needed[graph.value_of(index)] {
            node.inputs.iter().for_each(|input| needed[*input] = true);
        }
    }
    needed
}

/// Whether an operation only names its input anew. So does a dropout that is frozen: it drops nothing.
fn is_name(operation: &Operation, frozen: bool) -> bool {
    match operation {
        Operation::Reshape { .. } | Operation::Identity => true,
        Operation::Dropout { .. } => frozen,
        _ => false,
    }
}

/// How many steps, and the loss, read each value or what only names it anew.
fn readers(graph: &Graph, last: usize, needed: &[bool], frozen: usize) -> Vec<usize> {
    let mut readers = vec![0; needed.len()];
    readers[last] = 1;
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let value = graph.value_of(index);
        if !needed[value] {
            continue;
        }
        let count = match is_name(&node.operation, index < frozen) {
            true => readers[value],
            false => 1,
        };
        node.inputs
            .iter()
            .for_each(|input| readers[*input] += count);
    }
    readers
}

/// The step that computes an operation; or why there is none.
fn kind(
    index: usize,
    operation: &Operation,
    inputs: &[Shape],
    output: Shape,
    tensors: &[Tensor],
) -> Result<Kind, &'static str> {
    const MISFIT: &str = "its parameters do not fit what it reads";
    let place = || Place::of(tensors, index);
    let (input, channels) = (inputs[0], output.channels);
    let copies = |parts: Vec<(usize, StridedCopy)>, fill| Kind::Copies(Copies { parts, fill });
    Ok(match operation {
        Operation::Conv2d { pool: Some(_), .. } => return Err("a pool was joined with it"),
        Operation::Conv2d { params, .. } => Kind::Conv2d(*params, place()),
        Operation::Linear { params, .. } => Kind::Linear(*params, place()),
        Operation::MaxPool2d(params) => Kind::MaxPool2d(*params),
        Operation::AvgPool2d(params) => Kind::AvgPool2d(*params),
        Operation::Unary(function) => Kind::Unary(*function),
        Operation::Softmax => Kind::Softmax(channels),
        Operation::LogSoftmax => Kind::LogSoftmax(channels),
        Operation::ChannelAffine { activation, .. } => Kind::ChannelAffine(Affine {
            channels,
            activation: *activation,
            place: place(),
        }),
        Operation::BatchNorm2d(of) => Kind::BatchNorm(Normalization {
            channels,
            epsilon: of.epsilon,
            momentum: of.momentum,
            place: place(),
            frozen: false,
            running_mean: range(tensors, index, Role::RunningMean).unwrap_or(0..0),
            running_variance: range(tensors, index, Role::RunningVariance).unwrap_or(0..0),
        }),
        Operation::Dropout {
            probability,
            granularity,
        } => Kind::Dropout(Dropout::new(index, *probability, *granularity, channels)),
        Operation::FakeQuantize(of) => Kind::FakeQuantize(Rounding {
            range: range(tensors, index, Role::Range).unwrap_or(0..0),
            momentum: of.momentum,
        }),
        Operation::Binary {
            function,
            activation,
        } => {
            let params = Binary::new(*function, *activation, input, inputs[1]);
            Kind::Binary(params.map_err(|_| MISFIT)?)
        }
        Operation::BinaryConstant {
            function,
            activation,
            shape,
            operand,
        } => {
            let params = Binary::new(*function, *activation, input, *shape);
            Kind::BinaryConstant(params.map_err(|_| MISFIT)?, operand.clone())
        }
        Operation::Concat { axis } => {
            copies(concatenation(*axis, inputs, output).ok_or(MISFIT)?, None)
        }
        Operation::Slice { start, step, .. } => {
            let part = StridedCopy::slice(input, *start, *step, output);
            copies(vec![(0, part.map_err(|_| MISFIT)?)], None)
        }
        Operation::Pad { before, value, .. } => {
            let part = StridedCopy::place(input, *before, output);
            copies(vec![(0, part.map_err(|_| MISFIT)?)], Some(*value))
        }
        Operation::Transpose { order } => {
            let part = StridedCopy::transpose(input, *order);
            copies(vec![(0, part.map_err(|_| MISFIT)?)], None)
        }
        Operation::Upsample { factor_h, factor_w } => {
            let of = Upsample::new(input, *factor_h, *factor_w).map_err(|_| MISFIT)?;
            copies(of.copies().map(|part| (0, part)).collect(), None)
        }
        Operation::Quantize(_) | Operation::Dequantize(_) | Operation::Int8 { .. } => {
            return Err("it computes with 8-bit numbers");
        }
        Operation::Reshape { .. } | Operation::Identity => return Err("it computes nothing"),
    })
}

/// The parts of a concatenation; None if they do not fit.
fn concatenation(axis: Axis, inputs: &[Shape], output: Shape) -> Option<Vec<(usize, StridedCopy)>> {
    let mut position = [0; 3];
    let parts = inputs.iter().enumerate().map(|(which, input)| {
        let part = StridedCopy::place(*input, position, output).ok()?;
        position[axis as usize] += extents(*input)[axis as usize];
        Some((which, part))
    });
    parts.collect()
}

fn untrainable(node: &str, reason: &'static str) -> TrainError {
    let node = node.to_owned();
    TrainError::Untrainable { node, reason }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kinglet_kernels::Quantization;

    use super::*;
    use crate::graph::{Input, Output};
    use crate::recipe::Recipe;

    fn plan(layers: &str) -> Plan {
        let text = format!("input = [2, 6, 6]\nlayers = [{layers}]");
        let graph = Recipe::parse(&text, Path::new("test.toml")).unwrap().graph;
        Plan::of(&graph, &graph.tensors(), 0, &Loss::default()).unwrap()
    }

    #[test]
    fn activations_are_computed_in_passing_and_names_are_no_steps() {
        let plan = plan(
            r#""ReLU()", "Conv2d(2, 4, 3)", "ReLU()", "Dropout()", "Flatten()", "Linear(64, 3)", "Tanh()", "Softmax(1)""#,
        );
        let functions: Vec<Option<Unary>> = plan.steps.iter().map(|s| s.kind.function()).collect();
        assert_eq!(functions, [None, Some(Unary::Relu), None, None, None]);
        // The function of the convolution needs its output for the gradient, the linear layer has none.
        let in_place: Vec<bool> = plan.steps.iter().map(|step| step.in_place).collect();
        assert_eq!(in_place, [true, false, false, false, true]);
        // Nothing before the convolution is trained.
        assert!(!plan.steps[0].learns);
        assert_eq!(plan.steps[1].d_from, [Gradient::Unwanted]);
        assert_eq!(plan.steps[2].d_from, [Gradient::Write]);
        assert_eq!((plan.outputs, plan.output_len()), (5, 3));
    }

    #[test]
    fn what_is_frozen_is_given_no_gradient() {
        let text = "input = [2, 6, 6]\nlayers = [\"Conv2d(2, 4, 3)\", \"BatchNorm2d(4)\", \"Dropout()\", \
                    \"Conv2d(4, 2, 3)\", \"GELU()\", \"Flatten()\", \"Linear(8, 3)\"]";
        let graph = Recipe::parse(text, Path::new("test.toml")).unwrap().graph;
        let plan = Plan::of(&graph, &graph.tensors(), 3, &Loss::default()).unwrap();
        let learns: Vec<bool> = plan.steps.iter().map(|step| step.learns).collect();
        assert_eq!(learns, [false, false, true, true, true]);
        assert!(matches!(&plan.steps[1].kind, Kind::BatchNorm(of) if of.frozen));
        assert_eq!(plan.steps[2].d_from, [Gradient::Unwanted]);
        // The function's gradient needs its input.
        assert!(!plan.steps[3].in_place);
    }

    #[test]
    fn two_buffers_are_enough_for_the_gradients_of_a_chain() {
        let plan =
            plan(r#""Conv2d(2, 4, 3)", "AvgPool2d(2)", "Conv2d(4, 8, 1)", "Conv2d(8, 2, 2)""#);
        let backward = plan.steps.iter().rev();
        let backward = backward.map(|step| (step.to, step.from.clone()));
        let buffers = GradientBuffers::new(&plan.map_lens, plan.outputs, backward);
        assert_eq!(buffers.lens.len(), 2);
        for step in &plan.steps {
            assert_ne!(buffers.of[step.to], buffers.of[step.from[0]]);
            assert!(buffers.lens[buffers.of[step.to]] >= plan.map_lens[step.to]);
        }
    }

    #[test]
    fn what_cannot_be_trained_is_named() {
        let shape = kinglet_kernels::Shape::vector(4);
        let error = |operation| {
            let mut graph = Graph::new("net", vec![Input::new("input", shape)]);
            let value = graph.push("strange", operation, &[0]);
            graph.outputs.push(Output::new("output", value));
            let plan = Plan::of(&graph, &graph.tensors(), 0, &Loss::default());
            plan.err().unwrap().to_string()
        };
        let quantization = Quantization::new(0.5, 0);
        assert_eq!(
            error(Operation::Quantize(quantization)),
            "strange cannot be trained: it computes with 8-bit numbers"
        );
        let input = Input::new("other", shape);
        let graph = Graph::new("net", vec![input.clone(), input]);
        let error = Plan::of(&graph, &[], 0, &Loss::default())
            .err()
            .unwrap()
            .to_string();
        assert_eq!(error, "net cannot be trained: it has several inputs");
    }
}
