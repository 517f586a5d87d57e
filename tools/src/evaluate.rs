//! How good a model is on labelled pictures: accuracy in all and for each class, and the mean loss.

use kinglet::model::schema::{DType, Operator};
use kinglet::{FineTuner, InputError, Model, Optimizer, Session, SessionMemory, Values};
use kinglet_kernels::Kernels;
use rayon::prelude::*;
use serde::Serialize;

use crate::dataset::{Dataset, Sample};
use crate::device::HostSession;
use crate::fine_tune::{Features, set_sample_or_features};
use crate::meaning::producer;
use crate::recipe::{Normalize, Target};
use crate::train::{Pictures, Source};

/// The data do not fit the model.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum EvaluateError {
    /// Pictures of another shape.
    #[error(
        "the samples are {pictures} (height x width x channels), the model takes {model}{}",
        if pictures.channels == model.channels { "; --resize scales pictures" } else { "" }
    )]
    Shape {
        /// Of the samples.
        pictures: kinglet_kernels::Shape,
        /// Of the model's input.
        model: kinglet_kernels::Shape,
    },
    /// A model that takes more than pictures.
    #[error("the model has {found} inputs ({names}); a data set has samples for models of one")]
    Inputs {
        /// Inputs of the model.
        found: usize,
        /// Their names.
        names: String,
    },
    /// Targets that are not as many as the outputs.
    #[error(
        "the samples have {found} numbers each that outputs ought to be, the model has {outputs} outputs"
    )]
    Targets {
        /// Numbers of each sample.
        found: usize,
        /// Outputs of the model.
        outputs: usize,
    },
    /// A class that the model does not have.
    #[error("the samples have {found} classes, the model only {classes}")]
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
    if model.inputs().len() > 1 {
        let names: Vec<&str> = model.inputs().iter().map(|input| input.name).collect();
        return Err(EvaluateError::Inputs {
            found: names.len(),
            names: names.join(", "),
        });
    }
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
    match data.target_len() {
        Some(found) if found != classes => Err(EvaluateError::Targets {
            found,
            outputs: classes,
        }),
        _ => Ok(()),
    }
}

/// What takes a sample: a session, alone or under a fine-tuner.
pub(crate) trait Input {
    /// See [`Session::set_image_u8`].
    fn image(&mut self, pixels: &[u8]) -> Result<(), InputError>;
    /// See [`Session::set_input_f32`].
    fn input(&mut self, values: &[f32]) -> Result<(), InputError>;
}

impl<const OPS: u128, K: Kernels> Input for Session<'_, OPS, K> {
    fn image(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        self.set_image_u8(pixels)
    }

    fn input(&mut self, values: &[f32]) -> Result<(), InputError> {
        self.set_input_f32(values)
    }
}

impl<const OPS: u128, K: Kernels, O: Optimizer> Input for FineTuner<'_, OPS, K, O> {
    fn image(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        self.set_image_u8(pixels)
    }

    fn input(&mut self, values: &[f32]) -> Result<(), InputError> {
        self.set_input_f32(values)
    }
}

/// Hands a sample over: a picture is normalized as the model says, features are what the network sees.
///
/// # Panics
/// If its shape is not the model's: see [`check_fit`].
pub(crate) fn set_sample(target: &mut impl Input, sample: Sample<'_>) {
    match sample {
        Sample::Image(pixels) => target.image(pixels),
        Sample::Features(features) => target.input(features),
    }
    .expect("the shape was checked");
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
    /// Pictures with NaN among their outputs, which are never right.
    pub undecided: usize,
}

impl Evaluation {
    fn new(classes: usize) -> Self {
        Self {
            classes: vec![ClassCount::default(); classes],
            loss_sum: 0.0,
            undecided: 0,
        }
    }

    /// Counts one picture of `class`. `outputs` are logits, or probabilities of which `least` is
    /// the smallest.
    fn count(&mut self, class: usize, outputs: &[f32], least: Option<f32>) {
        let counts = &mut self.classes[class];
        counts.total += 1;
        match argmax(outputs) {
            Some(found) if found == class => counts.correct += 1,
            Some(_) => {}
            None => self.undecided += 1,
        }
        self.loss_sum += cross_entropy(class, outputs, least);
    }

