//! A test case as ONNX keeps them: a folder with `model.onnx`, and a folder `test_data_set_0` with the inputs and
//! outputs as messages of their own.

use std::path::{Path, PathBuf};

use kinglet::{AlignedBytes, Model, SessionMemory};
use kinglet_kernels::Portable;
use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::import::onnx::messages::{DataType, ModelProto, TensorProto};
use kinglet_tools::import::onnx::{self, Imported, InputShape, Numbers, Options};
use kinglet_tools::import::{ImportError, NodeProblem};
use kinglet_tools::recipe::Normalize;
use prost::Message;

type Failure = Box<dyn std::error::Error>;

/// A case, ready to be run.
pub(crate) struct Case {
    path: PathBuf,
    /// The model, all inputs but the first made constants.
    model: ModelProto,
    input: TensorProto,
    outputs: Vec<TensorProto>,
}

/// How far an element may be from what is expected: the sum of these.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tolerance {
    pub(crate) absolute: f32,
    /// Times the size of the element itself.
    pub(crate) of_element: f32,
    /// Times the size of the largest element.
    pub(crate) of_largest: f32,
}

/// What came of a case.
pub(crate) enum Outcome {
    /// Every output is as expected.
    Passed,
    /// The model is not imported.
    Refused(String),
    /// Something else comes out.
    Failed(String),
}

impl Case {
    /// Reads the case in `folder`.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("model.onnx");
        let mut model = ModelProto::decode(std::fs::read(&path)?.as_slice())?;
        let data = folder.join("test_data_set_0");
        let tensor = |name: String| -> Result<TensorProto, Failure> {
            Ok(TensorProto::decode(
                std::fs::read(data.join(name))?.as_slice(),
            )?)
        };
        let graph = model.graph.as_mut().ok_or("no graph")?;
        let is_initializer = |name: &String| graph.initializer.iter().any(|t| t.name == *name);
        let inputs: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
        let inputs: Vec<String> = inputs
            .into_iter()
            .filter(|name| !is_initializer(name))
            .collect();
        let (_, others) = inputs.split_first().ok_or("no inputs")?;
        for (index, name) in others.iter().enumerate() {
            let constant = tensor(format!("input_{}.pb", index + 1))?;
            graph.initializer.push(TensorProto {
                name: name.clone(),
                ..constant
            });
        }
        let outputs = (0..graph.output.len()).map(|i| tensor(format!("output_{i}.pb")));
        Ok(Self {
            outputs: outputs.collect::<Result<_, _>>()?,
            input: tensor("input_0.pb".into())?,
            path,
            model,
        })
    }

    /// The operators in the model, each once.
    pub(crate) fn operators(&self) -> Vec<&str> {
        let nodes = self.model.graph.iter().flat_map(|graph| &graph.node);
        let mut names: Vec<&str> = nodes.map(|node| node.op_type.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Imports and runs the model for each of its outputs.
    pub(crate) fn run(&self, tolerance: Tolerance) -> Outcome {
        let graph = self.model.graph.as_ref().expect("checked when it was read");
        for (output, expected) in graph.output.iter().zip(&self.outputs) {
            let (found, numbers) = match self.compute(&output.name) {
                Ok(found) => found,
                Err(outcome) => return outcome,
            };
            let Some(expected) = reals(expected, numbers) else {
                return Outcome::Refused(format!("{} is of another type", output.name));
            };
            if let Err(difference) = compare(&found, &expected, tolerance) {
                return Outcome::Failed(format!("{}: {difference}", output.name));
            }
        }
        Outcome::Passed
    }

    /// What the model computes as the value `output`, and what that is in the file.
    fn compute(&self, output: &str) -> Result<(Vec<f32>, Option<Numbers>), Outcome> {
        let refused = |error: &dyn std::fmt::Display| Outcome::Refused(error.to_string());
        let dims: Vec<usize> = self
            .input
            .dims
            .iter()
            .map(|d| usize::try_from(*d).unwrap_or(0))
            .collect();
        let mut options = Options {
            input_shapes: vec![InputShape { name: None, dims }],
            outputs: vec![output.to_owned()],
        };
        let bytes = self.model.encode_to_vec();
        let mut imported = onnx::parse(&bytes, &self.path, &options);
        if imported.as_ref().is_err_and(reads_batch) {
            // As the message says; the samples then go one by one.
            if let Some(batch) = options.input_shapes[0].dims.first_mut() {
                *batch = 1;
            }
            imported = onnx::parse(&bytes, &self.path, &options);
        }
        let imported = imported.map_err(|error| refused(&error))?;
        let Some(input) = reals(&self.input, imported.inputs[0].numbers) else {
            return Err(Outcome::Refused("its input is of another type".into()));
        };
        let numbers = imported.outputs[0].numbers;
        let found = run(imported, &input);
        found
            .map(|found| (found, numbers))
            .map_err(|error| Outcome::Failed(error.to_string()))
    }
}

/// True if the import was refused because of several samples.
fn reads_batch(error: &ImportError) -> bool {
    match error {
        ImportError::Node { problem, .. } => matches!(**problem, NodeProblem::Batch { .. }),
        _ => false,
    }
}

/// Exports the network and runs it, sample by sample.
fn run(imported: Imported, input: &[f32]) -> Result<Vec<f32>, Failure> {
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    let (bytes, _) = export(imported.graph, &settings)?;
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes)?;
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable)?;
    let input = imported.inputs[0].array().to_model(input.to_vec());
    let mut output = Vec::new();
    for sample in input.chunks_exact(model.input().len()) {
        session.set_input_f32(sample)?;
        let found = session.run().to_f32().into_owned();
        output.extend(imported.outputs[0].array().to_array(found));
    }
    Ok(output)
}

/// The elements of a tensor of float32, or what 8-bit numbers mean.
fn reals(tensor: &TensorProto, numbers: Option<Numbers>) -> Option<Vec<f32>> {
    let bytes = &tensor.raw_data;
    match (DataType::try_from(tensor.data_type), numbers) {
        (Ok(DataType::Float), None) if bytes.is_empty() => Some(tensor.float_data.clone()),
        (Ok(DataType::Float), None) => {
            let elements = bytes.as_chunks().0.iter();
            Some(elements.map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        (Ok(DataType::Int8), Some(numbers)) => Some(
            bytes
                .iter()
                .map(|byte| numbers.real(i16::from(*byte as i8)))
                .collect(),
        ),
        (Ok(DataType::Uint8), Some(numbers)) => Some(
            bytes
                .iter()
                .map(|byte| numbers.real(i16::from(*byte)))
                .collect(),
        ),
        _ => None,
    }
}

fn compare(found: &[f32], expected: &[f32], tolerance: Tolerance) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!(
            "{} elements instead of {}",
            found.len(),
            expected.len()
        ));
    }
    let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance.absolute
            + tolerance.of_element * expected.abs()
            + tolerance.of_largest * largest;
        let same = found == expected || (found.is_nan() && expected.is_nan());
        let close = (found - expected).abs() <= allowed;
        if !same && !close {
            return Err(format!("element {index} is {found} instead of {expected}"));
        }
    }
    Ok(())
}
