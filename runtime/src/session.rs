//! A model bound to its memory and a kernel set, ready to run.
//!
//! The arena is laid out as activations (the plan's peak, times the batch), then records. Everything a run touches is
//! there, in the model file, or in the workspace that wide SIMD sets ask for on hosts: a run allocates nothing and cannot
//! fail.

use kinglet_kernels::Kernels;

use crate::arena::{ArenaMut, carve, initialize};
use crate::model::Model;
use crate::model::schema::{Tensor, bits, operation_name};
use crate::operator::{Memory, values, values_mut};
use crate::probe::{NoProbe, Probe};
use crate::record::{Record, Region, records};
use crate::values::{Values, ValuesMut};

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

/// An input was refused; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// It is of another length.
    Length {
        /// Elements of the whole batch's input.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// 8-bit numbers for an input of real ones.
    Real,
}

impl core::fmt::Display for InputError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length { expected, found } => write!(
                f,
                "the input has {found} elements, the model takes {expected}"
            ),
            Self::Real => write!(f, "the model takes real numbers, these are of 8 bits"),
        }
    }
}

impl core::error::Error for InputError {}

/// Elements of workspace (packed weights and scratch) that `kernels` asks for: 0 for the sets that a
/// microcontroller uses.
pub fn workspace_len(model: &Model<'_>, kernels: &impl Kernels) -> usize {
    workspace_len_with::<{ bits::ALL }>(model, kernels)
}

/// The same, without linking operators outside of `OPS`.
fn workspace_len_with<const OPS: u128>(model: &Model<'_>, kernels: &impl Kernels) -> usize {
    let (mut packed, mut scratch) = (0usize, 0);
    for record in records::<OPS>(model).flatten() {
        let needed = record.operation.workspace::<OPS, _>(kernels);
        packed = packed.saturating_add(needed.packed);
        scratch = scratch.max(needed.scratch);
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

/// A model bound to an arena and a kernel set `K`, with the operators in the bitmap `OPS` linked in.
///
/// Firmware names `OPS` from its model (`{ SIZES.operators }`), so that no other operator is linked; hosts
/// use [`AnySession`].
#[derive(Debug)]
pub struct Session<'a, const OPS: u128, K> {
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

impl<'a, const OPS: u128, K: Kernels> Session<'a, OPS, K> {
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
                name: operation_name(missing.trailing_zeros()),
            });
        }
        if batch == 0 {
            return Err(SessionError::EmptyBatch);
        }
        let arena = arena.into();
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
        let (activations, rest) = arena.zeroed(activations).ok_or(too_small)?;
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
                .pack::<OPS>(&mut record, &kernels, model.weights())
                .ok_or(SessionError::WorkspaceTooSmall { needed, found })?;
            Ok(record)
        });
        let records = initialize(slots, resolved)?.ok_or(too_small)?;
        let used = packer.used;
        let (packed, scratch) = packer
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
            scratch,
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

    /// Input number `index` of the whole batch, NHWC, to be written in place before each run; None if there is no such
    /// input. A run may overwrite it: its memory is used again once the input is no longer needed.
    pub fn input_mut(&mut self, index: usize) -> Option<ValuesMut<'_>> {
        let inputs = self.model.inputs().len();
        let tensor = self.model.tensors().get(index).filter(|_| index < inputs)?;
        Some(ValuesMut::of(self.activations, self.batch, &tensor))
    }

    /// The first input, which every model has.
    fn first_input(&mut self) -> ValuesMut<'_> {
        self.input_mut(0).unwrap_or(ValuesMut::F32(&mut []))
    }

    /// Sets the first input: copies `input`, the whole batch in NHWC, as it is, or quantizes it where the model takes
    /// 8-bit numbers.
    ///
    /// # Errors
    /// [`InputError`] if it has another length.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        self.first_input().set_f32(input)
    }

    /// Sets the first input, where the model takes 8-bit numbers.
    ///
    /// # Errors
    /// [`InputError`] if it has another length, or is of real numbers.
    pub fn set_input_i8(&mut self, input: &[i8]) -> Result<(), InputError> {
        self.first_input().set_i8(input)
    }

    /// Sets the first input from pictures, the whole batch in NHWC, and normalizes them as the model file says:
    /// `(pixel / 255 - mean) / std` for each channel, as PyTorch's `ToTensor` and `Normalize` do. Where the model takes
    /// 8-bit numbers, the result is quantized.
    ///
    /// # Errors
    /// [`InputError`] if there are more or fewer pixels.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        let normalization = self.model.normalization();
        match self.first_input() {
            ValuesMut::F32(numbers) => normalization.apply(pixels, numbers, |x| x),
            ValuesMut::I8 {
                numbers,
                quantization,
            } => normalization.apply(pixels, numbers, |x| quantization.quantize(x)),
        }
    }

    /// Computes all outputs of the whole batch and returns the first, NHWC: for a classifier the logits of each
    /// sample (or probabilities, where the model ends in softmax).
    pub fn run(&mut self) -> Values<'_> {
        self.run_probed(&mut NoProbe)
    }

    /// Like [`run`](Self::run), calling `probe` around each node.
    pub fn run_probed(&mut self, probe: &mut impl Probe) -> Values<'_> {
        self.run_nodes(self.records.len(), probe);
        self.output(0).unwrap_or(Values::F32(&[]))
    }

    /// Output number `index` as the last run has left it, until an input is set; None if there is no such output.
    pub fn output(&self, index: usize) -> Option<Values<'_>> {
        let tensor = self.model.output_tensors().nth(index)?;
        Some(self.values(&tensor))
    }

    fn values(&self, tensor: &Tensor) -> Values<'_> {
        Values::of(self.activations, self.batch, tensor)
    }

    /// Runs the first `count` nodes.
    pub(crate) fn run_nodes(&mut self, count: usize, probe: &mut impl Probe) {
        let outputs = self.model.tensors().iter().skip(self.model.inputs().len());
        let records = self.records.iter().zip(outputs).enumerate();
        for (index, (record, tensor)) in records.take(count) {
            probe.before(index);
            self.execute(record);
            probe.after(index, self.values(&tensor));
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

    /// Runs one record.
    fn execute(&mut self, record: &Record) {
        let mut memory = Memory {
            kernels: &self.kernels,
            batch: self.batch,
            activations: self.activations,
            scratch: self.scratch,
            file: self.model.weights(),
            packed: self.packed,
            input: record.input,
            output: record.output,
        };
        record.operation.run::<OPS, K>(&mut memory);
    }
}

/// Packs weights into the front of a workspace.
struct Packer<'a> {
    free: &'a mut [f32],
    used: usize,
}

impl Packer<'_> {
    /// Packs the weights of `record` if `kernels` wants them packed. None if the workspace is too small.
    fn pack<const OPS: u128>(
        &mut self,
        record: &mut Record,
        kernels: &impl Kernels,
        file: &[f32],
    ) -> Option<()> {
        let len = record.operation.workspace::<OPS, _>(kernels).packed;
        if len > 0 {
            let end = self.used.checked_add(len)?;
            let target = self.free.get_mut(self.used..end)?;
            let operation = &mut record.operation;
            operation.pack::<OPS, _>(kernels, file, target, self.used);
            self.used = end;
        }
        Some(())
    }
}