    fn merge(mut self, other: Self) -> Self {
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            mine.correct += theirs.correct;
            mine.total += theirs.total;
        }
        self.loss_sum += other.loss_sum;
        self.undecided += other.undecided;
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

/// Minus the logarithm of the probability of `class`; `outputs` are logits, or probabilities of which `least` is
/// the smallest.
fn cross_entropy(class: usize, outputs: &[f32], least: Option<f32>) -> f64 {
    if let Some(least) = least {
        let probability = outputs[class];
        // A NaN stays one.
        let probability = if probability < least {
            least
        } else {
            probability
        };
        return -f64::from(probability).ln();
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
    /// The class of the largest output; None if there is NaN among them.
    pub predicted: Option<usize>,
    /// The probability of `predicted`, or NaN.
    pub probability: f64,
    /// Cross-entropy: minus the logarithm of the probability of `class`.
    pub loss: f64,
}

impl Prediction {
    fn new(index: usize, class: usize, outputs: &[f32], least: Option<f32>) -> Self {
        let predicted = argmax(outputs);
        Self {
            index,
            class,
            predicted,
            probability: predicted.map_or(f64::NAN, |class| {
                (-cross_entropy(class, outputs, least)).exp()
            }),
            loss: cross_entropy(class, outputs, least),
        }
    }
}

/// The position of the largest value, the first of equals; None if there is NaN among them: what it should have been
/// may be larger than any.
pub fn argmax(values: &[f32]) -> Option<usize> {
    match values.iter().any(|value| value.is_nan()) {
        true => None,
        false => Values::F32(values).argmax(),
    }
}

/// Where the model's first output is of probabilities, the smallest that they tell from 0: of 8-bit numbers, half a step.
fn least_probability(model: &Model<'_>) -> Option<f32> {
    let (last, output) = producer(model, 0)?;
    match (last, output.dtype) {
        (Operator::Softmax(_), DType::F32) => Some(f32::MIN_POSITIVE),
        (Operator::Softmax(_), DType::I8 { scale, .. }) => Some(scale / 2.0),
        _ => None,
    }
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
    kernels: &'static dyn Kernels,
    data: &Dataset,
    indices: &[usize],
) -> Result<Evaluation, EvaluateError> {
    let classes = model.output().len();
    let least = least_probability(model);
    let stretches = run_stretches(
        model,
        kernels,
        data,
        indices,
        || Evaluation::new(classes),
        |found, index, outputs| found.count(usize::from(data.label(index)), outputs, least),
    )?;
    Ok(stretches
        .into_iter()
        .fold(Evaluation::new(classes), Evaluation::merge))
}

/// The mean square of the distances of `model`'s outputs from `target`, for each sample of `data` named in `indices`, in their
/// order.
///
/// # Errors
/// [`EvaluateError`] if the samples do not fit.
pub fn squared_errors(
    model: &Model<'_>,
    kernels: &'static dyn Kernels,
    data: &Dataset,
    indices: &[usize],
    target: Target,
) -> Result<Vec<f64>, EvaluateError> {
    check_fit(model, data)?;
    let (input, outputs) = (model.input(), model.output());
    if target == Target::Input && outputs.len() != input.len() {
        return Err(EvaluateError::Targets {
            found: input.len(),
            outputs: outputs.len(),
        });
    }
    let samples = Pictures::new(data, &Normalize::of_model(model)).with_target(target, outputs);
    let new = || (Vec::new(), vec![0.0; input.len()], vec![0.0; outputs.len()]);
    let stretches = run_stretches(
        model,
        kernels,
        data,
        indices,
        new,
        |(found, input, target), index, outputs| {
            samples.write(index, input);
            samples.write_target(index, input, target);
            let distances = outputs.iter().zip(&*target).map(|(x, y)| f64::from(x - y));
            found.push(distances.map(|d| d * d).sum::<f64>() / outputs.len() as f64);
        },
    )?;
    Ok(stretches
        .into_iter()
        .flat_map(|(found, ..)| found)
        .collect())
}

/// What `model` makes of each picture of `data` named in `indices`, in their order, on all cores of the
/// current thread pool.
///
/// # Errors
/// [`EvaluateError`] if the pictures do not fit.
pub fn predict(
    model: &Model<'_>,
    kernels: &'static dyn Kernels,
    data: &Dataset,
    indices: &[usize],
) -> Result<Vec<Prediction>, EvaluateError> {
    let least = least_probability(model);
    let stretches = run_stretches(
        model,
        kernels,
        data,
        indices,
        Vec::new,
        |found: &mut Vec<Prediction>, index, outputs| {
            let class = usize::from(data.label(index));
            found.push(Prediction::new(index, class, outputs, least));
        },
    )?;
    Ok(stretches.concat())
}

/// Runs `model` over pictures, [`STRETCH`] at a time: each stretch starts from `new` and tells `add` the
/// outputs for each of its pictures.
fn run_stretches<T: Send>(
    model: &Model<'_>,
    kernels: &'static dyn Kernels,
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
                set_sample(&mut session, data.sample(index));
                add(&mut found, index, &session.run().to_f32());
            }
            found
        },
    );
    Ok(stretches.collect())
}

