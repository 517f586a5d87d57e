//! What the outputs of a model mean, as far as the model file tells: a classifier's logits or probabilities, or numbers
//! of another kind.

use kinglet::Model;
use kinglet::model::schema::Tensor;
use kinglet::operator::Operator;
use kinglet_kernels::Unary;
use serde::Serialize;

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
    /// Of `model`'s output number `index`. A vector of several numbers is taken for classes, unless it is as long as the
    /// input and has no labels, as an autoencoder's.
    pub fn of(model: &Model<'_>, index: usize) -> Self {
        let Some((end, tensor)) = model
            .outputs()
            .iter()
            .zip(model.output_tensors())
            .nth(index)
        else {
            return Self::Values;
        };
        let (input, output) = (model.input(), tensor.shape);
        let is_vector = (output.height, output.width) == (1, 1) && output.channels > 1;
        let rebuilds = end.labels.is_empty() && output.len() == input.len();
        if !is_vector || rebuilds {
            return Self::Values;
        }
        match producer(model, index) {
            Some((Operator::Softmax(_), _)) => Self::Probabilities,
            Some((Operator::Unary(Unary::Sigmoid), _)) => Self::Independent,
            _ => Self::Logits,
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

/// The operator that computes output number `index`, behind which numbers are only stored in another way, and the
/// tensor it writes; None if that is an input.
pub(crate) fn producer(model: &Model<'_>, index: usize) -> Option<(Operator, Tensor)> {
    let output = model.outputs().iter().nth(index)?;
    let inputs = model.inputs().len();
    let mut number = usize::from(output.tensor);
    loop {
        let node = model.nodes().iter().nth(number.checked_sub(inputs)?)?;
        let stores = matches!(
            node.operator,
            Operator::Quantize(_) | Operator::Dequantize(_) | Operator::Reshape(_)
        );
        if !stores {
            return Some((node.operator, model.tensors().get(number)?));
        }
        // A node reads what comes before it.
        number = usize::from(*node.inputs.first()?);
    }
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
    use crate::graph::{Graph, Input, Operation, Output};
    use crate::model_file::ModelFile;
    use crate::recipe::Normalize;

    fn meaning(input: Shape, operations: Vec<Operation>, labels: &[&str]) -> Meaning {
        let mut graph = Graph::new("test", vec![Input::new("input", input)]);
        let mut last = 0;
        for operation in operations {
            last = graph.push("node", operation, &[last]);
        }
        graph.outputs.push(Output::new("output", last));
        let settings = ExportSettings {
            normalize: Normalize::identity(0),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            fine_tune_last: 0,
        };
        let file = ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap();
        Meaning::of(&file.model(), 0)
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
