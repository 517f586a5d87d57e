//! The tensors of a graph that training moves or records: which node has them, how they are called and ordered in
//! PyTorch, and where they lie in the flat vectors of the trainer.

use std::ops::Range;

use kinglet_kernels::Shape;

use super::{Graph, Operation};

/// What a tensor is to its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weights; of batch normalization and what it becomes the factor.
    Weights,
    /// Bias; of batch normalization and what it becomes the summand.
    Bias,
    /// Mean that batch normalization subtracts in evaluation.
    RunningMean,
    /// Variance that batch normalization divides by the root of in evaluation.
    RunningVariance,
    /// Smallest and largest number of what is rounded to 8-bit ones.
    Range,
}

impl Role {
    /// True for what is recorded rather than trained.
    pub const fn is_statistic(self) -> bool {
        matches!(
            self,
            Self::RunningMean | Self::RunningVariance | Self::Range
        )
    }

    /// PyTorch's word for it.
    const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weight",
            Self::Bias => "bias",
            Self::RunningMean => "running_mean",
            Self::RunningVariance => "running_var",
            Self::Range => "range",
        }
    }
}

/// A tensor of a node, and a part of all parameters or of all statistics of the graph.
///
/// The flat vectors hold node by node what the nodes have, weights before bias, mean before variance. Weights are OHWI or
/// `[out][in]`, and a linear layer behind a flatten reads its features in HWC order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in PyTorch's `state_dict()`: `0.weight`, `1.running_mean`.
    pub name: String,
    /// The node it belongs to.
    pub node: usize,
    /// What it is to that node.
    pub role: Role,
    /// Where it lies: in the statistics if [`Role::is_statistic`], in the parameters otherwise.
    pub range: Range<usize>,
    /// Its first extent: output channels, output features, channels.
    rows: usize,
    /// What each row spans, part by part, each in the order `height, width, channels`; PyTorch's is
    /// `channels, height, width`.
    row: Vec<Shape>,
    /// How many of its extents PyTorch counts.
    rank: Rank,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Vector,
    Matrix,
    Image,
}

impl Tensor {
    /// Its shape in PyTorch.
    pub fn pytorch_shape(&self) -> Vec<usize> {
        match self.rank {
            Rank::Vector => vec![self.rows],
            Rank::Matrix => vec![self.rows, row_len(&self.row)],
            Rank::Image => {
                let row = self.row.first().copied().unwrap_or_default();
                vec![self.rows, row.channels, row.height, row.width]
            }
        }
    }

    /// Reorders values from PyTorch's order; both slices are of the tensor's length.
    pub fn from_pytorch(&self, values: &[f32], own: &mut [f32]) {
        for (own, place) in own.iter_mut().zip(self.pytorch_places()) {
            *own = values[place];
        }
    }

    /// Reorders values to PyTorch's order.
    pub fn to_pytorch(&self, own: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; own.len()];
        for (&own, place) in own.iter().zip(self.pytorch_places()) {
            values[place] = own;
        }
        values
    }

    /// For each value in our order, its place in PyTorch's.
    fn pytorch_places(&self) -> impl Iterator<Item = usize> + use<> {
        let (mut places, mut start) = (Vec::with_capacity(row_len(&self.row)), 0);
        for part in &self.row {
            let (pixels, channels) = (part.height * part.width, part.channels);
            let place = |place| place % channels * pixels + place / channels;
            places.extend((0..part.len()).map(|own| start + place(own)));
            start += part.len();
        }
        let rows = (0..self.rows).map(move |row| row * start);
        rows.flat_map(move |row| places.clone().into_iter().map(move |place| row + place))
    }
}

/// Values of a row of these parts.
fn row_len(row: &[Shape]) -> usize {
    row.iter().map(|part| part.len()).sum()
}

/// A tensor is missing or of another size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// No tensor has this name.
    #[error("there is no tensor {name}; known are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Another number of values.
    #[error("{name} has {found} values, but this network has {right}")]
    Length {
        /// The tensor.
        name: String,
        /// Values given.
        found: usize,
        /// Values it has.
        right: usize,
    },
}

