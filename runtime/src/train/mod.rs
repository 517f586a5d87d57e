//! Learning on the device: the last layers of a model, trained sample by sample.
//!
//! [`FineTuner`] takes over a [`Session`]. The session computes the frozen body with its own kernel set; the
//! trainable suffix is computed here, forward and backward, in the canonical arithmetic of
//! [`kinglet_kernels::portable`], so that from equal features every machine learns the same bits.
//!
//! The training arena holds, in this order: the parameters of the suffix (weights, then bias, node by node),
//! the optimizer's state for each, the outputs of the suffix's nodes, and their gradients. A step updates
//! each row of weights as soon as its gradient is known (with one sample it is the product of two vectors),
//! so no gradient of the weights is ever stored.

mod head;
mod optimizer;

pub use head::HeadError;
pub(crate) use head::head_len;
pub use optimizer::{Adam, AdamStep, Optimizer, Sgd};

use kinglet_kernels::{Activation, Kernels, Linear, Unary, portable};

use crate::arena::ArenaMut;
use crate::model::{Model, ModelId};
use crate::operator::{Operation, Span, unary};
use crate::probe::NoProbe;
use crate::record::Record;
use crate::session::{InputError, Session};
use crate::values::{ValuesMut, argmax};

/// Why fine-tuning cannot start, or a step was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FineTuneError {
    /// The model was exported without a trainable suffix.
    NotTrainable,
    /// The session runs more than one sample at a time.
    Batch {
        /// Its batch.
        found: usize,
    },
    /// The training arena is too small.
    ArenaTooSmall {
        /// Bytes it takes: `SIZES.training::<O>()`.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// A class that the model does not have.
    Class {
        /// The class given.
        found: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The loss is not a number, or infinite: the step was not taken, the weights are as before. A smaller
    /// learning rate may help.
    Diverged,
}

impl core::fmt::Display for FineTuneError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotTrainable => write!(
                f,
                "the model has no trainable layers (export it with --fine-tune last=K)"
            ),
            Self::Batch { found } => write!(
                f,
                "fine-tuning takes a session of one sample, this one runs {found}"
            ),
            Self::ArenaTooSmall { needed, found } => write!(
                f,
                "the training arena has {found} bytes, the model and optimizer need {needed}"
            ),
            Self::Class { found, classes } => {
                write!(f, "class {found} does not exist, the model has {classes}")
            }
            Self::Diverged => write!(
                f,
                "the loss is not finite, the step was not taken (try a smaller learning rate)"
            ),
        }
    }
}

impl core::error::Error for FineTuneError {}

/// What one training step saw, before it changed the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Step {
    /// Cross-entropy of the sample.
    pub loss: f32,
    /// Whether the largest logit was that of the right class.
    pub correct: bool,
}

/// Where the features of the current sample come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Features {
    /// The session's frozen nodes, from its input.
    Computed,
    /// The caller has set them.
    Set,
}

/// A session whose last layers learn.
#[derive(Debug)]
pub struct FineTuner<'a, const OPS: u128, K, O> {
    session: Session<'a, OPS, K>,
    /// Whether what the suffix reads is there already.
    features: Features,
    optimizer: O,
    /// Steps that made this head, those before it was saved and loaded included.
    steps: u32,
    /// Steps since the optimizer's state was 0.
    optimizer_steps: u32,
    weights: &'a mut [f32],
    state: &'a mut [f32],
    values: &'a mut [f32],
    gradients: &'a mut [f32],
}

impl<'a, const OPS: u128, K: Kernels, O: Optimizer> FineTuner<'a, OPS, K, O> {
    /// Takes over `session` and copies the trainable parameters from the model file (the factory head) into
    /// the training arena of at least `SIZES.training::<O>()` bytes.
    ///
    /// # Errors
    /// [`FineTuneError`] if the model has no trainable suffix, the session's batch is not 1, or the arena is
    /// too small.
    pub fn new(
        session: Session<'a, OPS, K>,
        arena: impl Into<ArenaMut<'a>>,
        optimizer: O,
    ) -> Result<Self, FineTuneError> {
        let sizes = session.model().sizes();
        if sizes.trainable_parameters == 0 {
            return Err(FineTuneError::NotTrainable);
        }
        if session.batch() != 1 {
            return Err(FineTuneError::Batch {
                found: session.batch(),
            });
        }
        let arena = arena.into();
        let too_small = FineTuneError::ArenaTooSmall {
            needed: sizes.training::<O>(),
            found: arena.len(),
        };
        let (used, _) = arena.zeroed(sizes.training::<O>()).ok_or(too_small)?;
        let all: &mut [f32] = bytemuck::try_cast_slice_mut(used).map_err(|_| too_small)?;
        let parameters = sizes.trainable_parameters;
        let (weights, rest) = all.split_at_mut_checked(parameters).ok_or(too_small)?;
        let (state, rest) = rest
            .split_at_mut_checked(parameters.saturating_mul(O::SLOTS))
            .ok_or(too_small)?;
        let (values, gradients) = rest.split_at_mut_checked(rest.len() / 2).ok_or(too_small)?;
        let mut tuner = Self {
            session,
            features: Features::Computed,
            optimizer,
            steps: 0,
            optimizer_steps: 0,
            weights,
            state,
            values,
            gradients,
        };
        tuner.reset();
        Ok(tuner)
    }

