//! An imported model beside its source: tract computes the ONNX file, the runtime the model file, and layer by
//! layer the two are compared.

mod tract;

use std::collections::HashMap;
use std::path::Path;

use kinglet::model::schema::{Node, Tensor};
use kinglet::probe::Probe;
use kinglet::{AnySession, InputError, Model, SessionMemory};
use kinglet_kernels::{Kernels, Quantization, Shape};
use serde::Serialize;

use self::tract::{Kind, Tract, Values};
use crate::export::{ExportError, ExportSettings, write};
use crate::graph::{Graph, View};
use crate::import::ImportError;
use crate::import::onnx::{self, Door, Imported, Numbers, Options};
use crate::inspect::describe;
use crate::model_file::ModelFile;
use crate::optimize::{Channel, Removed, leave_out_constant, optimize};
use crate::random::{Purpose, for_purpose, uniform_between};
use crate::recipe::Normalize;

/// A comparison could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The ONNX file is not one that can be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// It cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// tract does not compute it.
    #[error(transparent)]
    Tract(#[from] tract::Refused),
    /// The runtime cannot run the model.
    #[error(transparent)]
    Session(#[from] kinglet::SessionError),
    /// The samples are of another shape.
    #[error(transparent)]
    Input(#[from] InputError),
    /// No layer has a counterpart.
    #[error(
        "{file}: nothing was compared, of {samples} samples and {layers} layers: none of them has a value of the file's size and name beside it"
    )]
    Nothing {
        /// The ONNX file.
        file: String,
        /// How many inputs there were.
        samples: usize,
        /// How many layers there were.
        layers: usize,
    },
    /// The model is not what the file imports to.
    #[error(
        "the model is not an import of {file} with these options: {difference}; was it imported with another --input-shape or --output-name?"
    )]
    Other {
        /// The ONNX file.
        file: String,
        /// Where they differ.
        difference: String,
    },
}

/// A node of the model beside the value of the ONNX file that it computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// The nodes of the ONNX file that are joined in it.
    pub name: String,
    /// What it computes.
    pub operator: String,
    /// Shape of its output (NHWC).
    #[serde(serialize_with = "shape_as_text")]
    pub output: Shape,
    /// The largest magnitude in tract's output.
    pub largest: f32,
    /// The largest difference of both outputs; None if the file has no value of that size.
    pub difference: Option<f32>,
    /// Distance of neighbouring numbers, of an output of 8-bit numbers.
    pub step: Option<f32>,
}

fn shape_as_text<S: serde::Serializer>(shape: &Shape, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(shape)
}

impl Layer {
    /// True if the outputs differ by more than `tolerance` times the largest magnitude, and by more than
    /// [`F32_ROUNDING`], or one step of 8-bit numbers. Without one it is [`F32_TOLERANCE`] or [`INT8_TOLERANCE`].
    pub fn parts(&self, tolerance: Option<f32>) -> bool {
        let allowed = match self.step {
            None => (tolerance.unwrap_or(F32_TOLERANCE) * self.largest).max(F32_ROUNDING),
            Some(step) => (1.01 * step).max(tolerance.unwrap_or(INT8_TOLERANCE) * self.largest),
        };
        self.difference
            .is_some_and(|difference| difference > allowed || difference.is_nan())
    }
}

/// What the rounding of numbers near 1 may leave where they cancel out.
pub const F32_ROUNDING: f32 = 1e-6;

/// How much of a layer's largest output two runtimes may differ by for the order of their sums.
pub const F32_TOLERANCE: f32 = 1e-4;

/// How much of a layer's largest output two runtimes may differ by where numbers are of 8 bits. tract dequantizes,
/// computes in `f32` and quantizes: what is close to a tie may fall to the other side, and the steps of earlier layers add
/// up.
pub const INT8_TOLERANCE: f32 = 0.05;

/// A model beside its source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// How many inputs were computed.
    pub samples: usize,
    /// Every node of the model, in order.
    pub layers: Vec<Layer>,
}

/// What is compared.
pub struct Sources<'a> {
    /// The ONNX file.
    pub onnx: &'a Path,
    /// How it was imported.
    pub options: &'a Options,
    /// The model.
    pub model: Model<'a>,
}