/// Samples of a batch in which a device evaluates: enough to keep it busy.
pub const DEVICE_BATCH: usize = STRETCH;

/// Evaluates as [`evaluate`], a batch at a time in `session`, which was made for `model`.
///
/// # Errors
/// [`EvaluateError`] if the pictures do not fit.
pub fn evaluate_in_batches(
    session: &mut HostSession<'_>,
    model: &Model<'_>,
    data: &Dataset,
    indices: &[usize],
) -> Result<Evaluation, EvaluateError> {
    check_fit(model, data)?;
    let least = least_probability(model);
    let classes = model.output().len();
    let mut found = Evaluation::new(classes);
    for batch in indices.chunks(session.batch()) {
        set_batch(session, model, data, batch);
        let outputs = session.run().to_f32();
        for (outputs, &index) in outputs.chunks_exact(classes).zip(batch) {
            found.count(usize::from(data.label(index)), outputs, least);
        }
    }
    Ok(found)
}

/// Hands a batch over; what is left of it is zeros.
fn set_batch(session: &mut HostSession<'_>, model: &Model<'_>, data: &Dataset, batch: &[usize]) {
    let len = session.batch() * model.input().len();
    let (mut pixels, mut values) = (Vec::new(), Vec::new());
    for &index in batch {
        match data.sample(index) {
            Sample::Image(image) => pixels.extend_from_slice(image),
            Sample::Features(features) => values.extend_from_slice(features),
        }
    }
    match data.is_images() {
        true => {
            pixels.resize(len, 0);
            session.image(&pixels)
        }
        false => {
            values.resize(len, 0.0);
            session.input(&values)
        }
    }
    .expect("the shape was checked");
}

