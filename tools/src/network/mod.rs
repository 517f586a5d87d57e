//! The network between recipe and model file: its architecture, and its parameters as one flat vector.

mod architecture;
mod tensor;

use kinglet_kernels::Shape;
use rand_core::Rng;

pub use architecture::{Architecture, Bias, Layer, Operation};
pub use tensor::{Role, Tensor, TensorError};

use crate::random::{Purpose, for_purpose, uniform};

/// An architecture with values: parameters, which training moves, and running statistics of batch
/// normalization, which it records.
///
/// Both are flat vectors, layer by layer in the order of the data, weights before bias, mean before
/// variance; [`Network::tensors`] says what lies where. Weights are OHWI or `[out][in]`, and a linear
/// layer behind `Flatten()` reads its features in HWC order.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    architecture: Architecture,
    tensors: Vec<Tensor>,
    /// What training moves.
    pub parameters: Vec<f32>,
    /// Running mean and variance of batch normalization.
    pub statistics: Vec<f32>,
}

impl Network {
    /// A network with PyTorch's first values: weights and bias of convolutions and linear layers uniform
    /// within `1 / sqrt(fan_in)` (its `kaiming_uniform_` with `a = sqrt(5)`), batch normalization 1 and 0.
    /// Each layer has a random stream of its own.
    pub fn initialize(architecture: Architecture, seed: u64) -> Self {
        let mut network = Self::zeroed(architecture);
        for tensor in &network.tensors {
            let values = match tensor.role {
                Role::Weights | Role::Bias => &mut network.parameters[tensor.range.clone()],
                Role::RunningMean | Role::RunningVariance => {
                    &mut network.statistics[tensor.range.clone()]
                }
            };
            let layer = &network.architecture.layers[tensor.layer];
            match (fan_in(layer), tensor.role) {
                (Some(fan_in), role) => {
                    let bound = 1.0 / (fan_in as f32).sqrt();
                    let mut rng = for_purpose(seed, Purpose::Initialize, 0, tensor.layer as u64);
                    if role == Role::Bias {
                        // The bias continues where the layer's weights ended.
                        rng.set_word_pos(1 << 40);
                    }
                    fill_uniform(&mut rng, bound, values);
                }
                (None, Role::Weights | Role::RunningVariance) => values.fill(1.0),
                (None, Role::Bias | Role::RunningMean) => values.fill(0.0),
            }
        }
        network
    }

    /// A network of zeros, to be filled from a file.
    pub fn zeroed(architecture: Architecture) -> Self {
        let tensors = tensor::of(&architecture);
        let end = |statistics: bool| {
            let ends = tensors
                .iter()
                .filter(|t| t.role.is_statistic() == statistics)
                .map(|t| t.range.end);
            ends.max().unwrap_or(0)
        };
        Self {
            parameters: vec![0.0; end(false)],
            statistics: vec![0.0; end(true)],
            architecture,
            tensors,
        }
    }

    /// The layers.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What the two vectors hold, in their order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of a layer, if the layer has it.
    pub fn tensor(&self, layer: usize, role: Role) -> Option<&Tensor> {
        self.tensors
            .iter()
            .find(|t| t.layer == layer && t.role == role)
    }

    /// The values of a tensor of this network, in kinglet's order.
    pub fn values(&self, tensor: &Tensor) -> &[f32] {
        if tensor.role.is_statistic() {
            &self.statistics[tensor.range.clone()]
        } else {
            &self.parameters[tensor.range.clone()]
        }
    }

    /// The values of a tensor of this network, in kinglet's order, to be set.
    pub fn values_mut(&mut self, tensor: &Tensor) -> &mut [f32] {
        if tensor.role.is_statistic() {
            &mut self.statistics[tensor.range.clone()]
        } else {
            &mut self.parameters[tensor.range.clone()]
        }
    }

