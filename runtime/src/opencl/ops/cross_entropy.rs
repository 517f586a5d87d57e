//! The loss of a batch.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::CROSS_ENTROPY;

use super::arguments::expect;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

impl Recording {
    /// Cross-entropy of each sample's logits against its label, and the gradient of the batch's mean. Label smoothing
    /// as in `torch.nn.CrossEntropyLoss`: this part of a target is shared by all classes.
    ///
    /// `logits` and `d_logits` are `[labels, classes]`. `outcomes` is `[2, labels]`: the losses, and then for each
    /// sample 1 if its largest logit, the first of equals, is that of its label, else 0. A label that is no class
    /// has a NaN for its loss and no gradient.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn cross_entropy_f32(
        &mut self,
        classes: usize,
        smoothing: f32,
        logits: Slice<'_>,
        labels: Slice<'_>,
        d_logits: Slice<'_>,
        outcomes: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let samples = labels.len();
        let len = samples.saturating_mul(classes);
        expect(Element::U32, &[labels])?;
        expect(Element::F32, &[logits, d_logits, outcomes])?;
        at_least("cross_entropy_f32: logits", logits, len)?;
        at_least("cross_entropy_f32: d_logits", d_logits, len)?;
        at_least(
            "cross_entropy_f32: outcomes",
            outcomes,
            samples.saturating_mul(2),
        )?;
        let call = Call::new(&CROSS_ENTROPY, "cross_entropy")
            .slice(logits)
            .slice(labels)
            .slice(d_logits)
            .slice(outcomes)
            .int(samples)
            .int(classes)
            .float(smoothing)
            .global([samples, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item writes those of its sample, and no
        // label is used as a place before it is known to be a class.
        unsafe { self.push(call) }
    }

    /// Writes 1 to `finite`, one element, if the first `samples` of `outcomes`, the losses, are all finite, else 0.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn losses_are_finite(
        &mut self,
        samples: usize,
        outcomes: Slice<'_>,
        finite: Slice<'_>,
    ) -> Result<(), OpenClError> {
        expect(Element::F32, &[outcomes, finite])?;
        at_least("losses_are_finite: outcomes", outcomes, samples)?;
        at_least("losses_are_finite: finite", finite, 1)?;
        let call = Call::new(&CROSS_ENTROPY, "losses_are_finite")
            .slice(outcomes)
            .slice(finite)
            .int(samples);
        // SAFETY: both slices have every element, as was checked; one work-item writes.
        unsafe { self.push(call) }
    }
}