    /// Goes back to the factory head and forgets the optimizer's state.
    pub fn reset(&mut self) {
        let file = self.session.model().weights();
        let mut target = self.weights.iter_mut();
        for record in suffix(&self.session) {
            if let Operation::LinearF32(linear) = &record.operation {
                let bias = linear.layer.bias.map(|bias| bias.of(file));
                let weights = linear.layer.weights.of(file);
                let source = weights.iter().chain(bias.unwrap_or_default());
                source.zip(&mut target).for_each(|(s, t)| *t = *s);
            }
        }
        self.forget();
        self.steps = 0;
    }

    /// Sets the optimizer's state back to the start.
    fn forget(&mut self) {
        self.state.iter_mut().for_each(|s| *s = 0.0);
        self.optimizer_steps = 0;
    }

    /// The session's model.
    pub fn model(&self) -> &Model<'a> {
        self.session.model()
    }

    /// Steps that made the current head, from the factory head on: they are saved with it.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The optimizer, whose learning rate may be changed between steps.
    pub fn optimizer_mut(&mut self) -> &mut O {
        &mut self.optimizer
    }

    /// The trained parameters: for each linear layer of the suffix its weights
    /// `[out_features, in_features]`, then its bias.
    pub fn weights(&self) -> &[f32] {
        self.weights
    }

    /// See [`Session::set_image_u8`].
    ///
    /// # Errors
    /// [`InputError`] if the number of pixels is wrong.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        self.features = Features::Computed;
        self.session.set_image_u8(pixels)
    }

    /// See [`Session::set_input_f32`].
    ///
    /// # Errors
    /// [`InputError`] if the length is wrong.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        self.features = Features::Computed;
        self.session.set_input_f32(input)
    }

    /// See [`Session::input_mut`].
    pub fn input_mut(&mut self, index: usize) -> Option<ValuesMut<'_>> {
        self.features = Features::Computed;
        self.session.input_mut(index)
    }

    /// Sets what the trainable suffix reads, as something else has computed it: the frozen body on a GPU, say. The
    /// next [`run`](Self::run) or [`step`](Self::step) uses it up as it would the input.
    ///
    /// # Errors
    /// [`InputError`] if the length is not that of the suffix's input.
    pub fn set_features(&mut self, features: &[f32]) -> Result<(), InputError> {
        let Some(first) = suffix(&self.session).first() else {
            return Ok(());
        };
        let target = self.session.tensor_mut(first.input);
        if features.len() != target.len() {
            return Err(InputError::Length {
                expected: target.len(),
                found: features.len(),
            });
        }
        copy(features, target);
        self.features = Features::Set;
        Ok(())
    }

    /// Computes the output with the trained head. As with [`Session::run`], the input is used up: set it
    /// again before the next call.
    pub fn run(&mut self) -> &[f32] {
        self.run_body();
        self.forward();
        self.output()
    }

    /// Learns from the current input, which belongs to `class`: one step of the optimizer on the
    /// cross-entropy of the logits. If the model ends in softmax, the logits are what softmax reads. The
    /// input is used up: set it again before the next call.
    ///
    /// # Errors
    /// [`FineTuneError::Class`] for a class the model does not have, [`FineTuneError::Diverged`] if the loss
    /// is not finite; either way nothing has been learned.
    pub fn step(&mut self, class: usize) -> Result<Step, FineTuneError> {
        self.run_body();
        self.forward();
        let mut records = suffix(&self.session);
        let mut values: &[f32] = self.values;
        let mut gradients: &mut [f32] = self.gradients;
        if let Some((
            Record {
                operation: Operation::SoftmaxF32(softmax),
                ..
            },
            rest,
        )) = records.split_last()
        {
            records = rest;
            let end = values.len().saturating_sub(softmax.channels);
            values = values.get(..end).unwrap_or_default();
            gradients = gradients.get_mut(..end).unwrap_or_default();
        }
        let classes = records.last().map_or(0, |last| last.output.len / 4);
        if class >= classes {
            return Err(FineTuneError::Class {
                found: class,
                classes,
            });
        }
        let first = values.len().saturating_sub(classes);
        let logits = values.get(first..).unwrap_or_default();
        let d_logits = gradients.get_mut(first..).unwrap_or_default();
        let loss = portable::cross_entropy_f32(logits, class, d_logits);
        if !loss.is_finite() {
            return Err(FineTuneError::Diverged);
        }
        let correct = argmax(logits) == Some(class);

        let step = self.optimizer_steps.saturating_add(1);
        let features = records
            .first()
            .map_or(&[][..], |first| self.session.tensor(first.input));
        Backward {
            records,
            features,
            values,
            gradients,
            weights: self.weights,
            state: self.state,
        }
        .run::<OPS, O>(&self.optimizer, self.optimizer.step(step));
        self.optimizer_steps = step;
        self.steps = self.steps.saturating_add(1);
        Ok(Step { loss, correct })
    }

    /// Bytes that [`save_head`](Self::save_head) writes: `SIZES.head`.
    pub fn head_len(&self) -> usize {
        self.session.model().sizes().head
    }

    /// Writes the trained head to the front of `bytes` and returns its length: the parameters, bound to the
    /// model's id and closed by a CRC (see `FORMAT.md`). The optimizer's state is not part of it.
    ///
    /// # Errors
    /// [`HeadError::BufferTooSmall`] if `bytes` is shorter than [`head_len`](Self::head_len).
    pub fn save_head(&self, bytes: &mut [u8]) -> Result<usize, HeadError> {
        head::write(self.id(), self.steps, self.weights, bytes)
    }

    /// Takes over a head that [`save_head`](Self::save_head) wrote for this same model, and starts the
    /// optimizer anew.
    ///
    /// # Errors
    /// [`HeadError`] if the bytes are damaged or of another model; then the current head stays.
    pub fn load_head(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        let (steps, weights) = head::read(self.id(), self.weights.len(), bytes)?;
        self.weights
            .iter_mut()
            .zip(weights)
            .for_each(|(w, bytes)| *w = f32::from_le_bytes(*bytes));
        self.forget();
        self.steps = steps;
        Ok(())
    }

    /// Gives the session back; it runs with the factory head.
    pub fn into_session(self) -> Session<'a, OPS, K> {
        self.session
    }

    fn id(&self) -> ModelId {
        self.session.model().id()
    }

    /// Runs the frozen nodes.
    fn run_body(&mut self) {
        if core::mem::replace(&mut self.features, Features::Computed) == Features::Set {
            return;
        }
        let nodes = self.session.records().len();
        let body = nodes.saturating_sub(suffix(&self.session).len());
        self.session.run_nodes(body, &mut NoProbe);
    }

    /// Computes the suffix from the session's features into `values`.
    fn forward(&mut self) {
        let records = suffix(&self.session);
        let mut input = records
            .first()
            .map_or(&[][..], |first| self.session.tensor(first.input));
        let mut values: &mut [f32] = self.values;
        let mut weights: &[f32] = self.weights;
        for record in records {
            let Some((output, rest)) = values.split_at_mut_checked(record.output.len / 4) else {
                return;
            };
            match &record.operation {
                Operation::LinearF32(linear) => {
                    let (params, bias) = (&linear.params, linear.layer.bias.is_some());
                    let parameters = take_parameters(&mut weights, params, bias);
                    portable::linear_f32(params, input, parameters.0, parameters.1, output);
                }
                Operation::UnaryF32(function) => {
                    copy(input, output);
                    unary::known::<OPS>(*function, |function| {
                        portable::unary_f32(function, output)
                    });
                }
                Operation::SoftmaxF32(softmax) => {
                    copy(input, output);
                    portable::softmax_f32(softmax.channels, output);
                }
                other => debug_assert!(false, "{other:?} in a trainable suffix"),
            }
            (input, values) = (output, rest);
        }
    }

    fn output(&self) -> &[f32] {
        let len = self.session.model().sizes().output_len;
        let first = self.values.len().saturating_sub(len);
        self.values.get(first..).unwrap_or_default()
    }
}