    /// The values of a layer's tensor, if the layer has it.
    pub fn layer_values(&self, layer: usize, role: Role) -> Option<&[f32]> {
        self.tensor(layer, role).map(|tensor| self.values(tensor))
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
        let tensor = self.tensors.iter().find(|t| t.name == name);
        tensor.cloned().ok_or_else(|| TensorError::Unknown {
            name: name.to_owned(),
            known: self
                .tensors
                .iter()
                .map(|t| t.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }
}

/// Inputs of each output, where first values depend on it.
fn fan_in(layer: &Layer) -> Option<usize> {
    match layer.operation {
        Operation::Conv2d(params, _) => Some(params.taps()),
        Operation::Linear(params, _) => Some(params.in_features()),
        _ => None,
    }
}

fn fill_uniform(rng: &mut impl Rng, bound: f32, values: &mut [f32]) {
    for value in values {
        *value = (2.0 * uniform(rng) - 1.0) * bound;
    }
}

/// The shape that `Flatten()` forgot, where features still lie in its order: it decides which of
/// PyTorch's features a linear layer's weight belongs to.
fn forgotten_shapes(architecture: &Architecture) -> Vec<Option<Shape>> {
    let mut forgotten = None;
    let layers = architecture.layers.iter();
    layers
        .map(|layer| {
            let before = forgotten;
            match layer.operation {
                Operation::Flatten if forgotten.is_none() => forgotten = Some(layer.input),
                Operation::Linear(..) => forgotten = None,
                _ => {}
            }
            before
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Recipe;

    fn network(layers: &str) -> Network {
        let text = format!("input = [2, 5, 4]\nlayers = [{layers}]");
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        Network::initialize(recipe.architecture, 1)
    }

    const LAYERS: &str = r#""Conv2d(2, 4, (3, 2), groups=2)", "BatchNorm2d(4)", "ReLU()", "Flatten()",
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
        assert_eq!(
            network.parameters.len(),
            network.architecture().parameters()
        );
        assert_eq!(network.statistics.len(), 8);
    }

    #[test]
    fn first_values_are_those_of_pytorch() {
        let network = network(LAYERS);
        let values = |layer, role| network.layer_values(layer, role).unwrap();
        assert!(values(1, Role::Weights).iter().all(|&x| x == 1.0));
        assert!(values(1, Role::RunningVariance).iter().all(|&x| x == 1.0));
        assert!(values(1, Role::Bias).iter().all(|&x| x == 0.0));
        let bound = 1.0 / 6.0_f32;
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        for (values, bound) in [
            (values(0, Role::Weights), 1.0 / 6.0_f32.sqrt()),
            (values(5, Role::Weights), bound),
            (values(6, Role::Bias), 1.0 / 3.0_f32.sqrt()),
        ] {
            assert!(largest(values) <= bound, "{values:?}");
        }
        // Of 108 uniform values the largest is near the bound, and the mean is near 0.
        let weights = values(5, Role::Weights);
        assert!(largest(weights) > 0.95 * bound);
        let mean = weights.iter().sum::<f32>() / weights.len() as f32;
        assert!(
            mean.abs() < 3.0 * bound / (3.0 * 108.0_f32).sqrt(),
            "{mean}"
        );
        assert_ne!(weights[..2], values(6, Role::Weights)[..2]);
    }

    #[test]
    fn pytorchs_order_comes_back_as_it_went() {
        let mut network = network(LAYERS);
        for tensor in network.tensors().to_vec() {
            let values: Vec<f32> = (0..tensor.range.len()).map(|i| i as f32).collect();
            network.import_pytorch(&tensor.name, &values).unwrap();
            assert_eq!(network.export_pytorch(&tensor.name).unwrap(), values);
        }
        // OIHW [4, 1, 3, 2]: the taps of one output channel stay in order, since it reads one channel.
        assert_eq!(
            network.layer_values(0, Role::Weights).unwrap()[..6],
            [0., 1., 2., 3., 4., 5.]
        );
        // The features of 4x3x3 in HWC order are PyTorch's 0, 9, 18, 27, 1, ...
        assert_eq!(
            network.layer_values(5, Role::Weights).unwrap()[..5],
            [0., 9., 18., 27., 1.]
        );
        // Behind another linear layer there is nothing to reorder.
        assert_eq!(
            network.layer_values(6, Role::Weights).unwrap(),
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
