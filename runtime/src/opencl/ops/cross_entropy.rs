//! The loss of a batch.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::CROSS_ENTROPY;

use super::arguments::expect;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

/// What a cross-entropy counts samples by.
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy<'b> {
    /// This part of a sample's target is shared by all classes.
    pub label_smoothing: f32,
    /// How much a sample of each class counts: as many elements as there are classes.
    pub class_weights: Slice<'b>,
    /// One element: what each sample's loss is multiplied by in the batch's.
    pub share: Slice<'b>,
}

impl Recording {
    /// Of each sample of `labels` the loss and whether its largest logit is that of its class, which are written to
    /// `outcomes` (all losses, then 1 for each hit and else 0), and the gradient of the batch's loss.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn cross_entropy_f32(
        &mut self,
        of: &CrossEntropy<'_>,
        logits: Slice<'_>,
        labels: Slice<'_>,
        d_logits: Slice<'_>,
        outcomes: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (samples, classes) = (labels.len(), of.class_weights.len());
        let len = samples.saturating_mul(classes);
        expect(Element::U32, &[labels])?;
        let floats = [logits, d_logits, outcomes, of.class_weights, of.share];
        expect(Element::F32, &floats)?;
        at_least("cross_entropy_f32: logits", logits, len)?;
        at_least("cross_entropy_f32: d_logits", d_logits, len)?;
        at_least("cross_entropy_f32: share", of.share, 1)?;
        at_least(
            "cross_entropy_f32: outcomes",
            outcomes,
            samples.saturating_mul(2),
        )?;
        let call = Call::new(&CROSS_ENTROPY, "cross_entropy")
            .slice(logits)
            .slice(labels)
            .slice(of.class_weights)
            .slice(of.share)
            .slice(d_logits)
            .slice(outcomes)
            .int(samples)
            .int(classes)
            .float(of.label_smoothing)
            .global([samples, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item writes those of its sample, and no
        // label is used as a place before it is known to be a class.
        unsafe { self.push(call) }
    }

    /// Of each sample, of `len` outputs each, the mean square of its distances from `targets`, which is written to `outcomes`
    /// (then a 0 for each: nothing is hit), and the gradient of the sum of all times `share`, one element.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn squared_error_f32(
        &mut self,
        len: usize,
        share: Slice<'_>,
        values: Slice<'_>,
        targets: Slice<'_>,
        d_values: Slice<'_>,
        outcomes: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let samples = values.len() / len.max(1);
        expect(Element::F32, &[share, values, targets, d_values, outcomes])?;
        at_least("squared_error_f32: share", share, 1)?;
        at_least("squared_error_f32: targets", targets, values.len())?;
        at_least("squared_error_f32: d_values", d_values, values.len())?;
        at_least(
            "squared_error_f32: outcomes",
            outcomes,
            samples.saturating_mul(2),
        )?;
        let call = Call::new(&CROSS_ENTROPY, "squared_error")
            .slice(values)
            .slice(targets)
            .slice(share)
            .slice(d_values)
            .slice(outcomes)
            .int(samples)
            .int(len)
            .global([samples, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item writes those of its sample.
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
