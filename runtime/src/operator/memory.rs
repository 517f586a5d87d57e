//! What a node has while it runs.

use bytemuck::Pod;
use kinglet_kernels::{Kernels, StridedCopy};

use super::{Number, Span};
use crate::model::schema::TENSOR_ALIGN;
use crate::record::Region;

/// The session's memory and kernel set, and the tensors of the node that runs.
#[derive(Debug)]
pub(crate) struct Memory<'r, K> {
    pub(crate) kernels: &'r K,
    pub(crate) batch: usize,
    pub(crate) activations: &'r mut [u8],
    /// From a multiple of [`ARENA_ALIGN`](crate::ARENA_ALIGN) on.
    pub(crate) scratch: &'r mut [u8],
    /// The weights of the file.
    pub(crate) file: &'r [f32],
    /// Weights in the kernel set's own order, each from a multiple of [`ARENA_ALIGN`](crate::ARENA_ALIGN) on.
    pub(crate) packed: &'r [u8],
    /// Where the first input lies.
    pub(crate) input: Region,
    /// Where the output lies.
    pub(crate) output: Region,
}

/// Weights, and whether they are packed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Packable<T> {
    span: Span<T>,
    packed: bool,
}

impl<T: Pod> Packable<T> {
    /// Weights of the file.
    pub(super) fn in_file(span: Span<T>) -> Self {
        Self {
            span,
            packed: false,
        }
    }

    /// Lets `pack` write these weights, which lie in `file`, to `packed`, byte `offset` of all packed weights, and remembers
    /// that they lie there.
    pub(super) fn pack(
        &mut self,
        file: &[f32],
        packed: &mut [u8],
        offset: usize,
        pack: impl FnOnce(&[T], &mut [T]),
    ) {
        let packed = elements(packed);
        pack(self.span.of(file), packed);
        *self = Self {
            span: Span::new(offset / size_of::<T>().max(1), packed.len()),
            packed: true,
        };
    }

    pub(crate) fn span(self) -> Span<T> {
        self.span
    }
}

/// Bytes of workspace as elements: they begin at a multiple of [`ARENA_ALIGN`](crate::ARENA_ALIGN), and are whole elements.
pub(super) fn elements<T: Pod>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() {
        return &mut [];
    }
    let elements = bytemuck::try_cast_slice_mut(bytes);
    debug_assert!(elements.is_ok(), "workspace of another alignment");
    elements.unwrap_or_default()
}

impl<'r, K: Kernels> Memory<'r, K> {
    pub(super) fn weights<T: Pod>(&self, weights: Packable<T>) -> &'r [T] {
        match weights.packed {
            true => weights.span.of(self.packed),
            false => weights.span.of(self.file),
        }
    }

    /// Calls `run` with the kernel set, the first input, scratch and the output.
    pub(super) fn apart<T: Pod, U: Pod>(
        &mut self,
        run: impl FnOnce(&K, &[T], &mut [u8], &mut [U]),
    ) {
        let (kernels, scratch) = (self.kernels, &mut *self.scratch);
        let tensors = input_output(self.activations, self.batch, self.input, self.output);
        if let Some((input, output)) = tensors {
            run(kernels, input, scratch, output);
        }
    }

    /// Calls `run` with the kernel set and the output, which holds the values of the first input.
    pub(super) fn in_place<T: Pod>(&mut self, run: impl FnOnce(&K, &mut [T])) {
        self.move_input::<T>();
        run(
            self.kernels,
            values_mut(self.activations, self.batch, self.output),
        );
    }

    /// Calls `run` with the kernel set, the tensor in `operand` and the output, which holds the values of the first
    /// input.
    pub(super) fn in_place_with<T: Pod>(
        &mut self,
        operand: Region,
        run: impl FnOnce(&K, &[T], &mut [T]),
    ) {
        self.move_input::<T>();
        let tensors = input_output(self.activations, self.batch, operand, self.output);
        if let Some((operand, data)) = tensors {
            run(self.kernels, operand, data);
        }
    }

    /// Copies the first input to the output, unless the plan has given both the same place.
    pub(super) fn move_input<T: Pod>(&mut self) {
        if self.input != self.output
            && let Some((input, output)) =
                input_output::<T, T>(self.activations, self.batch, self.input, self.output)
        {
            output.iter_mut().zip(input).for_each(|(o, x)| *o = *x);
        }
    }

    /// Sets each element of the output.
    pub(super) fn fill<T: Pod>(&mut self, value: T) {
        values_mut(self.activations, self.batch, self.output).fill(value);
    }

    /// Copies elements of the tensor in `input` to the output.
    pub(super) fn strided_copy<T: Number>(&mut self, copy: &StridedCopy, input: Region) {
        let tensors = input_output(self.activations, self.batch, input, self.output);
        if let Some((input, output)) = tensors {
            T::strided_copy(self.kernels, copy, input, output);
        }
    }
}

/// The bytes of a region for a batch, as a range.
fn range(batch: usize, region: Region) -> core::ops::Range<usize> {
    let start = region.offset.saturating_mul(batch);
    start..start.saturating_add(region.len.saturating_mul(batch))
}

// The check at load has found every region within the arena, a multiple of TENSOR_ALIGN, and of the element type
// that its operators ask for, and no two tensors of a node that overlap, so the empty slices below are never taken.
const _: () = assert!(TENSOR_ALIGN.is_multiple_of(align_of::<f32>()));

pub(crate) fn values<T: Pod>(activations: &[u8], batch: usize, region: Region) -> &[T] {
    let bytes = activations.get(range(batch, region));
    let values = bytes.and_then(|bytes| bytemuck::try_cast_slice(bytes).ok());
    debug_assert!(values.is_some(), "{region:?} is no tensor");
    values.unwrap_or_default()
}

pub(crate) fn values_mut<T: Pod>(activations: &mut [u8], batch: usize, region: Region) -> &mut [T] {
    let bytes = activations.get_mut(range(batch, region));
    let values = bytes.and_then(|bytes| bytemuck::try_cast_slice_mut(bytes).ok());
    debug_assert!(values.is_some(), "{region:?} is no tensor");
    values.unwrap_or_default()
}

/// Two tensors that do not overlap: the first to read, the second to write.
fn input_output<T: Pod, U: Pod>(
    activations: &mut [u8],
    batch: usize,
    input: Region,
    output: Region,
) -> Option<(&[T], &mut [U])> {
    let tensors = apart(activations, range(batch, input), range(batch, output));
    let tensors = tensors.and_then(|(read, write)| {
        let read = bytemuck::try_cast_slice(read).ok()?;
        Some((read, bytemuck::try_cast_slice_mut(write).ok()?))
    });
    debug_assert!(tensors.is_some(), "{input:?} and {output:?} overlap");
    tensors
}

/// Two ranges of `bytes` that do not overlap.
fn apart(
    bytes: &mut [u8],
    read: core::ops::Range<usize>,
    write: core::ops::Range<usize>,
) -> Option<(&[u8], &mut [u8])> {
    if read.end <= write.start {
        let (low, high) = bytes.split_at_mut_checked(write.start)?;
        let len = write.end.checked_sub(write.start)?;
        Some((low.get(read)?, high.get_mut(..len)?))
    } else {
        let (low, high) = bytes.split_at_mut_checked(read.start)?;
        let len = read.end.checked_sub(read.start)?;
        Some((high.get(..len)?, low.get_mut(write)?))
    }
}
