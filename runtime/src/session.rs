//! A model bound to its memory and a kernel set, ready to run.
//!
//! The arena is laid out as activations (the plan's peak, times the batch), scratch, records. Everything a
//! run touches is there, in the model file, or in the workspace that wide SIMD sets ask for on hosts: a run
//! allocates nothing and cannot fail.

mod int8;

use bytemuck::Pod;
use kinglet_kernels::{Kernels, StridedCopy, Unary};

use crate::arena::{ArenaMut, carve, initialize};
use crate::model::schema::{TENSOR_ALIGN, bits, operator_name};
use crate::model::{LoadError, Model};
use crate::probe::{NoProbe, Output, Probe};
use crate::record::{Inputs, Operation, Record, Region, Span, resolve};

/// Why a session could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError {
    /// The model uses an operator that this program was built without.
    Operator {
        /// Its name.
        name: &'static str,
    },
    /// The arena is too small for the model and batch.
    ArenaTooSmall {
        /// Bytes it takes.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// The kernel set wants a larger workspace for packed weights and scratch.
    WorkspaceTooSmall {
        /// Elements it takes; see [`workspace_len`].
        needed: usize,
        /// Elements given.
        found: usize,
    },
    /// A batch of 0.
    EmptyBatch,
}

impl core::fmt::Display for SessionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Operator { name } => {
                write!(
                    f,
                    "the model uses {name}, which this program was built without"
                )
            }
            Self::ArenaTooSmall { needed, found } => {
                write!(f, "the arena has {found} bytes, the model needs {needed}")
            }
            Self::WorkspaceTooSmall { needed, found } => write!(
                f,
                "the workspace has {found} elements, the kernel set needs {needed}"
            ),
            Self::EmptyBatch => write!(f, "the batch must be at least 1"),
        }
    }
}

impl core::error::Error for SessionError {}

/// An input of the wrong length was refused; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InputError {
    /// Elements of the whole batch's input.
    pub expected: usize,
    /// Elements given.
    pub found: usize,
}

impl core::fmt::Display for InputError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "the input has {} elements, the model takes {}",
            self.found, self.expected
        )
    }
}

impl core::error::Error for InputError {}

/// Elements of workspace (packed weights and scratch) that `kernels` asks for: 0 for the sets that a
/// microcontroller uses.
pub fn workspace_len(model: &Model<'_>, kernels: &impl Kernels) -> usize {
    workspace_len_with::<{ bits::ALL }>(model, kernels)
}

/// The same, without linking operators outside of `OPS`.
fn workspace_len_with<const OPS: u64>(model: &Model<'_>, kernels: &impl Kernels) -> usize {
    let mut packed = 0usize;
    let mut scratch = 0;
    for mut record in records::<OPS>(model).flatten() {
        if let Some((params, _, _)) = record.operation.convolution() {
            packed = packed.saturating_add(kernels.conv2d_f32_packed_len(params));
        }
        scratch = scratch.max(match &record.operation {
            Operation::Conv2d { params, .. } => kernels.conv2d_f32_scratch_len(params),
            Operation::PooledConv2d { params, .. } => {
                kernels.conv2d_max_pool2d_f32_scratch_len(params)
            }
            _ => 0,
        });
    }
    packed.saturating_add(scratch)
}

/// The memory of a session on the heap, for hosts: an arena and the workspace that the kernel set asks for.
///
/// Make one for each thread; sessions over the same [`Model`] share its weights.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct SessionMemory {
    arena: crate::HeapArena,
    workspace: std::vec::Vec<f32>,
    batch: usize,
}

#[cfg(feature = "std")]
impl SessionMemory {
    /// Memory for `batch` samples at a time of `model` on `kernels`.
    pub fn new(model: &Model<'_>, kernels: &impl Kernels, batch: usize) -> Self {
        Self {
            arena: crate::HeapArena::new(model.sizes().arena_for_batch(batch)),
            workspace: std::vec![0.0; workspace_len(model, kernels)],
            batch,
        }
    }

    /// A session in this memory, which must have been made for the same model and kernel set.
    ///
    /// # Errors
    /// [`SessionError`] if it was made for a smaller model, another kernel set, or a batch of 0.
    pub fn session<'a, K: Kernels>(
        &'a mut self,
        model: &Model<'a>,
        kernels: K,
    ) -> Result<AnySession<'a, K>, SessionError> {
        AnySession::with_workspace(
            model,
            &mut self.arena,
            kernels,
            self.batch,
            &mut self.workspace,
        )
    }
}