impl Graph {
    /// What training moves or records, in the order of the flat vectors.
    pub fn tensors(&self) -> Vec<Tensor> {
        let shapes = self.shapes();
        let mut list = List::default();
        for (index, node) in self.nodes.iter().enumerate() {
            let outputs = shapes[self.value_of(index)].channels;
            match &node.operation {
                Operation::Conv2d { params, bias, .. } => {
                    let window = params.window();
                    let channels = params.input().channels / params.groups();
                    let row = Shape::new(window.kernel_h, window.kernel_w, channels);
                    list.push(index, Role::Weights, outputs, vec![row], Rank::Image);
                    list.push_bias(index, outputs, bias.is_some());
                }
                Operation::Linear { params, bias, .. } => {
                    let row = match self.flattened(node.inputs[0], &shapes) {
                        row if row_len(&row) == params.in_features() => row,
                        _ => vec![Shape::vector(params.in_features())],
                    };
                    list.push(index, Role::Weights, outputs, row, Rank::Matrix);
                    list.push_bias(index, outputs, bias.is_some());
                }
                Operation::BatchNorm2d(_) => {
                    for role in [
                        Role::Weights,
                        Role::Bias,
                        Role::RunningMean,
                        Role::RunningVariance,
                    ] {
                        list.push(index, role, outputs, vec![Shape::vector(1)], Rank::Vector);
                    }
                }
                Operation::ChannelAffine { .. } => {
                    for role in [Role::Weights, Role::Bias] {
                        list.push(index, role, outputs, vec![Shape::vector(1)], Rank::Vector);
                    }
                }
                Operation::FakeQuantize(of) => {
                    let (rows, row) = (of.range.len(), vec![Shape::vector(1)]);
                    list.push(index, Role::Range, rows, row, Rank::Vector);
                }
                _ => {}
            }
        }
        list.tensors
    }

    /// The values of a tensor of this graph, in kinglet's order.
    pub fn values(&self, tensor: &Tensor) -> &[f32] {
        let operation = &self.nodes[tensor.node].operation;
        operation.values(tensor.role).unwrap_or_default()
    }

    /// The values of a tensor of this graph, in kinglet's order, to be set.
    pub fn values_mut(&mut self, tensor: &Tensor) -> &mut [f32] {
        let operation = &mut self.nodes[tensor.node].operation;
        operation.values_mut(tensor.role).unwrap_or_default()
    }

    /// Takes over the values of a tensor by PyTorch's name for it and in PyTorch's order.
    ///
    /// # Errors
    /// [`TensorError`] if there is no such tensor or its size is another.
    pub fn import_pytorch(&mut self, name: &str, values: &[f32]) -> Result<(), TensorError> {
        let tensor = self.by_name(name)?;
        if values.len() != tensor.range.len() {
            return Err(TensorError::Length {
                name: name.to_owned(),
                found: values.len(),
                right: tensor.range.len(),
            });
        }
        tensor.from_pytorch(values, self.values_mut(&tensor));
        Ok(())
    }

    /// The values of a tensor by PyTorch's name for it and in PyTorch's order.
    ///
    /// # Errors
    /// [`TensorError::Unknown`].
    pub fn export_pytorch(&self, name: &str) -> Result<Vec<f32>, TensorError> {
        let tensor = self.by_name(name)?;
        Ok(tensor.to_pytorch(self.values(&tensor)))
    }

    fn by_name(&self, name: &str) -> Result<Tensor, TensorError> {
        let tensors = self.tensors();
        if let Some(tensor) = tensors.iter().find(|tensor| tensor.name == name) {
            return Ok(tensor.clone());
        }
        let known: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        Err(TensorError::Unknown {
            name: name.to_owned(),
            known: known.join(", "),
        })
    }

    /// The shapes that flattens forgot whose features a vector has, one after the other: they decide which of PyTorch's
    /// features a linear layer's weight belongs to. Of other values their own shape.
    fn flattened(&self, value: usize, shapes: &[Shape]) -> Vec<Shape> {
        let own = || vec![shapes[value]];
        let Some(producer) = self.producer(value) else {
            return own();
        };
        let node = &self.nodes[producer];
        let of = |value: &usize| self.flattened(*value, shapes);
        match node.operation {
            Operation::Reshape { .. }
            | Operation::Unary(_)
            | Operation::Softmax
            | Operation::Dropout { .. }
            | Operation::FakeQuantize(_)
            | Operation::Binary { .. }
            | Operation::Identity => of(&node.inputs[0]),
            // Of pictures of one pixel all orders are the same.
            Operation::Concat { .. } if shapes[value] == Shape::vector(shapes[value].channels) => {
                node.inputs.iter().flat_map(of).collect()
            }
            _ => own(),
        }
    }
}