/// Random numbers for each input of a model: from -1 to 1, or over all that it can tell apart where the input is
/// quantized, or what first reads it quantizes.
pub fn random_inputs(model: &Model<'_>, samples: usize) -> Vec<Vec<f32>> {
    let mut rng = for_purpose(1, Purpose::Initialize, 0, 0);
    let tensors: Vec<Tensor> = model.tensors().iter().collect();
    let (inputs, computed) = tensors.split_at(model.inputs().len());
    let random = |(number, input): (usize, &Tensor)| {
        let reads = |node: &Node| node.inputs.iter().any(|i| usize::from(*i) == number);
        let reader = model.nodes().iter().position(|node| reads(&node));
        let reader = reader.and_then(|reader| computed.get(reader));
        let ends = [Some(input), reader].into_iter().flatten();
        let range = match ends.filter_map(|tensor| tensor.dtype.quantization()).next() {
            Some(quantization) => [i8::MIN, i8::MAX].map(|q| quantization.dequantize(q)),
            None => [-1.0, 1.0],
        };
        let len = samples * input.shape.len();
        (0..len).map(|_| uniform_between(&mut rng, range)).collect()
    };
    inputs.iter().enumerate().map(random).collect()
}

/// Runs both on `inputs`, for each input of the model as many samples as it takes them (NHWC).
///
/// # Errors
/// [`VerifyError`].
pub fn compare(
    sources: &Sources<'_>,
    kernels: &dyn Kernels,
    inputs: &[Vec<f32>],
) -> Result<Comparison, VerifyError> {
    let Sources {
        onnx,
        options,
        model,
    } = sources;
    let bytes = std::fs::read(onnx).map_err(|source| ImportError::Read {
        path: onnx.to_path_buf(),
        source,
    })?;
    let Imported {
        graph,
        inputs: doors,
        outputs,
        ..
    } = onnx::parse(&bytes, onnx, options)?;
    let (graph, removed) = named_as(model, graph, onnx)?;
    let channels = |node: usize| -> Option<&[Channel]> {
        let removed = removed.as_ref()?;
        removed
            .channels
            .get(graph.value_of(node))
            .map(Vec::as_slice)
    };
    let last = computing(&graph);
    let tract = Tract::new(&bytes, onnx, &doors, |node, value| {
        last.contains_key(node) || outputs.iter().any(|output| output.name == value)
    })?;
    // The node that computes each output; none computes one that is an input.
    let ends = graph.outputs.iter().zip(&outputs);
    let ends = ends.filter_map(|(end, door)| Some((graph.producer(end.value)?, door)));
    let ends: Vec<(usize, &Door)> = ends.collect();
    let mut layers: Vec<Layer> = layers(model, &graph);
    for (node, door) in &ends {
        if let Some(numbers) = door.numbers {
            layers[*node].step = Some(numbers.scale);
        }
    }
    let mut memory = SessionMemory::new(model, &kernels, 1);
    let mut session = memory.session(model, kernels)?;
    let lens = model.tensors().iter().map(|tensor| tensor.shape.len());
    let lens: Vec<usize> = lens.take(doors.len()).collect();
    let counts = inputs
        .iter()
        .zip(&lens)
        .map(|(input, len)| input.len() / len);
    let count = counts.min().unwrap_or_default();
    for sample in 0..count {
        let samples = inputs.iter().zip(&lens);
        let samples = samples.map(|(input, len)| &input[sample * len..][..*len]);
        let samples: Vec<&[f32]> = samples.collect();
        let ours = run(&mut session, &samples)?;
        let given = samples.iter().zip(&doors).zip(tract.inputs());
        let given = given.map(|((sample, door), kind)| {
            to_kind(kind, door.array().to_array(sample.to_vec()), door.numbers)
        });
        let theirs = tract.run(&given.collect::<Vec<_>>())?;
        // Outputs go through their doors, below.
        let is_end = |index: usize| ends.iter().any(|(end, _)| *end == index);
        for (name, index) in last.iter().filter(|(_, index)| !is_end(**index)) {
            if let Some(values) = theirs.get(name) {
                let view = graph.nodes[*index].view.as_ref();
                layers[*index].compare(&ours[*index].whole(channels(*index)), values, view, None);
            }
        }
        for (node, door) in &ends {
            if let Some(values) = tract.node(&door.name).and_then(|name| theirs.get(name)) {
                let values = Values {
                    kind: values.kind,
                    elements: door.array().to_model(values.elements.clone()),
                };
                layers[*node].compare(&ours[*node].whole(None), &values, None, door.numbers);
            }
        }
    }
    if layers.iter().all(|layer| layer.difference.is_none()) {
        return Err(VerifyError::Nothing {
            file: onnx.display().to_string(),
            samples: count,
            layers: layers.len(),
        });
    }
    Ok(Comparison {
        samples: count,
        layers,
    })
}

