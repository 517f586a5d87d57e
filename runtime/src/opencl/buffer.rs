//! Memory on a device, and parts of it.
#![allow(unsafe_code)]

use std::vec::Vec;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ocl::core::{self, Mem, MemFlags};

use super::{Executor, OpenClError};

/// What a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16, as storage alone: kernels compute in f32, so no `cl_khr_fp16` is needed.
    F16,
    /// Unsigned numbers: classes.
    U32,
}

impl Element {
    /// Bytes of one.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A block of memory on a device.
#[derive(Debug)]
pub struct Buffer {
    pub(super) memory: Mem,
    element: Element,
    len: usize,
}

impl Buffer {
    /// Elements in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if it has no element that anyone asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it.
    pub fn whole(&self) -> Slice<'_> {
        Slice {
            buffer: self,
            at: 0,
            len: self.len,
        }
    }
}

/// A part of a [`Buffer`]. It lies within the buffer: there is no other way to make one.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'b> {
    buffer: &'b Buffer,
    at: usize,
    len: usize,
}

impl<'b> Slice<'b> {
    /// Elements in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it holds.
    pub fn element(&self) -> Element {
        self.buffer.element
    }

    /// The first element's place in the buffer.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn memory(&self) -> &'b Mem {
        &self.buffer.memory
    }

    /// `len` elements from `at` on.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if they are not all within this slice.
    pub fn part(&self, at: usize, len: usize) -> Result<Self, OpenClError> {
        let needed = at.saturating_add(len);
        if needed > self.len {
            return Err(OpenClError::Length {
                tensor: "part of a slice",
                needed,
                found: self.len,
            });
        }
        Ok(Self {
            buffer: self.buffer,
            at: self.at + at,
            len,
        })
    }
}

impl Executor {
    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// [`OpenClError::Memory`] if it is more than the device allows, [`OpenClError::TooLarge`] if kernels could
    /// not count its elements, [`OpenClError::Driver`] if there is no memory left.
    pub fn buffer(&self, len: usize, element: Element) -> Result<Buffer, OpenClError> {
        if i32::try_from(len).is_err() {
            return Err(OpenClError::TooLarge {
                found: len,
                limit: i32::MAX as usize,
            });
        }
        // OpenCL has no empty buffers.
        let bytes = len.max(1) * element.size();
        let limit = self.info().largest_buffer;
        if bytes as u64 > limit {
            return Err(OpenClError::Memory {
                needed: bytes as u64,
                limit,
            });
        }
        // SAFETY: no host memory is handed over.
        let memory = unsafe {
            core::create_buffer::<_, u8>(&self.context, MemFlags::READ_WRITE, bytes, None)
        };
        let memory = memory.map_err(|e| OpenClError::driver("clCreateBuffer", &e))?;
        let buffer = Buffer {
            memory,
            element,
            len,
        };
        self.clear(&buffer)?;
        Ok(buffer)
    }

    /// Writes zeros, whose bits are those of every element's 0. Not with `clEnqueueFillBuffer`, which is missing or
    /// faulty in some drivers.
    fn clear(&self, buffer: &Buffer) -> Result<(), OpenClError> {
        const CHUNK: usize = 1 << 20;
        let bytes = buffer.len * buffer.element.size();
        let zeros = std::vec![0u8; CHUNK.min(bytes)];
        let mut done = 0;
        while done < bytes {
            let rest = bytes - done;
            // SAFETY: the call blocks, and the bytes lie within the buffer.
            unsafe {
                core::enqueue_write_buffer(
                    &self.queue,
                    &buffer.memory,
                    true,
                    done,
                    &zeros[..rest.min(CHUNK)],
                    None::<core::Event>,
                    None::<&mut core::Event>,
                )
            }
            .map_err(|e| OpenClError::driver("clEnqueueWriteBuffer", &e))?;
            done += CHUNK;
        }
        Ok(())
    }

