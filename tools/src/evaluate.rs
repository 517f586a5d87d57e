//! How good a model is on labelled pictures: accuracy in all and for each class, and the mean loss.

use kinglet::model::schema::bits;
use kinglet::{FineTuner, Model, Optimizer, SessionMemory};
use kinglet_kernels::{BackwardKernels, Kernels};
use rayon::prelude::*;
use serde::Serialize;

use crate::dataset::Dataset;

/// The data do not fit the model.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum EvaluateError {
    /// Pictures of another shape.
    #[error("the pictures are {pictures} (height x width x channels), the model takes {model}")]
    Shape {
        /// Of the pictures.
        pictures: kinglet_kernels::Shape,
        /// Of the model's input.
        model: kinglet_kernels::Shape,
    },
    /// A class that the model does not have.
    #[error("the pictures have {found} classes, the model only {classes}")]
    Classes {
        /// One more than the largest class in the data.
        found: usize,
        /// Outputs of the model.
        classes: usize,
    },
}

/// Refuses pictures that `model` cannot take.
///
/// # Errors
/// [`EvaluateError`] names both sides.
pub fn check_fit(model: &Model<'_>, data: &Dataset) -> Result<(), EvaluateError> {
    if data.shape() != model.input() {
        return Err(EvaluateError::Shape {
            pictures: data.shape(),
            model: model.input(),
        });
    }
    let (found, classes) = (data.classes_in_use(), model.output().len());
    if found > classes {
        return Err(EvaluateError::Classes { found, classes });
    }
    Ok(())
}

/// Right answers among pictures of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Pictures whose largest output was that of their class.
    pub correct: usize,
    /// Pictures.
    pub total: usize,
}

impl ClassCount {
    /// Share of right answers, 0 to 1; 0 without pictures.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.total.max(1) as f64
    }
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// By class.
    pub classes: Vec<ClassCount>,
    /// Sum of the cross-entropies.
    pub loss_sum: f64,
}

impl Evaluation {
    fn new(classes: usize) -> Self {
        Self {
            classes: vec![ClassCount::default(); classes],
            loss_sum: 0.0,
        }
    }

    /// Counts one picture of `class`. `outputs` are logits, or probabilities if `softmax`.
    fn count(&mut self, class: usize, outputs: &[f32], softmax: bool) {
        let counts = &mut self.classes[class];
        counts.total += 1;
        if argmax(outputs) == class {
            counts.correct += 1;
        }
        self.loss_sum += cross_entropy(class, outputs, softmax);
    }

    fn merge(mut self, other: Self) -> Self {
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            mine.correct += theirs.correct;
            mine.total += theirs.total;
        }
        self.loss_sum += other.loss_sum;
        self
    }

    /// All classes together.
    pub fn all(&self) -> ClassCount {
        self.classes
            .iter()
            .fold(ClassCount::default(), |sum, class| ClassCount {
                correct: sum.correct + class.correct,
                total: sum.total + class.total,
            })
    }

    /// Share of right answers, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.all().accuracy()
    }

    /// Mean cross-entropy.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.all().total.max(1) as f64
    }
}

/// Minus the logarithm of the probability of `class`; `outputs` are logits, or probabilities if `softmax`.
fn cross_entropy(class: usize, outputs: &[f32], softmax: bool) -> f64 {
    if softmax {
        return -f64::from(outputs[class]).ln();
    }
    let largest = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = outputs.iter().map(|x| f64::from(x - largest).exp()).sum();
    sum.ln() - f64::from(outputs[class] - largest)
}

/// What a model makes of one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The picture's place in its data set.
    pub index: usize,
    /// The class that is right.
    pub class: usize,
    /// The class of the largest output.
    pub predicted: usize,
    /// The probability of `predicted`.
    pub probability: f64,
    /// Cross-entropy: minus the logarithm of the probability of `class`.
    pub loss: f64,
}

impl Prediction {
    fn new(index: usize, class: usize, outputs: &[f32], softmax: bool) -> Self {
        let predicted = argmax(outputs);
        Self {
            index,
            class,
            predicted,
            probability: (-cross_entropy(predicted, outputs, softmax)).exp(),
            loss: cross_entropy(class, outputs, softmax),
        }
    }
}

/// The position of the largest value, the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// True if the model's outputs are probabilities.
fn ends_in_softmax(model: &Model<'_>) -> bool {
    let last = model.nodes().iter().last();
    last.is_some_and(|node| node.operator.bit() == bits::SOFTMAX_F32)
}