/// Runs a model with its trained head over the pictures of `data` named in `indices`, from their `features` where they
/// are known.
///
/// # Errors
/// [`EvaluateError`] if the pictures do not fit.
pub fn evaluate_tuned<const OPS: u128, K: Kernels, O: Optimizer>(
    tuner: &mut FineTuner<'_, OPS, K, O>,
    data: &Dataset,
    features: Option<&Features>,
    indices: &[usize],
) -> Result<Evaluation, EvaluateError> {
    let model = *tuner.model();
    check_fit(&model, data)?;
    let least = least_probability(&model);
    let mut found = Evaluation::new(model.output().len());
    for &index in indices {
        set_sample_or_features(tuner, data, features, index);
        found.count(usize::from(data.label(index)), tuner.run(), least);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kinglet_kernels::{Portable, Quantization, Shape};

    use super::*;
    use crate::dataset::ReadOptions;
    use crate::export::{ExportSettings, export};
    use crate::graph::{Graph, Input as GraphInput, Int8Operation, Operation, Output};
    use crate::model_file::ModelFile;
    use crate::picture::Fit;
    use crate::recipe::Recipe;

    #[test]
    fn logits_and_probabilities_give_the_same_loss() {
        let logits = [1.0f32, 2.0, 0.5];
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        let probabilities = logits.map(|x| x.exp() / sum);
        let (mut a, mut b) = (Evaluation::new(3), Evaluation::new(3));
        a.count(1, &logits, None);
        b.count(1, &probabilities, Some(f32::MIN_POSITIVE));
        assert!((a.loss() - b.loss()).abs() < 1e-6);
        assert_eq!(
            a.all(),
            ClassCount {
                correct: 1,
                total: 1
            }
        );
    }

    /// A network that shows what it gets: two features, two outputs.
    fn mirror() -> ModelFile {
        let text = "input = [2, 1, 1]\nlayers = [\"Flatten()\", \"Linear(2, 2)\"]";
        let recipe = Recipe::parse(text, Path::new("mirror.toml")).unwrap();
        let mut network = recipe.graph.initialized(1);
        for (name, values) in [
            ("1.weight", &[1.0, 0.0, 0.0, 1.0][..]),
            ("1.bias", &[0.0; 2]),
        ] {
            network.import_pytorch(name, values).unwrap();
        }
        let settings = ExportSettings {
            normalize: Normalize {
                mean: vec![1.0, -2.0],
                std: vec![2.0, 4.0],
            },
            labels: vec!["left".to_owned(), "right".to_owned()],
            fine_tune_last: 0,
        };
        let (bytes, _) = export(network, &settings).unwrap();
        ModelFile::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn features_are_what_the_network_sees() {
        let file = mirror();
        let shape = Shape::new(1, 1, 2);
        let values = vec![2.0, 1.0, 0.0, 1.0];
        let data = Dataset::from_features(Path::new("x"), shape, values, vec![0, 1]).unwrap();
        let found = evaluate(&file.model(), &Portable, &data, &[0, 1]).unwrap();
        assert_eq!(found.accuracy(), 1.0);
        assert!((found.loss() - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-6);
    }

    #[test]
    fn a_model_settles_how_its_data_are_read() {
        let file = mirror();
        let options = ReadOptions::of_model(&file.model(), Fit::Resize, None);
        assert_eq!(options.input, Shape::new(1, 1, 2));
        assert_eq!(options.resize, Some([1, 1]));
        assert_eq!(options.classes, ["left", "right"]);
        assert_eq!(
            ReadOptions::of_model(&file.model(), Fit::Exact, None).resize,
            None
        );
    }

    #[test]
    fn samples_of_another_shape_are_refused_with_advice() {
        let file = mirror();
        let data = |shape: Shape| {
            Dataset::new(Path::new("x"), shape, vec![0; shape.len()], vec![0]).unwrap()
        };
        let error = |shape| {
            check_fit(&file.model(), &data(shape))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(Shape::new(3, 4, 2)),
            "the samples are 3x4x2 (height x width x channels), the model takes 1x1x2; --resize scales pictures"
        );
        assert_eq!(
            error(Shape::new(1, 1, 3)),
            "the samples are 1x1x3 (height x width x channels), the model takes 1x1x2"
        );
    }

    #[test]
    fn probabilities_are_known_as_such_behind_copies_and_8_bit_numbers() {
        let least = |operations: Vec<Operation>| {
            let input = GraphInput::new("input", Shape::vector(3));
            let mut graph = Graph::new("softmax", vec![input]);
            let mut last = 0;
            for operation in operations {
                last = graph.push("node", operation, &[last]);
            }
            graph.outputs.push(Output::new("output", last));
            let settings = ExportSettings {
                normalize: Normalize::identity(0),
                labels: vec![],
                fine_tune_last: 0,
            };
            let file = ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap();
            least_probability(&file.model())
        };
        let probabilities = Quantization::new(1.0 / 256.0, -128);
        let logits = Quantization::new(0.1, 0);
        let softmax = Operation::Int8 {
            operation: Int8Operation::Softmax,
            output: probabilities,
        };
        assert_eq!(least(vec![Operation::Softmax]), Some(f32::MIN_POSITIVE));
        assert_eq!(least(vec![Operation::LogSoftmax]), None);
        let quantized = vec![
            Operation::Quantize(logits),
            softmax,
            Operation::Dequantize(probabilities),
        ];
        assert_eq!(least(quantized), Some(1.0 / 512.0));
        assert!((cross_entropy(0, &[0.0, 1.0], Some(1.0 / 512.0)) - 512f64.ln()).abs() < 1e-9);
        assert!(cross_entropy(0, &[f32::NAN, 1.0], Some(0.1)).is_nan());
    }

    #[test]
    fn a_prediction_has_the_probability_of_its_class_and_the_loss_of_the_right_one() {
        let prediction = Prediction::new(7, 1, &[1.0, 0.0, 3.0], None);
        let sum = 1.0_f64.exp() + 1.0 + 3.0_f64.exp();
        assert_eq!((prediction.index, prediction.predicted), (7, Some(2)));
        assert!((prediction.probability - 3.0_f64.exp() / sum).abs() < 1e-9);
        assert!((prediction.loss - sum.ln()).abs() < 1e-9);
    }
}