/// Resolves every node of a checked model. No item is an error if `OPS` has all of its operators.
pub(crate) fn records<const OPS: u64>(
    model: &Model<'_>,
) -> impl Iterator<Item = Result<Record, LoadError>> {
    let tensors = model.tensors();
    let weights = model.weights().len();
    model
        .nodes()
        .iter()
        .zip(tensors.iter().skip(1))
        .enumerate()
        .map(move |(index, (node, output))| {
            let mut inputs = Inputs::new();
            for input in &node.inputs {
                let tensor = tensors.iter().nth(usize::from(*input));
                let tensor = tensor.ok_or(LoadError::Malformed)?;
                inputs.push(tensor).map_err(|_| LoadError::Malformed)?;
            }
            resolve::<OPS>(index, &node, &inputs, &output, weights)
        })
}

/// A model bound to an arena and a kernel set `K`, with the operators in the bitmap `OPS` linked in.
///
/// Firmware names `OPS` from its model (`{ SIZES.operators }`), so that no other operator is linked; hosts
/// use [`AnySession`].
#[derive(Debug)]
pub struct Session<'a, const OPS: u64, K> {
    model: Model<'a>,
    kernels: K,
    batch: usize,
    activations: &'a mut [u8],
    scratch: &'a mut [f32],
    records: &'a [Record],
    packed: &'a [f32],
}

/// A session with every operator, for hosts that load any model.
pub type AnySession<'a, K> = Session<'a, { bits::ALL }, K>;

impl<'a, const OPS: u64, K: Kernels> Session<'a, OPS, K> {
    /// A session for one sample at a time, with a kernel set that needs no workspace.
    ///
    /// # Errors
    /// [`SessionError`] if `OPS` lacks an operator, the arena is too small, or the set needs a workspace.
    pub fn new(
        model: &Model<'a>,
        arena: impl Into<ArenaMut<'a>>,
        kernels: K,
    ) -> Result<Self, SessionError> {
        Self::with_workspace(model, arena, kernels, 1, &mut [])
    }

    /// A session for `batch` samples at a time. `workspace` holds at least [`workspace_len`] elements: the
    /// kernel set packs its weights there, now.
    ///
    /// # Errors
    /// [`SessionError`] if `OPS` lacks an operator or a buffer is too small.
    pub fn with_workspace(
        model: &Model<'a>,
        arena: impl Into<ArenaMut<'a>>,
        kernels: K,
        batch: usize,
        workspace: &'a mut [f32],
    ) -> Result<Self, SessionError> {
        let sizes = model.sizes();
        let missing = sizes.operators & !OPS;
        if missing != 0 {
            return Err(SessionError::Operator {
                name: operator_name(missing.trailing_zeros()),
            });
        }
        if batch == 0 {
            return Err(SessionError::EmptyBatch);
        }
        let arena = arena.into().into_bytes();
        let too_small = SessionError::ArenaTooSmall {
            needed: sizes.arena_for_batch(batch),
            found: arena.len(),
        };
        // The records may need fewer bytes than the constant allows for, depending on where they start:
        // an arena is refused all the same, so that what fits does not hang on luck.
        if arena.len() < sizes.arena_for_batch(batch) {
            return Err(too_small);
        }
        let activations = sizes.activations().saturating_mul(batch);
        let (activations, rest) = arena.split_at_mut_checked(activations).ok_or(too_small)?;
        let (scratch, rest) = rest
            .split_at_mut_checked(model.prefix().scratch_bytes)
            .ok_or(too_small)?;
        let scratch = bytemuck::try_cast_slice_mut(scratch).map_err(|_| too_small)?;

        let needed = workspace_len_with::<OPS>(model, &kernels);
        let found = workspace.len();
        let mut packer = Packer {
            free: workspace,
            used: 0,
        };
        // The packed part of the workspace is written while records are made, and only read afterwards.
        let slots = carve(rest, model.prefix().records).ok_or(too_small)?;
        let resolved = records::<OPS>(model).map(|record| {
            let mut record = record.map_err(|_| too_small)?;
            packer
                .pack(&mut record, &kernels, model.weights())
                .ok_or(SessionError::WorkspaceTooSmall { needed, found })?;
            Ok(record)
        });
        let records = initialize(slots, resolved)?.ok_or(too_small)?;
        let used = packer.used;
        let (packed, host_scratch) = packer
            .free
            .split_at_mut_checked(used)
            .ok_or(SessionError::WorkspaceTooSmall { needed, found })?;
        if found < needed {
            return Err(SessionError::WorkspaceTooSmall { needed, found });
        }
        Ok(Self {
            model: *model,
            kernels,
            batch,
            activations,
            scratch: if host_scratch.len() > scratch.len() {
                host_scratch
            } else {
                scratch
            },
            records,
            packed,
        })
    }

