//! Functions of each element.
#![allow(unsafe_code)]

use kinglet_kernels::Unary;
use kinglet_kernels::opencl::ELEMENTWISE;

use super::arguments::unary;
use super::common_element;
use crate::opencl::recording::Call;
use crate::opencl::{OpenClError, Recording, Slice};

impl Recording {
    /// A function of each element, in place.
    ///
    /// # Errors
    /// One of the driver's.
    pub fn unary_f32(&mut self, function: Unary, data: Slice<'_>) -> Result<(), OpenClError> {
        if data.is_empty() {
            return Ok(());
        }
        let (number, [a, b]) = unary(function);
        let call = Call::new(&ELEMENTWISE, "unary")
            .storage(common_element(&[data])?)
            .slice(data)
            .int(data.len())
            .int(number)
            .float(a)
            .float(b)
            .global([data.len().div_ceil(4), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slice has `data.len()` elements; each work-item reads and writes four of its own.
        unsafe { self.push(call) }
    }
}