/// The graph that was imported, optimized: each node of the model with its name. The model may have all of its channels, or
/// be without those that make no difference, which are returned then.
fn named_as(
    model: &Model<'_>,
    mut graph: Graph,
    onnx: &Path,
) -> Result<(Graph, Option<Removed>), VerifyError> {
    optimize(&mut graph);
    let whole = check_same(model, graph.clone(), onnx);
    let mut without = graph.clone();
    match (
        whole,
        leave_out_constant(&mut without, model.trainable_nodes()),
    ) {
        (Ok(()), _) => Ok((graph, None)),
        (Err(error), None) => Err(error),
        (Err(_), Some(removed)) => {
            check_same(model, without, onnx)?;
            Ok((graph, Some(removed)))
        }
    }
}

/// Refuses a model that is not what `graph` is written as.
fn check_same(model: &Model<'_>, graph: Graph, onnx: &Path) -> Result<(), VerifyError> {
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = write(graph, &settings)?;
    let file = ModelFile::from_bytes(&bytes).map_err(kinglet::model::EncodeError::Refused);
    let file = file.map_err(ExportError::Encode)?;
    let expected = file.model();
    let other = |difference: String| VerifyError::Other {
        file: onnx.display().to_string(),
        difference,
    };
    let ends = |model: &Model<'_>| (model.inputs().len(), model.outputs().len());
    if ends(model) != ends(&expected) {
        let [(inputs, outputs), (right_inputs, right_outputs)] = [ends(model), ends(&expected)];
        return Err(other(format!(
            "it has {inputs} inputs and {outputs} outputs, an import {right_inputs} and {right_outputs}"
        )));
    }
    if model.nodes().len() != expected.nodes().len() {
        let (found, right) = (model.nodes().len(), expected.nodes().len());
        return Err(other(format!("it has {found} nodes, an import {right}")));
    }
    let inputs = model.inputs().len();
    let nodes = |model: &Model<'_>| {
        let shapes = model.tensors().iter().skip(inputs);
        let shapes: Vec<Shape> = shapes.map(|tensor| tensor.shape).collect();
        shapes
    };
    let shapes = nodes(model).into_iter().zip(nodes(&expected));
    let pairs = model.nodes().iter().zip(expected.nodes().iter());
    for (index, ((found, right), (shape, right_shape))) in pairs.zip(shapes).enumerate() {
        if found != right || shape != right_shape {
            let [found, right] = [found, right].map(|node| describe(&node.operator));
            return Err(other(format!(
                "node {index} is {found} to {shape}, of an import {right} to {right_shape}"
            )));
        }
    }
    Ok(())
}

/// The node that computes the value of each of the file's nodes: of those that came from it the last one. If another of
/// the file's nodes is joined behind it there, nothing computes that value by itself.
fn computing(graph: &Graph) -> HashMap<&str, usize> {
    const JOINED: &str = " + ";
    let mut last = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        last.extend(node.name.split(JOINED).map(|name| (name, index)));
    }
    last.retain(|name, index| graph.nodes[*index].name.rsplit(JOINED).next() == Some(*name));
    last
}

fn layers(model: &Model<'_>, graph: &Graph) -> Vec<Layer> {
    let outputs = model.tensors().iter().skip(model.inputs().len());
    let nodes = model.nodes().iter().zip(outputs).zip(&graph.nodes);
    let layers = nodes.map(|((node, tensor), named)| Layer {
        name: named.name.clone(),
        operator: describe(&node.operator),
        output: tensor.shape,
        largest: 0.0,
        difference: None,
        step: tensor.dtype.quantization().map(|of| of.scale),
    });
    layers.collect()
}

/// An input as the file takes it: 8-bit numbers where it does.
fn to_kind(kind: Kind, values: Vec<f32>, numbers: Option<Numbers>) -> Vec<f32> {
    let (least, most) = match kind {
        Kind::Real => return values,
        Kind::Signed => (-128.0, 127.0),
        Kind::Unsigned => (0.0, 255.0),
    };
    let number = |value: &f32| match numbers {
        Some(Numbers {
            scale, zero_point, ..
        }) => ((value / scale).round_ties_even() + f32::from(zero_point)).clamp(least, most),
        None => *value,
    };
    values.iter().map(number).collect()
}

/// What a node wrote, as real numbers; and what its numbers mean, where it wrote 8-bit ones.
struct Written {
    real: Vec<f32>,
    quantization: Option<Quantization>,
}

/// Keeps what every node writes.
#[derive(Default)]
struct Recorder {
    written: Vec<Written>,
}

impl Probe for Recorder {
    fn after(&mut self, _: usize, output: kinglet::Values<'_>) {
        let quantization = match output {
            kinglet::Values::F32(_) => None,
            kinglet::Values::I8 { quantization, .. } => Some(quantization),
        };
        self.written.push(Written {
            real: output.to_f32().into_owned(),
            quantization,
        });
    }
}

