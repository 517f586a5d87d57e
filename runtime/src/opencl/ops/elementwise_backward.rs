//! Gradients of functions of one element and of softmax, in place, and what dropout takes.
#![allow(unsafe_code)]

use kinglet_kernels::Unary;
use kinglet_kernels::opencl::ELEMENTWISE_BACKWARD;

use super::arguments::{expect, unary};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

impl Recording {
    /// Turns the gradient of the output, all of `d`, into that of the input, in place. `output` is what the forward
    /// function returned. A function without [`Unary::has_backward`] leaves `d` as it is.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn unary_f32_backward(
        &mut self,
        function: Unary,
        output: Slice<'_>,
        d: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let names = ("unary_backward", "unary_f32_backward: output");
        self.unary_backward(names, function, output, d)
    }

    /// Turns the gradient of the output, all of `d`, into that of the input, in place, of any function. `input` is what the
    /// forward function was given.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn unary_f32_backward_from_input(
        &mut self,
        function: Unary,
        input: Slice<'_>,
        d: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let names = (
            "unary_backward_from_input",
            "unary_f32_backward_from_input: input",
        );
        self.unary_backward(names, function, input, d)
    }

    /// `names` are those of the kernel and, for errors, of `given`.
    fn unary_backward(
        &mut self,
        (kernel, what): (&'static str, &'static str),
        function: Unary,
        given: Slice<'_>,
        d: Slice<'_>,
    ) -> Result<(), OpenClError> {
        expect(Element::F32, &[given, d])?;
        at_least(what, given, d.len())?;
        let (number, [a, b]) = unary(function);
        let call = Call::new(&ELEMENTWISE_BACKWARD, kernel)
            .slice(given)
            .slice(d)
            .int(d.len())
            .int(number)
            .float(a)
            .float(b)
            .global([d.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: both slices have every element, as was checked; each work-item reads and writes one of its own.
        unsafe { self.push(call) }
    }

    /// Turns the gradient of the output of softmax's logarithm, all of `d`, into that of its input, in place.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn log_softmax_f32_backward(
        &mut self,
        channels: usize,
        output: Slice<'_>,
        d: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let names = ("log_softmax_backward", "log_softmax_f32_backward: output");
        self.rows_backward(names, channels, output, d)
    }

    /// Turns the gradient of softmax's output, all of `d`, into that of its input, in place.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn softmax_f32_backward(
        &mut self,
        channels: usize,
        output: Slice<'_>,
        d: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let names = ("softmax_backward", "softmax_f32_backward: output");
        self.rows_backward(names, channels, output, d)
    }

    /// `names` are those of the kernel and, for errors, of `output`.
    fn rows_backward(
        &mut self,
        (kernel, what): (&'static str, &'static str),
        channels: usize,
        output: Slice<'_>,
        d: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let rows = d.len() / channels.max(1);
        expect(Element::F32, &[output, d])?;
        at_least(what, output, d.len())?;
        let call = Call::new(&ELEMENTWISE_BACKWARD, kernel)
            .slice(output)
            .slice(d)
            .int(rows)
            .int(channels)
            .global([rows, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: both slices have every element, as was checked; each work-item reads and writes a row of its own.
        unsafe { self.push(call) }
    }

    /// Copies all of `input`.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn copy_f32(&mut self, input: Slice<'_>, output: Slice<'_>) -> Result<(), OpenClError> {
        expect(input.element(), &[output])?;
        at_least("copy_f32: output", output, input.len())?;
        let call = Call::new(&ELEMENTWISE_BACKWARD, "copy")
            .storage(input.element())
            .slice(input)
            .slice(output)
            .int(input.len())
            .global([input.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: both slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }

    /// `output = input * factors`, all of `output`; it may be the same slice as `input`.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn multiply_f32(
        &mut self,
        input: Slice<'_>,
        factors: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        expect(Element::F32, &[input, factors, output])?;
        at_least("multiply_f32: input", input, output.len())?;
        at_least("multiply_f32: factors", factors, output.len())?;
        let call = Call::new(&ELEMENTWISE_BACKWARD, "multiply")
            .slice(input)
            .slice(factors)
            .slice(output)
            .int(output.len())
            .global([output.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item reads and writes one of its own.
        unsafe { self.push(call) }
    }
}
