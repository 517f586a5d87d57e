//! What the outputs of a model mean, as far as the model file tells: a classifier's logits or probabilities, or numbers
//! of another kind.

use kinglet::Model;
use kinglet::operator::Operator;
use kinglet_kernels::Unary;
use serde::Serialize;

use crate::evaluate::least_probability;

/// What the outputs of a model mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// One number for each class, of which softmax makes probabilities.
    Logits,
    /// The probability of each class; together they are 1.
    Probabilities,
    /// A probability for each class by itself, as of a sigmoid: several may be true.
    Independent,
    /// Something else: a picture, a map, a quantity.
    Values,
}

impl Meaning {
    /// Of `model`'s outputs. A vector of several numbers is taken for classes, unless it is as long as the input and has no
    /// labels, as an autoencoder's.
    pub fn of(model: &Model<'_>) -> Self {
        let (input, output) = (model.input(), model.output());
        let is_vector = (output.height, output.width) == (1, 1) && output.channels > 1;
        let has_labels = model.label(0).is_some();
        let rebuilds = !has_labels && output.len() == input.len();
        if !is_vector || rebuilds {
            return Self::Values;
        }
        if least_probability(model).is_some() {
            return Self::Probabilities;
        }
        match ends_in_sigmoid(model) {
            true => Self::Independent,
            false => Self::Logits,
        }
    }

    /// Whether there is a class that a sample most likely has.
    pub fn is_classes(self) -> bool {
        self != Self::Values
    }

    /// The probability of each class; none where there are no classes.
    pub fn probabilities(self, outputs: &[f32]) -> Option<Vec<f32>> {
        match self {
            Self::Values => None,
            Self::Probabilities | Self::Independent => Some(outputs.to_vec()),
            Self::Logits => Some(softmax(outputs)),
        }
    }
}

/// Whether an operator only stores numbers in another way.
pub(crate) fn stores(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Quantize(_) | Operator::Dequantize(_) | Operator::Reshape(_)
    )
}

/// Whether the last function of the model, behind which numbers are only stored in another way, is a sigmoid.
fn ends_in_sigmoid(model: &Model<'_>) -> bool {
    let operators = model.nodes().iter().map(|node| node.operator);
    let last = operators.filter(|operator| !stores(operator)).last();
    last == Some(Unary::Sigmoid.into())
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.iter().map(|x| f64::from(x - largest).exp());
    let powers: Vec<f64> = powers.collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::Shape;

    use super::*;
    use crate::export::{ExportSettings, export};
    use crate::graph::{Graph, Operation};
    use crate::model_file::ModelFile;
    use crate::recipe::Normalize;

    fn meaning(input: Shape, operations: Vec<Operation>, labels: &[&str]) -> Meaning {
        let mut graph = Graph::new("test", input);
        for operation in operations {
            let last = graph.nodes.len();
            graph.push("node", operation, &[last]);
        }
        let settings = ExportSettings {
            normalize: Normalize::identity(0),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            fine_tune_last: 0,
        };
        let file = ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap();
        Meaning::of(&file.model())
    }

    #[test]
    fn what_outputs_mean_is_read_off_the_model() {
        let classes = ["a", "b", "c"];
        let three = Shape::vector(3);
        let of = |operation, labels: &[&str]| meaning(three, vec![operation], labels);
        let (sigmoid, relu) = (Unary::Sigmoid, Unary::Relu);
        assert_eq!(of(Operation::Softmax, &classes), Meaning::Probabilities);
        assert_eq!(of(Operation::LogSoftmax, &classes), Meaning::Logits);
        assert_eq!(of(Operation::Unary(relu), &classes), Meaning::Logits);
        assert_eq!(
            of(Operation::Unary(sigmoid), &classes),
            Meaning::Independent
        );
        // As long as the input, and nameless: an autoencoder.
        assert_eq!(of(Operation::Unary(relu), &[]), Meaning::Values);
        let map = meaning(Shape::new(4, 4, 1), vec![Operation::Unary(relu)], &[]);
        assert_eq!(map, Meaning::Values);
        let one = meaning(Shape::vector(1), vec![Operation::Unary(relu)], &[]);
        assert_eq!(one, Meaning::Values);
    }

    #[test]
    fn logits_become_probabilities() {
        let found = Meaning::Logits.probabilities(&[1000.0, 1000.0]);
        assert_eq!(found, Some(vec![0.5, 0.5]));
        let given = Meaning::Independent.probabilities(&[0.9, 0.8]);
        assert_eq!(given, Some(vec![0.9, 0.8]));
        assert_eq!(Meaning::Values.probabilities(&[1.0, 2.0]), None);
    }
}
