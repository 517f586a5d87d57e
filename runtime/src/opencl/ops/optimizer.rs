//! Steps of the optimizers and the moving average of a network's values.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::OPTIMIZER;

use super::arguments::expect;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};
use crate::train::{Adam, AdamW, Optimizer, Sgd};

/// What changes from one step to the next. It is written to the device before each step, so that a recording stays
/// as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRates {
    learning_rate: f32,
    momentum: f32,
    root_correction: f32,
    average_decay: f32,
    kept: f32,
}

impl StepRates {
    /// Elements on the device.
    pub const LEN: usize = 5;

    /// Those of a step of SGD.
    pub fn of_sgd(sgd: &Sgd) -> Self {
        Self {
            learning_rate: sgd.learning_rate,
            momentum: sgd.momentum,
            root_correction: 1.0,
            average_decay: 0.0,
            kept: 1.0,
        }
    }

    /// Those of Adam's step number `step`, counted from 1.
    pub fn of_adam(adam: &Adam, step: u32) -> Self {
        let of_step = adam.step(step);
        Self {
            learning_rate: of_step.step_size,
            momentum: adam.beta1,
            root_correction: of_step.root_correction,
            average_decay: 0.0,
            kept: 1.0,
        }
    }

    /// Those of AdamW's step number `step`, counted from 1.
    pub fn of_adam_w(adam_w: &AdamW, step: u32) -> Self {
        Self {
            kept: adam_w.kept(),
            ..Self::of_adam(&adam_w.0, step)
        }
    }

    /// With this decay of the moving average; 0, as it is without, begins the average anew.
    #[must_use]
    pub fn with_average_decay(mut self, decay: f32) -> Self {
        self.average_decay = decay;
        self
    }

    /// As the device reads them.
    pub fn to_array(self) -> [f32; Self::LEN] {
        [
            self.learning_rate,
            self.momentum,
            self.root_correction,
            self.average_decay,
            self.kept,
        ]
    }
}

/// Two small tensors that every step reads.
#[derive(Debug, Clone, Copy)]
pub struct StepControl<'b> {
    /// [`StepRates`].
    pub rates: Slice<'b>,
    /// One element: if it is 0, no step is taken. [`Recording::losses_are_finite`] writes it.
    pub finite: Slice<'b>,
}

impl StepControl<'_> {
    fn check(&self) -> Result<(), OpenClError> {
        expect(Element::F32, &[self.rates, self.finite])?;
        at_least("step: rates", self.rates, StepRates::LEN)?;
        at_least("step: finite", self.finite, 1)
    }
}

impl Recording {
    /// A step of [`Sgd`] for all of `parameters`. Of `sgd` it takes what does not change from step to step: the
    /// weight decay, and whether it is Nesterov's form.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn sgd_f32(
        &mut self,
        sgd: &Sgd,
        control: StepControl<'_>,
        parameters: Slice<'_>,
        gradients: Slice<'_>,
        velocities: Slice<'_>,
    ) -> Result<(), OpenClError> {
        control.check()?;
        expect(Element::F32, &[parameters, gradients, velocities])?;
        at_least("sgd_f32: gradients", gradients, parameters.len())?;
        at_least("sgd_f32: velocities", velocities, parameters.len())?;
        let call = Call::new(&OPTIMIZER, "sgd")
            .slice(parameters)
            .slice(gradients)
            .slice(velocities)
            .slice(control.rates)
            .slice(control.finite)
            .int(parameters.len())
            .float(sgd.weight_decay)
            .int(usize::from(sgd.nesterov))
            .global([parameters.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item reads and writes those of one
        // parameter.
        unsafe { self.push(call) }
    }

    /// A step of [`Adam`] for all of `parameters`. Of `adam` it takes what does not change from step to step: the
    /// weight decay, beta2 and epsilon.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn adam_f32(
        &mut self,
        adam: &Adam,
        control: StepControl<'_>,
        parameters: Slice<'_>,
        gradients: Slice<'_>,
        means: Slice<'_>,
        squares: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let moments = [means, squares];
        self.adam(adam, false, control, parameters, gradients, moments)
    }

    /// A step of [`AdamW`] for all of `parameters`. Of `adam_w` it takes what does not change from step to step: whether there
    /// is a weight decay, beta2 and epsilon.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn adam_w_f32(
        &mut self,
        adam_w: &AdamW,
        control: StepControl<'_>,
        parameters: Slice<'_>,
        gradients: Slice<'_>,
        means: Slice<'_>,
        squares: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (decays, moments) = (adam_w.0.weight_decay != 0.0, [means, squares]);
        let adam = Adam {
            weight_decay: 0.0,
            ..adam_w.0
        };
        self.adam(&adam, decays, control, parameters, gradients, moments)
    }

    /// A step of Adam, of what the rates leave of the parameters if they `decay`.
    fn adam(
        &mut self,
        adam: &Adam,
        decay: bool,
        control: StepControl<'_>,
        parameters: Slice<'_>,
        gradients: Slice<'_>,
        [means, squares]: [Slice<'_>; 2],
    ) -> Result<(), OpenClError> {
        control.check()?;
        expect(Element::F32, &[parameters, gradients, means, squares])?;
        at_least("adam_f32: gradients", gradients, parameters.len())?;
        at_least("adam_f32: means", means, parameters.len())?;
        at_least("adam_f32: squares", squares, parameters.len())?;
        let call = Call::new(&OPTIMIZER, "adam")
            .slice(parameters)
            .slice(gradients)
            .slice(means)
            .slice(squares)
            .slice(control.rates)
            .slice(control.finite)
            .int(parameters.len())
            .float(adam.weight_decay)
            .float(adam.beta2)
            .float(adam.epsilon)
            .int(usize::from(decay))
            .global([parameters.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item reads and writes those of one
        // parameter.
        unsafe { self.push(call) }
    }

    /// `averages = decay * averages + (1 - decay) * values`, all of `values`, with the decay of the rates.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn moving_average_f32(
        &mut self,
        control: StepControl<'_>,
        values: Slice<'_>,
        averages: Slice<'_>,
    ) -> Result<(), OpenClError> {
        control.check()?;
        expect(Element::F32, &[values, averages])?;
        at_least("moving_average_f32: averages", averages, values.len())?;
        let call = Call::new(&OPTIMIZER, "moving_average")
            .slice(values)
            .slice(averages)
            .slice(control.rates)
            .slice(control.finite)
            .int(values.len())
            .global([values.len(), 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item reads and writes one of its own.
        unsafe { self.push(call) }
    }
}