/// Pictures that one thread evaluates at a stretch. The sum of losses is taken stretch by stretch, so it
/// does not depend on the number of threads.
const STRETCH: usize = 64;

/// Runs `model` over the pictures of `data` named in `indices`, on all cores of the current thread pool.
///
/// # Errors
/// [`EvaluateError`] if the pictures do not fit.
pub fn evaluate(
    model: &Model<'_>,
    kernels: &'static dyn BackwardKernels,
    data: &Dataset,
    indices: &[usize],
) -> Result<Evaluation, EvaluateError> {
    let classes = model.output().len();
    let softmax = ends_in_softmax(model);
    let stretches = run_stretches(
        model,
        kernels,
        data,
        indices,
        || Evaluation::new(classes),
        |found, index, outputs| found.count(usize::from(data.label(index)), outputs, softmax),
    )?;
    Ok(stretches
        .into_iter()
        .fold(Evaluation::new(classes), Evaluation::merge))
}

/// What `model` makes of each picture of `data` named in `indices`, in their order, on all cores of the
/// current thread pool.
///
/// # Errors
/// [`EvaluateError`] if the pictures do not fit.
pub fn predict(
    model: &Model<'_>,
    kernels: &'static dyn BackwardKernels,
    data: &Dataset,
    indices: &[usize],
) -> Result<Vec<Prediction>, EvaluateError> {
    let softmax = ends_in_softmax(model);
    let stretches = run_stretches(
        model,
        kernels,
        data,
        indices,
        Vec::new,
        |found: &mut Vec<Prediction>, index, outputs| {
            let class = usize::from(data.label(index));
            found.push(Prediction::new(index, class, outputs, softmax));
        },
    )?;
    Ok(stretches.concat())
}

/// Runs `model` over pictures, [`STRETCH`] at a time: each stretch starts from `new` and tells `add` the
/// outputs for each of its pictures.
fn run_stretches<T: Send>(
    model: &Model<'_>,
    kernels: &'static dyn BackwardKernels,
    data: &Dataset,
    indices: &[usize],
    new: impl Fn() -> T + Sync,
    add: impl Fn(&mut T, usize, &[f32]) + Sync,
) -> Result<Vec<T>, EvaluateError> {
    check_fit(model, data)?;
    let stretches = indices.par_chunks(STRETCH).map_init(
        || SessionMemory::new(model, &kernels, 1),
        |memory, stretch| {
            let mut session = memory
                .session(model, kernels)
                .expect("the memory was made for this model");
            let mut found = new();
            for &index in stretch {
                session
                    .set_image_u8(data.image(index))
                    .expect("the shape was checked");
                add(&mut found, index, session.run());
            }
            found
        },
    );
    Ok(stretches.collect())
}

/// Runs a model with its trained head over the pictures of `data` named in `indices`.
///
/// # Errors
/// [`EvaluateError`] if the pictures do not fit.
pub fn evaluate_tuned<const OPS: u64, K: Kernels, O: Optimizer>(
    tuner: &mut FineTuner<'_, OPS, K, O>,
    data: &Dataset,
    indices: &[usize],
) -> Result<Evaluation, EvaluateError> {
    check_fit(tuner.model(), data)?;
    let softmax = ends_in_softmax(tuner.model());
    let mut found = Evaluation::new(tuner.model().output().len());
    for &index in indices {
        tuner
            .set_image_u8(data.image(index))
            .expect("the shape was checked");
        found.count(usize::from(data.label(index)), tuner.run(), softmax);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_and_probabilities_give_the_same_loss() {
        let logits = [1.0f32, 2.0, 0.5];
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        let probabilities = logits.map(|x| x.exp() / sum);
        let (mut a, mut b) = (Evaluation::new(3), Evaluation::new(3));
        a.count(1, &logits, false);
        b.count(1, &probabilities, true);
        assert!((a.loss() - b.loss()).abs() < 1e-6);
        assert_eq!(
            a.all(),
            ClassCount {
                correct: 1,
                total: 1
            }
        );
    }

    #[test]
    fn a_prediction_has_the_probability_of_its_class_and_the_loss_of_the_right_one() {
        let prediction = Prediction::new(7, 1, &[1.0, 0.0, 3.0], false);
        let sum = 1.0_f64.exp() + 1.0 + 3.0_f64.exp();
        assert_eq!((prediction.index, prediction.predicted), (7, 2));
        assert!((prediction.probability - 3.0_f64.exp() / sum).abs() < 1e-9);
        assert!((prediction.loss - sum.ln()).abs() < 1e-9);
    }
}
