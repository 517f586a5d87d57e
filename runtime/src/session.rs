//! A model bound to its memory and a kernel set, ready to run.
//!
//! The arena is laid out as activations (the plan's peak, times the batch), then records, then what the kernel set asks
//! for: weights in its own order, and scratch. Everything a run touches is there or in the model file: a run allocates
//! nothing and cannot fail.

use kinglet_kernels::Kernels;

use crate::arena::{ARENA_ALIGN, ArenaMut, carve, initialize};
use crate::model::schema::{Tensor, bits, operation_name};
use crate::model::{Model, Sizes};
use crate::operator::{Memory, Workspace, values, values_mut};
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
    /// The arena is too small for the model, batch and kernel set.
    ArenaTooSmall {
        /// Bytes it takes; see [`arena_len`].
        needed: usize,
        /// Bytes given.
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
                write!(f, "the arena has {found} bytes, {needed} are needed")
            }
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

/// Bytes of the arena of a session for `batch` samples at once on `kernels`: those that
/// [`Sizes::arena_for_batch`](crate::Sizes::arena_for_batch) says, and what the set asks for, which is nothing for
/// [`Portable`](kinglet_kernels::Portable).
pub fn arena_len(model: &Model<'_>, kernels: &impl Kernels, batch: usize) -> usize {
    let mut workspace = TotalWorkspace::default();
    for record in records::<{ bits::ALL }>(model).flatten() {
        workspace.add(record.operation.workspace::<{ bits::ALL }, _>(kernels));
    }
    workspace.arena_len(&model.sizes(), batch)
}

/// What a kernel set asks for over a whole model, in bytes: each part from a multiple of [`ARENA_ALIGN`] on.
#[derive(Debug, Default)]
pub(crate) struct TotalWorkspace {
    packed: usize,
    scratch: usize,
}

impl TotalWorkspace {
    /// Takes in a node, and returns where its packed weights begin.
    fn add(&mut self, node: Workspace) -> usize {
        let at = self.packed;
        self.packed = at.saturating_add(aligned(node.packed));
        self.scratch = self.scratch.max(aligned(node.scratch));
        at
    }

    /// Scratch alone.
    pub(crate) const fn of_scratch(bytes: usize) -> Self {
        Self {
            packed: 0,
            scratch: aligned(bytes),
        }
    }

    const fn len(&self) -> usize {
        self.packed.saturating_add(self.scratch)
    }

    /// Bytes of an arena that has all of it, wherever records end.
    pub(crate) const fn arena_len(&self, sizes: &Sizes, batch: usize) -> usize {
        let skipped = if self.len() == 0 { 0 } else { ARENA_ALIGN - 1 };
        sizes
            .arena_for_batch(batch)
            .saturating_add(skipped)
            .saturating_add(self.len())
    }
}

/// The next multiple of [`ARENA_ALIGN`].
const fn aligned(bytes: usize) -> usize {
    match bytes.checked_next_multiple_of(ARENA_ALIGN) {
        Some(bytes) => bytes,
        None => usize::MAX,
    }
}

/// The memory of a session on the heap, for hosts.
///
/// Make one for each thread; sessions over the same [`Model`] share its weights.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct SessionMemory {
    arena: crate::HeapArena,
    batch: usize,
}

