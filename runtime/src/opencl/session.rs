//! A model on a device: weights and arena stay there, all nodes are enqueued at once, one read ends a run.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::Vec;

use kinglet_kernels::Conv2d;

use super::{Buffer, Element, Executor, OpenClError, Recording, Slice};
use crate::model::Model;
use crate::model::schema::{DType, Tensor, bits};
use crate::operator::{Operation, Span};
use crate::record::{Record, Region, records};
use crate::session::InputError;
use crate::values::ValuesMut;

/// A model bound to a device, ready to run.
///
/// It runs the plan that is in the file, as a session on the CPU does, with offsets and sizes multiplied by the
/// batch. Making one takes the tuning of each layer, where the cache does not know it yet, and a first run.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    batch: usize,
    /// Of each input.
    inputs: Vec<Vec<f32>>,
    /// Of each output.
    outputs: Vec<Vec<f32>>,
    memory: Memory,
    /// Where each output lies.
    output_places: Vec<Place>,
    recording: Recording,
    /// For each node, the first launch that is its own.
    first_launches: Vec<usize>,
}

/// What stays on the device.
#[derive(Debug)]
struct Memory {
    /// Each input by itself: what the host writes is always a whole buffer. Their places in the arena are not used.
    inputs: Vec<Buffer>,
    arena: Buffer,
    /// Weights in the kernels' order, and biases.
    parameters: Buffer,
}

/// Elements of a buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    at: usize,
    len: usize,
}

/// Where a tensor lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the buffer of the input of this number.
    Input(usize),
    Arena(Part),
}

impl<'a> Session<'a> {
    /// A session for `batch` samples at a time, with weights and activations stored in `storage`: sums are f32
    /// either way, and with [`Element::F16`] results are good to about three digits.
    ///
    /// # Errors
    /// [`OpenClError`] if the device has too little memory, lacks something the model needs, or fails.
    pub fn new(
        executor: &Arc<Executor>,
        model: &Model<'a>,
        batch: usize,
        storage: Element,
    ) -> Result<Self, OpenClError> {
        Self::of_nodes(executor, model, batch, storage, model.nodes().len())
    }

    /// A session of the frozen nodes alone, whose output is what the trainable suffix reads: features for
    /// [`FineTuner::set_features`](crate::FineTuner::set_features).
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn frozen_body(
        executor: &Arc<Executor>,
        model: &Model<'a>,
        batch: usize,
        storage: Element,
    ) -> Result<Self, OpenClError> {
        let nodes = model.nodes().len().saturating_sub(model.trainable_nodes());
        Self::of_nodes(executor, model, batch, storage, nodes)
    }

    fn of_nodes(
        executor: &Arc<Executor>,
        model: &Model<'a>,
        batch: usize,
        storage: Element,
        nodes: usize,
    ) -> Result<Self, OpenClError> {
        if storage == Element::U32 || batch == 0 {
            return Err(OpenClError::Unsupported {
                reason: std::format!("a session of {batch} samples in {storage:?}"),
            });
        }
        // No item is an error: the model has been checked.
        let records: Vec<Record> = records::<{ bits::ALL }>(model)
            .flatten()
            .take(nodes)
            .collect();
        if model
            .tensors()
            .iter()
            .any(|tensor| tensor.dtype != DType::F32)
        {
            return Err(no_int8());
        }
        let (parameters, parameter_places) = load_parameters(executor, model, &records, storage)?;
        let tensors = || model.tensors().iter();
        let inputs = tensors().take(model.inputs().len());
        let inputs = inputs.map(|tensor| executor.buffer(tensor.shape.len() * batch, storage));
        let memory = Memory {
            inputs: inputs.collect::<Result<_, _>>()?,
            arena: executor.buffer(model.sizes().activations() / 4 * batch, storage)?,
            parameters,
        };
        let mut recording = Recording::new(executor);
        let mut first_launches = Vec::with_capacity(nodes);
        for ((record, node), places) in records
            .iter()
            .zip(model.nodes().iter())
            .zip(parameter_places)
        {
            first_launches.push(recording.len());
            record_node(&mut recording, record, &node.inputs, batch, places, &memory)?;
        }
        let outputs: Vec<usize> = match nodes == model.nodes().len() {
            true => model.outputs().iter().map(|o| o.tensor.into()).collect(),
            // What the last of the nodes writes.
            false => std::vec![(model.inputs().len() + nodes).saturating_sub(1)],
        };
        let place = |number: usize, tensor: Tensor| match memory.inputs.get(number) {
            Some(_) => Place::Input(number),
            None => Place::Arena(Part::of_batch(Region::of(&tensor), batch)),
        };
        let output_places = outputs.iter().filter_map(|number| {
            let tensor = model.tensors().get(*number)?;
            Some((place(*number, tensor), tensor.shape.len() * batch))
        });
        let (output_places, lens): (Vec<Place>, Vec<usize>) = output_places.unzip();
        let mut session = Self {
            model: *model,
            batch,
            inputs: zeros(memory.inputs.iter().map(Buffer::len)),
            outputs: zeros(lens),
            memory,
            output_places,
            recording,
            first_launches,
        };
        // Drivers put off a part of their work to the first launch; what they keep of it is saved now.
        session.run()?;
        executor.save();
        Ok(session)
    }