/// Tensors and the lengths of the two vectors so far.
#[derive(Default)]
struct List {
    tensors: Vec<Tensor>,
    parameters: usize,
    statistics: usize,
}

impl List {
    fn push(&mut self, node: usize, role: Role, rows: usize, row: Vec<Shape>, rank: Rank) {
        let end = if role.is_statistic() {
            &mut self.statistics
        } else {
            &mut self.parameters
        };
        let start = *end;
        *end += rows * row_len(&row);
        self.tensors.push(Tensor {
            name: format!("{node}.{}", role.name()),
            node,
            role,
            range: start..*end,
            rows,
            row,
            rank,
        });
    }

    fn push_bias(&mut self, node: usize, outputs: usize, has_bias: bool) {
        if has_bias {
            self.push(
                node,
                Role::Bias,
                outputs,
                vec![Shape::vector(1)],
                Rank::Vector,
            );
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Recipe;

    /// A network of these layers with its first values.
    pub(in crate::graph) fn network(layers: &str) -> Graph {
        let text = format!("input = [2, 5, 4]\nlayers = [{layers}]");
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        recipe.graph.initialized(1)
    }

    /// Layers of every kind that has parameters.
    pub(in crate::graph) const LAYERS: &str = r#""Conv2d(2, 4, (3, 2), groups=2)", "BatchNorm2d(4)", "ReLU()", "Flatten()",
        "Dropout()", "Linear(36, 3, bias=False)", "Linear(3, 2)""#;

    #[test]
    fn names_and_shapes_are_those_of_a_state_dict() {
        let network = network(LAYERS);
        let listed: Vec<String> = network
            .tensors()
            .iter()
            .map(|t| format!("{} {:?}", t.name, t.pytorch_shape()))
            .collect();
        assert_eq!(
            listed,
            [
                "0.weight [4, 1, 3, 2]",
                "0.bias [4]",
                "1.weight [4]",
                "1.bias [4]",
                "1.running_mean [4]",
                "1.running_var [4]",
                "5.weight [3, 36]",
                "6.weight [2, 3]",
                "6.bias [2]",
            ]
        );
        assert_eq!(network.parameters(), 24 + 4 + 8 + 108 + 8);
    }

    #[test]
    fn pytorchs_order_comes_back_as_it_went() {
        let mut network = network(LAYERS);
        for tensor in network.tensors() {
            let values: Vec<f32> = (0..tensor.range.len()).map(|i| i as f32).collect();
            network.import_pytorch(&tensor.name, &values).unwrap();
            assert_eq!(network.export_pytorch(&tensor.name).unwrap(), values);
        }
        // OIHW [4, 1, 3, 2]: the taps of one output channel stay in order, since it reads one channel.
        assert_eq!(
            network.nodes[0].operation.values(Role::Weights).unwrap()[..6],
            [0., 1., 2., 3., 4., 5.]
        );
        // The features of 4x3x3 in HWC order are PyTorch's 0, 9, 18, 27, 1, ...
        assert_eq!(
            network.nodes[5].operation.values(Role::Weights).unwrap()[..5],
            [0., 9., 18., 27., 1.]
        );
        // Behind another linear layer there is nothing to reorder.
        assert_eq!(
            network.nodes[6].operation.values(Role::Weights).unwrap(),
            [0., 1., 2., 3., 4., 5.]
        );
    }

    #[test]
    fn unknown_names_and_other_sizes_are_refused() {
        let mut network = network("\"Flatten()\", \"Linear(40, 2)\"");
        assert_eq!(
            network
                .import_pytorch("0.weight", &[])
                .unwrap_err()
                .to_string(),
            "there is no tensor 0.weight; known are 1.weight, 1.bias"
        );
        assert_eq!(
            network
                .import_pytorch("1.bias", &[0.0; 3])
                .unwrap_err()
                .to_string(),
            "1.bias has 3 values, but this network has 2"
        );
    }
}
