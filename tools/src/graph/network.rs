//! From a graph back to layers that can be trained: the other way round of `build`, for networks that were
//! imported.

use super::{Graph, Operation};
use crate::network::{Architecture, Bias, Layer, Network, Operation as LayerOperation, Role};

/// A graph that training has no layers for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{node} cannot be trained further: {reason}")]
pub struct ToNetworkError {
    /// The node in the way.
    pub node: String,
    /// Why.
    pub reason: &'static str,
}

impl Graph {
    /// The network whose graph this is, with the values it has.
    ///
    /// # Errors
    /// [`ToNetworkError`] if the nodes do not follow each other one by one, or a node is no layer.
    pub fn to_network(&self) -> Result<Network, ToNetworkError> {
        let [input] = self.inputs.as_slice() else {
            return Err(ToNetworkError {
                node: self.name.clone(),
                reason: "it has several inputs",
            });
        };
        if self.outputs.len() != 1 || !self.is_output(self.nodes.len()) {
            return Err(ToNetworkError {
                node: self.name.clone(),
                reason: "its last node does not write its only output",
            });
        }
        let shapes = self.shapes();
        let mut layers = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let refused = |reason| ToNetworkError {
                node: node.name.clone(),
                reason,
            };
            if node.inputs != [index] {
                return Err(refused("it does not read what the node before it computes"));
            }
            let operation = layer(&node.operation).map_err(refused)?;
            layers.push(Layer {
                text: node.name.clone(),
                operation,
                input: shapes[index],
                output: shapes[index + 1],
            });
        }
        let mut network = Network::zeroed(Architecture {
            input: input.shape,
            layers,
        });
        for tensor in network.tensors().to_vec() {
            let (weights, bias) = match &self.nodes[tensor.layer].operation {
                Operation::Conv2d { weights, bias, .. }
                | Operation::Linear { weights, bias, .. } => (weights, bias),
                _ => continue,
            };
            let values = match tensor.role {
                Role::Bias => bias.as_deref().unwrap_or_default(),
                _ => weights,
            };
            network.parameters[tensor.range].copy_from_slice(values);
        }
        Ok(network)
    }
}

/// The layer that computes an operation; or why there is none.
fn layer(operation: &Operation) -> Result<LayerOperation, &'static str> {
    let has = |bias: &Option<Vec<f32>>| match bias {
        Some(_) => Bias::Yes,
        None => Bias::No,
    };
    Ok(match operation {
        Operation::Conv2d { pool: Some(_), .. } => return Err("a pool was joined with it"),
        Operation::Conv2d { params, bias, .. } => LayerOperation::Conv2d(*params, has(bias)),
        Operation::Linear { params, bias, .. } => LayerOperation::Linear(*params, has(bias)),
        Operation::MaxPool2d(params) => LayerOperation::MaxPool2d(*params),
        Operation::AvgPool2d(params) => LayerOperation::AvgPool2d(*params),
        Operation::Unary(function) => LayerOperation::Unary(*function),
        Operation::Softmax => LayerOperation::Softmax,
        // A flatten moves nothing here, and dropout was taken out: either passes its input on.
        Operation::Identity => LayerOperation::Flatten,
        Operation::ChannelAffine { .. } => {
            return Err("batch normalization was imported as trained");
        }
        _ => return Err("training has no layer for it"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Recipe;

    fn graph(layers: &str) -> (Network, Graph) {
        let text = format!("input = [2, 6, 6]\nlayers = [{layers}]");
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        let network = Network::initialize(recipe.architecture, 1);
        let graph = Graph::from_network("test", &network);
        (network, graph)
    }

    #[test]
    fn a_network_comes_back_from_its_graph() {
        let (network, graph) = graph(
            r#""Conv2d(2, 4, 3, bias=False)", "ReLU()", "MaxPool2d(2)", "Flatten()", "Linear(16, 3)", "Softmax(1)""#,
        );
        let found = graph.to_network().unwrap();
        let operations = |network: &Network| -> Vec<LayerOperation> {
            let layers = network.architecture().layers.iter();
            layers.map(|layer| layer.operation).collect()
        };
        assert_eq!(operations(&found), operations(&network));
        assert_eq!(found.parameters, network.parameters);
    }

    #[test]
    fn what_is_no_layer_is_refused() {
        let (_, normalized) = graph(r#""Conv2d(2, 4, 3)", "BatchNorm2d(4)""#);
        let error = normalized.to_network().unwrap_err().to_string();
        assert!(
            error.starts_with("BatchNorm2d(4) cannot be trained"),
            "{error}"
        );
        let (_, mut branched) = graph(r#""ReLU()", "ReLU()""#);
        branched.nodes[1].inputs = vec![0];
        assert!(branched.to_network().is_err());
    }
}