    /// The model this session runs.
    pub fn model(&self) -> &Model<'a> {
        &self.model
    }

    /// The device it runs on.
    pub fn executor(&self) -> &Arc<Executor> {
        self.recording.executor()
    }

    /// Samples per run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Kernels that one run launches.
    pub fn launches(&self) -> usize {
        self.recording.len()
    }

    /// Input number `index` of the whole batch, NHWC; None if there is no such input. Unlike that of a session on the
    /// CPU, it stays as it is set.
    pub fn input_mut(&mut self, index: usize) -> Option<&mut [f32]> {
        self.inputs.get_mut(index).map(Vec::as_mut_slice)
    }

    /// Input number `index` as it was set; None if there is no such input.
    pub fn input(&self, index: usize) -> Option<&[f32]> {
        self.inputs.get(index).map(Vec::as_slice)
    }

    /// The first input, which every model has.
    fn first_input(&mut self) -> &mut [f32] {
        self.input_mut(0).unwrap_or_default()
    }

    /// Sets the first input: copies `input`, the whole batch in NHWC, as it is.
    ///
    /// # Errors
    /// [`InputError`] if it has another length.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        ValuesMut::F32(self.first_input()).set_f32(input)
    }

    /// Sets the first input from pictures; see [`Session::set_image_u8`](crate::Session::set_image_u8).
    ///
    /// # Errors
    /// [`InputError`] if there are more or fewer pixels.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        let model = self.model;
        model.normalize_image_u8(pixels, self.first_input())
    }

    /// Output number `index` as the last run has left it, NHWC; None if there is no such output.
    pub fn output(&self, index: usize) -> Option<&[f32]> {
        self.outputs.get(index).map(Vec::as_slice)
    }

    /// What weights and activations are stored in.
    pub fn storage(&self) -> Element {
        self.memory.arena.whole().element()
    }

    /// Computes all outputs of the whole batch and returns the first, NHWC.
    ///
    /// # Errors
    /// [`OpenClError::Driver`] if the device fails.
    pub fn run(&mut self) -> Result<&[f32], OpenClError> {
        self.write_inputs()?;
        self.recording.enqueue()?;
        let executor = self.recording.executor();
        for (output, place) in self.outputs.iter_mut().zip(&self.output_places) {
            executor.read_f32(place.within(&self.memory)?, output)?;
        }
        Ok(self.output(0).unwrap_or_default())
    }

    fn write_inputs(&self) -> Result<(), OpenClError> {
        let mut inputs = self.memory.inputs.iter().zip(&self.inputs);
        inputs.try_for_each(|(buffer, input)| self.executor().write_f32(buffer.whole(), input))
    }

    /// How long it takes to enqueue one run, which waits for nothing; the run itself is waited for afterwards. For
    /// measurements.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn time_to_enqueue(&self) -> Result<Duration, OpenClError> {
        let start = Instant::now();
        self.recording.enqueue()?;
        let time = start.elapsed();
        self.executor().finish()?;
        Ok(time)
    }

    /// Runs as [`run`](Self::run), waiting for each node: `after` is called with its number when it is done. For
    /// measurements; a run that does not wait is faster than the sum of these.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_in_steps(&mut self, mut after: impl FnMut(usize)) -> Result<(), OpenClError> {
        self.write_inputs()?;
        let executor = self.recording.executor();
        let ends = self.first_launches.iter().skip(1).copied();
        let ends = ends.chain([self.recording.len()]);
        for (node, (first, end)) in self.first_launches.iter().copied().zip(ends).enumerate() {
            self.recording.enqueue_part(first..end)?;
            executor.finish()?;
            after(node);
        }
        Ok(())
    }
}