    /// Copies `values` to the device; f16 is rounded to nearest, ties to even.
    ///
    /// # Errors
    /// [`OpenClError::Length`] unless `slice` is as long and holds floats; [`OpenClError::Driver`].
    pub fn write_f32(&self, slice: Slice<'_>, values: &[f32]) -> Result<(), OpenClError> {
        match slice.element() {
            Element::F32 => self.write(slice, values),
            Element::F16 => {
                let mut halves = std::vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(values);
                let bits: Vec<u16> = halves.iter().map(|half| half.to_bits()).collect();
                self.write(slice, &bits)
            }
            Element::U32 => Err(other_element(slice)),
        }
    }

    /// Copies numbers to the device.
    ///
    /// # Errors
    /// [`OpenClError::Length`] unless `slice` is as long and holds numbers; [`OpenClError::Driver`].
    pub fn write_u32(&self, slice: Slice<'_>, values: &[u32]) -> Result<(), OpenClError> {
        match slice.element() {
            Element::U32 => self.write(slice, values),
            Element::F32 | Element::F16 => Err(other_element(slice)),
        }
    }

    /// Waits for everything that was enqueued and copies values from the device.
    ///
    /// # Errors
    /// [`OpenClError::Length`] unless `slice` is as long and holds floats; [`OpenClError::Driver`].
    pub fn read_f32(&self, slice: Slice<'_>, values: &mut [f32]) -> Result<(), OpenClError> {
        match slice.element() {
            Element::F32 => self.read(slice, values),
            Element::F16 => {
                let mut bits = std::vec![0u16; values.len()];
                self.read(slice, &mut bits)?;
                let halves: Vec<f16> = bits.into_iter().map(f16::from_bits).collect();
                halves.convert_to_f32_slice(values);
                Ok(())
            }
            Element::U32 => Err(other_element(slice)),
        }
    }

    /// Waits for everything that was enqueued and copies numbers from the device.
    ///
    /// # Errors
    /// [`OpenClError::Length`] unless `slice` is as long and holds numbers; [`OpenClError::Driver`].
    pub fn read_u32(&self, slice: Slice<'_>, values: &mut [u32]) -> Result<(), OpenClError> {
        match slice.element() {
            Element::U32 => self.read(slice, values),
            Element::F32 | Element::F16 => Err(other_element(slice)),
        }
    }

    fn write<T: ocl::OclPrm>(&self, slice: Slice<'_>, values: &[T]) -> Result<(), OpenClError> {
        same_length(slice, values.len())?;
        if values.is_empty() {
            return Ok(());
        }
        // SAFETY: the call blocks until `values` has been read; it has as many elements of this size as the slice,
        // which lies within its buffer.
        unsafe {
            core::enqueue_write_buffer(
                &self.queue,
                slice.memory(),
                true,
                slice.at(),
                values,
                None::<core::Event>,
                None::<&mut core::Event>,
            )
        }
        .map_err(|e| OpenClError::driver("clEnqueueWriteBuffer", &e))
    }

    fn read<T: ocl::OclPrm>(&self, slice: Slice<'_>, values: &mut [T]) -> Result<(), OpenClError> {
        same_length(slice, values.len())?;
        if values.is_empty() {
            return Ok(());
        }
        // SAFETY: the call blocks until `values` has been written; it has as many elements of this size as the
        // slice, which lies within its buffer.
        unsafe {
            core::enqueue_read_buffer(
                &self.queue,
                slice.memory(),
                true,
                slice.at(),
                values,
                None::<core::Event>,
                None::<&mut core::Event>,
            )
        }
        .map_err(|e| OpenClError::driver("clEnqueueReadBuffer", &e))
    }
}

fn same_length(slice: Slice<'_>, found: usize) -> Result<(), OpenClError> {
    match slice.len() == found {
        true => Ok(()),
        false => Err(OpenClError::Length {
            tensor: "values to copy",
            needed: slice.len(),
            found,
        }),
    }
}

fn other_element(slice: Slice<'_>) -> OpenClError {
    OpenClError::Unsupported {
        reason: std::format!("the buffer holds {:?}", slice.element()),
    }
}