fn run(
    session: &mut AnySession<'_, &dyn Kernels>,
    inputs: &[&[f32]],
) -> Result<Vec<Written>, VerifyError> {
    let mut recorder = Recorder::default();
    for (index, values) in inputs.iter().enumerate() {
        if let Some(input) = session.input_mut(index) {
            input.set_f32(values)?;
        }
    }
    session.run_probed(&mut recorder);
    Ok(recorder.written)
}

impl Written {
    /// All elements, of an output without the channels that `channels` says as well: what they always mean, or None of
    /// those that are not known, since nothing reads them.
    fn whole(&self, channels: Option<&[Channel]>) -> Whole {
        let real = self.real.iter().copied();
        let real = match channels {
            None => real.map(Some).collect(),
            Some(channels) => {
                let is_kept = |channel: &&Channel| matches!(channel, Channel::Kept(_));
                let kept = channels.iter().filter(is_kept).count().max(1);
                let element = |position: &[f32], channel: &Channel| match *channel {
                    Channel::Kept(place) => position.get(place).copied(),
                    Channel::Constant(number) => Some(number),
                    Channel::Unread => None,
                };
                let positions = self.real.chunks_exact(kept);
                positions
                    .flat_map(|position| channels.iter().map(move |of| element(position, of)))
                    .collect()
            }
        };
        Whole {
            real,
            quantization: self.quantization,
        }
    }
}

/// [`Written`] with all channels.
struct Whole {
    real: Vec<Option<f32>>,
    quantization: Option<Quantization>,
}

impl Layer {
    /// Notes how far apart the runtime and tract are.
    /// `view` is how the file's tensor lies in ours, and `numbers` are what the file's mean where ours are real already.
    fn compare(
        &mut self,
        ours: &Whole,
        theirs: &Values,
        view: Option<&View>,
        numbers: Option<Numbers>,
    ) {
        // Numbers are compared as what they mean: tract's by the meaning that ours have.
        let (shift, scale) = match (theirs.kind, ours.quantization, numbers) {
            (Kind::Real, ..) => (0.0, 1.0),
            (Kind::Signed, Some(of), _) => (f32::from(of.zero_point), of.scale),
            (Kind::Unsigned, Some(of), _) => (f32::from(of.zero_point) + 128.0, of.scale),
            (_, None, Some(of)) => (f32::from(of.zero_point), of.scale),
            // What was dequantized is no value of the file.
            (_, None, None) => return,
        };
        let real = |value: f32| (value - shift) * scale;
        let expected: Vec<f32> = theirs.elements.iter().copied().map(real).collect();
        if expected.len() != ours.real.len() {
            return;
        }
        self.largest = expected.iter().fold(self.largest, |m, x| m.max(x.abs()));
        let difference = match view {
            Some(view) => {
                let offsets = view.offsets();
                difference(offsets.iter().map(|offset| ours.real[*offset]), &expected)
            }
            None => difference(ours.real.iter().copied(), &expected),
        };
        self.difference = Some(match self.difference {
            Some(before) if before > difference || before.is_nan() => before,
            _ => difference,
        });
    }
}

/// The largest difference of what was found; NaN if there is one.
fn difference(found: impl Iterator<Item = Option<f32>>, expected: &[f32]) -> f32 {
    let pairs = found.zip(expected);
    let differences = pairs.filter_map(|(a, b)| Some((a? - b).abs()));
    differences.fold(0.0, |most: f32, difference| {
        match difference > most || difference.is_nan() {
            true => difference,
            false => most,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_numbers_part_by_tolerance_and_8_bit_ones_by_steps() {
        let layer = |difference, step| Layer {
            name: "conv".into(),
            operator: "Conv2d".into(),
            output: Shape::vector(1),
            largest: 2.0,
            difference: Some(difference),
            step,
        };
        assert!(!layer(1.9e-4, None).parts(None));
        assert!(layer(2.1e-4, None).parts(None));
        assert!(layer(f32::NAN, None).parts(None));
        assert!(!layer(0.5, Some(0.5)).parts(None));
        assert!(!layer(0.09, Some(0.01)).parts(None));
        assert!(layer(0.11, Some(0.01)).parts(None));
        // What was asked for is for both.
        assert!(layer(1.9e-4, None).parts(Some(1e-5)));
        assert!(layer(0.09, Some(0.01)).parts(Some(1e-3)));
        assert!(!layer(0.01, Some(0.01)).parts(Some(0.0)));
    }
}