/// Zeros, so many of each.
fn zeros(lens: impl IntoIterator<Item = usize>) -> Vec<Vec<f32>> {
    let zeros = lens.into_iter().map(|len| std::vec![0.0; len]);
    zeros.collect()
}

impl Place {
    fn within(self, memory: &Memory) -> Result<Slice<'_>, OpenClError> {
        match self {
            Self::Input(number) => Ok(memory.inputs[number].whole()),
            Self::Arena(part) => part.in_buffer(&memory.arena),
        }
    }
}

impl Part {
    fn of_batch(region: Region, batch: usize) -> Self {
        Self {
            at: region.offset / 4 * batch,
            len: region.len / 4 * batch,
        }
    }

    fn in_buffer(self, buffer: &Buffer) -> Result<Slice<'_>, OpenClError> {
        buffer.whole().part(self.at, self.len)
    }
}

/// Where a node's parameters lie, prepared for the kernels.
#[derive(Debug, Clone, Copy, Default)]
struct Parameters {
    weights: Part,
    bias: Option<Part>,
}

/// Brings the parameters of `records` to the device, weights in the order in which kernels read them. The file's own
/// order is there for as long as this takes.
fn load_parameters(
    executor: &Arc<Executor>,
    model: &Model<'_>,
    records: &[Record],
    storage: Element,
) -> Result<(Buffer, Vec<Parameters>), OpenClError> {
    let mut end = 0;
    let mut take = |len: usize| {
        let at = end;
        end += len;
        Part { at, len }
    };
    let places: Vec<Parameters> = records
        .iter()
        .map(|record| {
            let Some((weights, bias)) = constants(&record.operation) else {
                return Parameters::default();
            };
            let packed_len = conv2d(&record.operation).map(Recording::conv2d_f32_packed_len);
            Parameters {
                weights: take(packed_len.unwrap_or(weights.len())),
                bias: bias.map(|bias| take(bias.len())),
            }
        })
        .collect();
    let file = executor.buffer(model.weights().len(), storage)?;
    executor.write_f32(file.whole(), model.weights())?;
    let prepared = executor.buffer(end, storage)?;
    let mut packing = Recording::new(executor);
    for (record, places) in records.iter().zip(&places) {
        let Some((weights, bias)) = constants(&record.operation) else {
            continue;
        };
        let from = |span: Span<f32>| file.whole().part(span.offset(), span.len());
        let to = places.weights.in_buffer(&prepared)?;
        match conv2d(&record.operation) {
            Some(params) => packing.conv2d_f32_pack(params, from(weights)?, to)?,
            None => packing.copy_f32(from(weights)?, to)?,
        }
        if let (Some(bias), Some(place)) = (bias, places.bias) {
            packing.copy_f32(from(bias)?, place.in_buffer(&prepared)?)?;
        }
    }
    packing.enqueue()?;
    executor.finish()?;
    Ok((prepared, places))
}

/// Where the constants of an operation lie in the file: weights and bias, or what it has in their place.
fn constants(operation: &Operation) -> Option<(Span<f32>, Option<Span<f32>>)> {
    match operation {
        Operation::Conv2dF32(conv) => Some((conv.weights.span(), conv.bias)),
        Operation::Conv2dMaxPool2dF32(conv) => Some((conv.weights.span(), conv.bias)),
        Operation::LinearF32(linear) => Some((linear.layer.weights, linear.layer.bias)),
        Operation::BinaryConstantF32(binary) => Some((binary.operand, None)),
        Operation::ChannelAffineF32(affine) => Some((affine.scale, Some(affine.shift))),
        _ => None,
    }
}

/// The convolution, alone or with a pool.
fn conv2d(operation: &Operation) -> Option<&Conv2d> {
    match operation {
        Operation::Conv2dF32(conv) => Some(&conv.params),
        Operation::Conv2dMaxPool2dF32(conv) => Some(conv.params.conv()),
        _ => None,
    }
}