/// The records of the trainable nodes.
fn suffix<'a, const OPS: u128, K: Kernels>(session: &Session<'a, OPS, K>) -> &'a [Record] {
    let records = session.records();
    let body = records
        .len()
        .saturating_sub(session.model().trainable_nodes());
    records.get(body..).unwrap_or_default()
}

fn copy(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t = *f);
}

/// Takes a layer's weights and bias off the front of `parameters`.
fn take_parameters<'p>(
    parameters: &mut &'p [f32],
    params: &Linear,
    bias: bool,
) -> (&'p [f32], Option<&'p [f32]>) {
    let mut take = |len| {
        let (taken, rest) = parameters.split_at_checked(len).unwrap_or_default();
        *parameters = rest;
        taken
    };
    let weights = take(params.weights_len());
    (weights, bias.then(|| take(params.out_features())))
}

/// Takes the last `len` values off `slice`.
fn take_last<'s>(slice: &mut &'s mut [f32], len: usize) -> &'s mut [f32] {
    let whole = core::mem::take(slice);
    let at = whole.len().saturating_sub(len);
    let (rest, taken) = whole.split_at_mut_checked(at).unwrap_or_default();
    *slice = rest;
    taken
}

/// The way back through the suffix, with the gradient of the last output in place.
struct Backward<'s> {
    records: &'s [Record],
    features: &'s [f32],
    values: &'s [f32],
    gradients: &'s mut [f32],
    weights: &'s mut [f32],
    state: &'s mut [f32],
}