    /// The model this session runs.
    pub fn model(&self) -> &Model<'a> {
        &self.model
    }

    /// The kernel set.
    pub fn kernels(&self) -> &K {
        &self.kernels
    }

    /// Samples per run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The input of the whole batch, NHWC, to be written in place before each run. A run may overwrite it:
    /// its memory is used again once the input is no longer needed.
    pub fn input_mut(&mut self) -> &mut [f32] {
        let len = self.model.sizes().input_len.saturating_mul(4);
        let region = Region {
            offset: self.input_offset(),
            len,
        };
        values_mut(self.activations, self.batch, region)
    }

    /// Copies `input`, the whole batch in NHWC, as it is.
    ///
    /// # Errors
    /// [`InputError`] if it has another length.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        let target = self.input_mut();
        if input.len() != target.len() {
            return Err(InputError {
                expected: target.len(),
                found: input.len(),
            });
        }
        target.iter_mut().zip(input).for_each(|(t, x)| *t = *x);
        Ok(())
    }

    /// Sets the input from pictures, the whole batch in NHWC, and normalizes them as the model file says:
    /// `(pixel / 255 - mean) / std` for each channel, as PyTorch's `ToTensor` and `Normalize` do.
    ///
    /// # Errors
    /// [`InputError`] if there are more or fewer pixels.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        let model = self.model;
        model.normalize_image_u8(pixels, self.input_mut())
    }

    /// Computes the output of the whole batch and returns it, NHWC: for a classifier the logits of each
    /// sample (or probabilities, where the model ends in softmax).
    pub fn run(&mut self) -> &[f32] {
        self.run_probed(&mut NoProbe)
    }

    /// Like [`run`](Self::run), calling `probe` around each node.
    pub fn run_probed(&mut self, probe: &mut impl Probe) -> &[f32] {
        self.run_nodes(self.records.len(), probe);
        self.records.last().map_or(&[], |record| {
            values(self.activations, self.batch, record.output)
        })
    }

    /// Runs the first `count` nodes.
    pub(crate) fn run_nodes(&mut self, count: usize, probe: &mut impl Probe) {
        for (index, record) in self.records.iter().enumerate().take(count) {
            probe.before(index);
            self.execute(record);
            let (activations, batch, region) = (&*self.activations, self.batch, record.output);
            let output = match record.operation.writes_i8() {
                true => Output::I8(values(activations, batch, region)),
                false => Output::F32(values(activations, batch, region)),
            };
            probe.after(index, output);
        }
    }

    pub(crate) fn records(&self) -> &'a [Record] {
        self.records
    }

    /// The tensor in `region`, after the node that writes it and before one that takes its place.
    pub(crate) fn tensor(&self, region: Region) -> &[f32] {
        values(self.activations, self.batch, region)
    }

    /// The tensor in `region`, to be written in place of the nodes before it.
    pub(crate) fn tensor_mut(&mut self, region: Region) -> &mut [f32] {
        values_mut(self.activations, self.batch, region)
    }

    fn input_offset(&self) -> usize {
        self.model
            .tensors()
            .iter()
            .next()
            .map_or(0, |tensor| tensor.offset as usize)
    }

    /// Runs one record. Each arm is behind its bit of `OPS`, so that operators outside of it are not linked.
    fn execute(&mut self, record: &Record) {
        let Record {
            operation,
            input,
            output,
        } = record;
        match operation {
            Operation::Conv2d {
                params,
                weights,
                packed,
                bias,
            } if OPS & bits::CONV2D_F32 != 0 => {
                let model_weights = self.model.weights();
                let weights = weights.of(if *packed { self.packed } else { model_weights });
                let bias = bias.map(|bias| bias.of(model_weights));
                if let Some((input, output)) =
                    input_output(self.activations, self.batch, *input, *output)
                {
                    self.kernels
                        .conv2d_f32(params, input, weights, bias, self.scratch, output);
                }
            }
            Operation::PooledConv2d {
                params,
                weights,
                packed,
                bias,
            } if OPS & bits::CONV2D_MAX_POOL2D_F32 != 0 => {
                let model_weights = self.model.weights();
                let weights = weights.of(if *packed { self.packed } else { model_weights });
                let bias = bias.map(|bias| bias.of(model_weights));
                if let Some((input, output)) =
                    input_output(self.activations, self.batch, *input, *output)
                {
                    let (kernels, scratch) = (&self.kernels, &mut *self.scratch);
                    kernels.conv2d_max_pool2d_f32(params, input, weights, bias, scratch, output);
                }
            }
            Operation::Linear {
                params,
                weights,
                bias,
            } if OPS & bits::LINEAR_F32 != 0 => {
                let weights = weights.of(self.model.weights());
                let bias = bias.map(|bias| bias.of(self.model.weights()));
                if let Some((input, output)) =
                    input_output(self.activations, self.batch, *input, *output)
                {
                    self.kernels
                        .linear_f32(params, input, weights, bias, output);
                }
            }
            Operation::MaxPool2d(params) if OPS & bits::MAX_POOL2D_F32 != 0 => {
                if let Some((input, output)) =
                    input_output(self.activations, self.batch, *input, *output)
                {
                    self.kernels.max_pool2d_f32(params, input, output);
                }
            }
            Operation::AvgPool2d(params) if OPS & bits::AVG_POOL2D_F32 != 0 => {
                if let Some((input, output)) =
                    input_output(self.activations, self.batch, *input, *output)
                {
                    self.kernels.avg_pool2d_f32(params, input, output);
                }
            }
            Operation::Unary(function) => {
                let data = in_place(self.activations, self.batch, *input, *output);
                unary::<OPS>(*function, |function| self.kernels.unary_f32(function, data));
            }
            Operation::Softmax { channels } if OPS & bits::SOFTMAX_F32 != 0 => {
                let data = in_place(self.activations, self.batch, *input, *output);
                self.kernels.softmax_f32(*channels, data);
            }
            Operation::LogSoftmax { channels } if OPS & bits::LOG_SOFTMAX_F32 != 0 => {
                let data = in_place(self.activations, self.batch, *input, *output);
                self.kernels.log_softmax_f32(*channels, data);
            }
            Operation::Binary { params, operand } if OPS & bits::BINARY_F32 != 0 => {
                in_place::<f32>(self.activations, self.batch, *input, *output);
                if let Some((operand, data)) =
                    input_output(self.activations, self.batch, *operand, *output)
                {
                    self.kernels.binary_f32(params, operand, data);
                }
            }
            Operation::BinaryConstant { params, operand }
                if OPS & bits::BINARY_CONSTANT_F32 != 0 =>
            {
                let operand = operand.of(self.model.weights());
                let data = in_place(self.activations, self.batch, *input, *output);
                self.kernels.binary_f32(params, operand, data);
            }
            Operation::ChannelAffine {
                activation,
                scale,
                shift,
            } if OPS & bits::CHANNEL_AFFINE_F32 != 0 => {
                let weights = self.model.weights();
                let (scale, shift) = (scale.of(weights), shift.of(weights));
                let data = in_place(self.activations, self.batch, *input, *output);
                self.kernels
                    .channel_affine_f32(*activation, scale, shift, data);
            }
            Operation::Concat { params, others } if OPS & bits::CONCAT_F32 != 0 => {
                let inputs = core::iter::once(input).chain(others);
                for (copy, input) in params.copies().zip(inputs) {
                    self.strided_copy(&copy, *input, *output);
                }
            }
            Operation::Slice(copy) if OPS & bits::SLICE_F32 != 0 => {
                self.strided_copy(copy, *input, *output);
            }
            Operation::Transpose(copy) if OPS & bits::TRANSPOSE_F32 != 0 => {
                self.strided_copy(copy, *input, *output);
            }
            Operation::Pad { copy, value } if OPS & bits::PAD_F32 != 0 => {
                values_mut::<f32>(self.activations, self.batch, *output).fill(*value);
                self.strided_copy(copy, *input, *output);
            }
            Operation::Upsample(params) if OPS & bits::UPSAMPLE_F32 != 0 => {
                for copy in params.copies() {
                    self.strided_copy(&copy, *input, *output);
                }
            }
            Operation::Reshape if OPS & bits::RESHAPE_F32 != 0 => {
                in_place::<f32>(self.activations, self.batch, *input, *output);
            }
            Operation::Int8(operation) if OPS & bits::INT8 != 0 => {
                self.execute_int8(operation, *input, *output);
            }
            // An operator outside of `OPS`: refused when the session was made.
            _ => {}
        }
    }

    fn strided_copy(&mut self, copy: &StridedCopy, input: Region, output: Region) {
        if let Some((input, output)) = input_output(self.activations, self.batch, input, output) {
            self.kernels.strided_copy_f32(copy, input, output);
        }
    }
}