#[cfg(feature = "alloc")]
impl SessionMemory {
    /// Memory for `batch` samples at a time of `model` on `kernels`.
    pub fn new(model: &Model<'_>, kernels: &impl Kernels, batch: usize) -> Self {
        Self {
            arena: crate::HeapArena::new(arena_len(model, kernels, batch)),
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
        AnySession::with_batch(model, &mut self.arena, kernels, self.batch)
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
    scratch: &'a mut [u8],
    records: &'a [Record],
    packed: &'a [u8],
}

/// A session with every operator, for hosts that load any model.
pub type AnySession<'a, K> = Session<'a, { bits::ALL }, K>;

impl<'a, const OPS: u128, K: Kernels> Session<'a, OPS, K> {
    /// A session for one sample at a time. The arena holds `SIZES.arena` bytes, or
    /// [`SIZES.arena_for::<K>()`](crate::Sizes::arena_for) for a set that needs scratch, or [`arena_len`] for one that is
    /// found at run time.
    ///
    /// # Errors
    /// [`SessionError`] if `OPS` lacks an operator or the arena is too small.
    pub fn new(
        model: &Model<'a>,
        arena: impl Into<ArenaMut<'a>>,
        kernels: K,
    ) -> Result<Self, SessionError> {
        Self::with_batch(model, arena, kernels, 1)
    }

    /// A session for `batch` samples at a time, in an arena of [`arena_len`] bytes. Where the kernel set wants the weights
    /// in an order of its own, they are packed now.
    ///
    /// # Errors
    /// [`SessionError`] if `OPS` lacks an operator, the arena is too small, or the batch is 0.
    // Each stage has a frame of its own, so that the stack holds one at a time.
    #[inline(never)]
    pub fn with_batch(
        model: &Model<'a>,
        arena: impl Into<ArenaMut<'a>>,
        kernels: K,
        batch: usize,
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
        let found = arena.len();
        let mut total = TotalWorkspace::default();
        let too_small = |total: &TotalWorkspace| SessionError::ArenaTooSmall {
            needed: total.arena_len(&sizes, batch),
            found,
        };
        // The records may need fewer bytes than the constant allows for, depending on where they start:
        // an arena is refused all the same, so that what fits does not hang on luck.
        if found < sizes.arena_for_batch(batch) {
            return Err(too_small(&total));
        }
        let activations = sizes.activations().saturating_mul(batch);
        let (activations, rest) = arena.zeroed(activations).ok_or(too_small(&total))?;
        let (slots, rest) = carve(rest, model.prefix().records).ok_or(too_small(&total))?;
        let rest = ArenaMut::align(rest);
        let len = rest.len();
        let (workspace, _) = rest.zeroed(len).ok_or(too_small(&total))?;
        // `OPS` has all operators, so every node of a checked model is resolved.
        let impossible = too_small(&total);
        let resolved = records::<OPS>(model).map(|record| {
            let mut record = record.map_err(|_| impossible)?;
            let operation = &mut record.operation;
            let needed = operation.workspace::<OPS, _>(&kernels);
            let at = total.add(needed);
            if needed.packed > 0
                // Where there is no room, the rest is counted, so that the error says how much it takes.
                && let Some(packed) = workspace.get_mut(at..at.saturating_add(needed.packed))
            {
                operation.pack::<OPS, _>(&kernels, model.weights(), packed, at);
            }
            Ok(record)
        });
        let records = initialize(slots, resolved)?;
        let refused = too_small(&total);
        if found < total.arena_len(&sizes, batch) {
            return Err(refused);
        }
        let records = records.ok_or(refused)?;
        let parts = workspace.split_at_mut_checked(total.packed);
        let (packed, rest) = parts.ok_or(refused)?;
        let scratch = rest.get_mut(..total.scratch).ok_or(refused)?;
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

    /// Sets the first input from pictures, as [`set_image_u8`](Self::set_image_u8) does, and computes all outputs.
    ///
    /// # Errors
    /// [`InputError`] if there are more or fewer pixels.
    pub fn run_image_u8(&mut self, pixels: &[u8]) -> Result<Values<'_>, InputError> {
        self.set_image_u8(pixels)?;
        Ok(self.run())
    }

    /// Computes all outputs one node at a time, so that a cooperative executor's other tasks have their turn between them:
    ///
    /// ```text
    /// for _node in session.steps() {
    ///     yield_now().await;
    /// }
    /// let class = session.output(0).and_then(|output| output.argmax());
    /// ```
    ///
    /// Each item is the number of the node that was run, from 0. Iteration that is given up leaves the outputs as they are;
    /// inputs must then be set again, as after each run.
    pub fn steps(&mut self) -> impl Iterator<Item = usize> + use<'_, 'a, OPS, K> {
        let records = self.records;
        records.iter().enumerate().map(|(index, record)| {
            self.execute(record);
            index
        })
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

    /// Runs one record. Not inlined: what it needs of the stack is not there while a model is loaded.
    #[inline(never)]
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