impl Backward<'_> {
    /// Node by node from the last: the gradient of the input first, from the weights as they were, then the
    /// update of the weights.
    fn run<const OPS: u128, O: Optimizer>(mut self, optimizer: &O, step: O::Step) {
        while let Some((record, before)) = self.records.split_last() {
            self.records = before;
            let len = record.output.len / 4;
            let at = self.values.len().saturating_sub(len);
            let Some((values, output)) = self.values.split_at_checked(at) else {
                return;
            };
            self.values = values;
            let d_output = take_last(&mut self.gradients, len);
            // What this node read: the previous node's output, or the features.
            let input = match before.last() {
                Some(previous) => {
                    let at = values.len().saturating_sub(previous.output.len / 4);
                    values.get(at..).unwrap_or_default()
                }
                None => self.features,
            };
            let at = self.gradients.len().saturating_sub(input.len());
            let d_input = match before.is_empty() {
                true => None,
                false => self.gradients.get_mut(at..),
            };
            match &record.operation {
                Operation::LinearF32(linear) => {
                    let params = &linear.params;
                    match params.activation() {
                        Activation::Identity => {}
                        Activation::Relu => {
                            portable::unary_f32_backward(Unary::Relu, output, d_output);
                        }
                        Activation::Relu6 => {
                            portable::unary_f32_backward(Unary::Relu6, output, d_output);
                        }
                    }
                    let bias_len = linear.layer.bias.map_or(0, Span::len);
                    let bias = take_last(&mut self.weights, bias_len);
                    let weights = take_last(&mut self.weights, params.weights_len());
                    let slots = |len: usize| len.saturating_mul(O::SLOTS);
                    let bias_state = take_last(&mut self.state, slots(bias_len));
                    let state = take_last(&mut self.state, slots(params.weights_len()));
                    if let Some(d_input) = d_input {
                        portable::linear_f32_backward_input(params, d_output, weights, d_input);
                    }
                    // At least 1 by construction of `Linear`; `max` lets the compiler know.
                    let row = params.in_features().max(1);
                    let rows = weights.chunks_exact_mut(row);
                    let state_rows = state.chunks_exact_mut(slots(row).max(1));
                    for ((weights, state), d) in rows.zip(state_rows).zip(d_output.iter()) {
                        let gradients = input.iter().map(|x| *d * *x);
                        optimizer.update(step, weights, gradients, state);
                    }
                    optimizer.update(step, bias, d_output.iter().copied(), bias_state);
                }
                Operation::UnaryF32(function) => {
                    if let Some(d_input) = d_input {
                        copy(d_output, d_input);
                        unary::known::<OPS>(*function, |function| {
                            portable::unary_f32_backward(function, output, d_input);
                        });
                    }
                }
                other => debug_assert!(false, "{other:?} in a trainable suffix"),
            }
        }
    }
}