/// Calls `apply` with `function`, each variant behind its bit of `OPS` and as a constant, so that only the
/// functions in use are linked.
#[inline(always)]
pub(crate) fn unary<const OPS: u64>(function: Unary, apply: impl FnOnce(Unary)) {
    match function {
        Unary::Relu if OPS & bits::RELU_F32 != 0 => apply(Unary::Relu),
        Unary::Relu6 if OPS & bits::RELU6_F32 != 0 => apply(Unary::Relu6),
        Unary::LeakyRelu { slope } if OPS & bits::LEAKY_RELU_F32 != 0 => {
            apply(Unary::LeakyRelu { slope });
        }
        Unary::Sigmoid if OPS & bits::SIGMOID_F32 != 0 => apply(Unary::Sigmoid),
        Unary::Tanh if OPS & bits::TANH_F32 != 0 => apply(Unary::Tanh),
        Unary::Clip { low, high } if OPS & bits::CLIP_F32 != 0 => apply(Unary::Clip { low, high }),
        Unary::Elu { alpha } if OPS & bits::ELU_F32 != 0 => apply(Unary::Elu { alpha }),
        Unary::HardSigmoid { alpha, beta } if OPS & bits::HARD_SIGMOID_F32 != 0 => {
            apply(Unary::HardSigmoid { alpha, beta });
        }
        Unary::HardSwish if OPS & bits::HARD_SWISH_F32 != 0 => apply(Unary::HardSwish),
        _ => {}
    }
}