/// Adds the launches of one node, which reads the tensors numbered `inputs`.
fn record_node(
    recording: &mut Recording,
    record: &Record,
    inputs: &[u16],
    batch: usize,
    places: Parameters,
    memory: &Memory,
) -> Result<(), OpenClError> {
    let in_arena = |region| Part::of_batch(region, batch).in_buffer(&memory.arena);
    // The model's inputs, which are the first tensors, have buffers of their own.
    let input_buffer = |number: usize| {
        let tensor = inputs.get(number)?;
        memory.inputs.get(usize::from(*tensor))
    };
    let source = |number: usize, region| match input_buffer(number) {
        Some(buffer) => Ok(buffer.whole()),
        None => in_arena(region),
    };
    let input = source(0, record.input)?;
    let output = in_arena(record.output)?;
    let weights = places.weights.in_buffer(&memory.parameters)?;
    let bias = places.bias.map(|bias| bias.in_buffer(&memory.parameters));
    let bias = bias.transpose()?;
    let elsewhere = input_buffer(0).is_some() || record.input != record.output;
    if record.operation.in_place() && elsewhere {
        recording.copy_f32(input, output)?;
    }
    match &record.operation {
        Operation::Conv2dF32(conv) => {
            recording.conv2d_f32(&conv.params, batch, input, weights, bias, output)
        }
        Operation::Conv2dMaxPool2dF32(conv) => {
            recording.conv2d_max_pool2d_f32(&conv.params, batch, input, weights, bias, output)
        }
        Operation::LinearF32(linear) => {
            recording.linear_f32(&linear.params, batch, input, weights, bias, output)
        }
        Operation::MaxPool2dF32(pool) => {
            recording.max_pool2d_f32(&pool.params, batch, input, output)
        }
        Operation::AvgPool2dF32(params) => recording.avg_pool2d_f32(params, batch, input, output),
        Operation::UnaryF32(function) => recording.unary_f32(*function, output),
        Operation::SoftmaxF32(softmax) => recording.softmax_f32(softmax.channels, output),
        Operation::LogSoftmaxF32(softmax) => recording.log_softmax_f32(softmax.channels, output),
        Operation::BinaryF32(binary) => {
            recording.binary_f32(&binary.params, source(1, binary.operand)?, output)
        }
        Operation::BinaryConstantF32(binary) => {
            recording.binary_f32(&binary.params, weights, output)
        }
        Operation::ChannelAffineF32(affine) => {
            let shift = bias.unwrap_or(weights);
            recording.channel_affine_f32(affine.activation, weights, shift, output)
        }
        Operation::ConcatF32(concat) => {
            let regions = core::iter::once(&record.input).chain(&concat.others);
            for ((number, region), copy) in regions.enumerate().zip(concat.params.copies()) {
                recording.strided_copy_f32(&copy, source(number, *region)?, output)?;
            }
            Ok(())
        }
        Operation::SliceF32(part) => recording.strided_copy_f32(&part.copy, input, output),
        Operation::TransposeF32(whole) => recording.strided_copy_f32(&whole.copy, input, output),
        Operation::PadF32(pad) => {
            recording.fill_f32(pad.value, output)?;
            recording.strided_copy_f32(&pad.copy, input, output)
        }
        Operation::UpsampleF32(upsample) => {
            let mut copies = upsample.params.copies();
            copies.try_for_each(|copy| recording.strided_copy_f32(&copy, input, output))
        }
        Operation::ReshapeF32(_) => Ok(()),
        Operation::MaxPool2dI8(_)
        | Operation::AvgPool2dI8(_)
        | Operation::SoftmaxI8(_)
        | Operation::ConcatI8(_)
        | Operation::SliceI8(_)
        | Operation::PadI8(_)
        | Operation::UpsampleI8(_)
        | Operation::TransposeI8(_)
        | Operation::ReshapeI8(_)
        | Operation::QuantizeI8(_)
        | Operation::DequantizeI8(_)
        | Operation::RequantizeI8(_)
        | Operation::Conv2dI8(_)
        | Operation::LinearI8(_)
        | Operation::AddI8(_)
        | Operation::TableI8(_)
        | Operation::BinaryI8(_) => Err(no_int8()),
    }
}

/// A model of 8-bit numbers stays on the CPU.
fn no_int8() -> OpenClError {
    OpenClError::Unsupported {
        reason: "there are no OpenCL kernels for 8-bit numbers".into(),
    }
}