/// Packs weights into the front of a workspace.
struct Packer<'a> {
    free: &'a mut [f32],
    used: usize,
}

impl Packer<'_> {
    /// Packs the weights of `record` if `kernels` wants them packed. None if the workspace is too small.
    fn pack(&mut self, record: &mut Record, kernels: &impl Kernels, file: &[f32]) -> Option<()> {
        if let Some((params, weights, packed)) = record.operation.convolution() {
            let len = kernels.conv2d_f32_packed_len(params);
            if len > 0 {
                let end = self.used.checked_add(len)?;
                let target = self.free.get_mut(self.used..end)?;
                kernels.conv2d_f32_pack(params, weights.of(file), target);
                *weights = Span {
                    offset: self.used,
                    len,
                };
                *packed = true;
                self.used = end;
            }
        }
        Some(())
    }
}

/// The bytes of a region for a batch, as a range.
fn range(batch: usize, region: Region) -> core::ops::Range<usize> {
    let start = region.offset.saturating_mul(batch);
    start..start.saturating_add(region.len.saturating_mul(batch))
}

// The check at load has found every region within the arena, a multiple of TENSOR_ALIGN, and of the element type
// that its operators ask for, so the empty slices below are never taken.
const _: () = assert!(TENSOR_ALIGN.is_multiple_of(align_of::<f32>()));

fn values<T: Pod>(activations: &[u8], batch: usize, region: Region) -> &[T] {
    activations
        .get(range(batch, region))
        .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
        .unwrap_or_default()
}

fn values_mut<T: Pod>(activations: &mut [u8], batch: usize, region: Region) -> &mut [T] {
    activations
        .get_mut(range(batch, region))
        .and_then(|bytes| bytemuck::try_cast_slice_mut(bytes).ok())
        .unwrap_or_default()
}

/// Two tensors that do not overlap: the first to read, the second to write.
fn input_output<T: Pod, U: Pod>(
    activations: &mut [u8],
    batch: usize,
    input: Region,
    output: Region,
) -> Option<(&[T], &mut [U])> {
    let (input, output) = (range(batch, input), range(batch, output));
    let (read, write) = if input.end <= output.start {
        let (low, high) = activations.split_at_mut_checked(output.start)?;
        (
            low.get(input)?,
            high.get_mut(..output.end.checked_sub(output.start)?)?,
        )
    } else {
        let (low, high) = activations.split_at_mut_checked(input.start)?;
        (
            high.get(..input.end.checked_sub(input.start)?)? as &[u8],
            low.get_mut(output)?,
        )
    };
    Some((
        bytemuck::try_cast_slice(read).ok()?,
        bytemuck::try_cast_slice_mut(write).ok()?,
    ))
}

/// The output of an operator that works in place, holding the input's values: copied there unless the plan
/// has given both the same place.
fn in_place<T: Pod>(
    activations: &mut [u8],
    batch: usize,
    input: Region,
    output: Region,
) -> &mut [T] {
    if input != output
        && let Some((input, output)) = input_output::<T, T>(activations, batch, input, output)
    {
        output.iter_mut().zip(input).for_each(|(o, x)| *o = *x);
    }
    values_mut(activations, batch, output)
}
