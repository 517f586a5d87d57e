//! A session whose last layers learn.

use kinglet_kernels::{Kernels, portable};

use super::head::{self, HeadError, StoreError, copy_part};
use super::suffix::{Suffix, bounds_of, copy, forward, suffix};
use super::{Bounds, FineTuneError, Optimizer};
use crate::arena::ArenaMut;
use crate::model::{Model, ModelId};
use crate::operator::Operation;
use crate::probe::NoProbe;
use crate::record::Record;
use crate::session::{InputError, Session};
use crate::values::{ValuesMut, argmax};

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
    /// What no parameter and no state is larger than.
    bounds: Bounds,
    weights: &'a mut [f32],
    /// A head to go back to, and the steps that made it; empty if the caller asked for none.
    shadow: &'a mut [f32],
    shadow_steps: u32,
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
        let needed = session.model().sizes().training::<O>();
        Self::in_arena(session, arena.into(), needed, optimizer)
    }

    /// Like [`new`](Self::new), with a shadow head for [`keep_head`](Self::keep_head) and
    /// [`restore_head`](Self::restore_head), in an arena of at least `SIZES.training_with_shadow::<O>()` bytes. At first it
    /// is the factory head.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_shadow(
        session: Session<'a, OPS, K>,
        arena: impl Into<ArenaMut<'a>>,
        optimizer: O,
    ) -> Result<Self, FineTuneError> {
        let needed = session.model().sizes().training_with_shadow::<O>();
        Self::in_arena(session, arena.into(), needed, optimizer)
    }

    /// A tuner that uses `needed` bytes of `arena`.
    #[inline(never)]
    fn in_arena(
        session: Session<'a, OPS, K>,
        arena: ArenaMut<'a>,
        needed: usize,
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
        let too_small = FineTuneError::ArenaTooSmall {
            needed,
            found: arena.len(),
        };
        let (used, _) = arena.zeroed(needed).ok_or(too_small)?;
        let all: &mut [f32] = bytemuck::try_cast_slice_mut(used).map_err(|_| too_small)?;
        let parameters = sizes.trainable_parameters;
        let shadow = needed.saturating_sub(sizes.training::<O>()) / 4;
        let (weights, rest) = all.split_at_mut_checked(parameters).ok_or(too_small)?;
        let (shadow, rest) = rest.split_at_mut_checked(shadow).ok_or(too_small)?;
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
            bounds: Bounds::default(),
            weights,
            shadow,
            shadow_steps: 0,
            state,
            values,
            gradients,
        };
        tuner.reset();
        copy(tuner.weights, tuner.shadow);
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

    /// Sets the optimizer's state back to the start, for a head that is new.
    fn forget(&mut self) {
        self.state.iter_mut().for_each(|s| *s = 0.0);
        self.optimizer_steps = 0;
        self.bounds = bounds_of(self.weights, self.state);
    }

    /// Remembers the current head in the shadow, to go back to with [`restore_head`](Self::restore_head).
    ///
    /// # Errors
    /// [`FineTuneError::NoShadow`] unless the tuner was made [`with_shadow`](Self::with_shadow).
    pub fn keep_head(&mut self) -> Result<(), FineTuneError> {
        if self.shadow.is_empty() {
            return Err(FineTuneError::NoShadow);
        }
        copy(self.weights, self.shadow);
        self.shadow_steps = self.steps;
        Ok(())
    }

    /// Goes back to the head that was last kept, or to the factory head if none was, and starts the optimizer anew.
    ///
    /// # Errors
    /// [`FineTuneError::NoShadow`] unless the tuner was made [`with_shadow`](Self::with_shadow).
    pub fn restore_head(&mut self) -> Result<(), FineTuneError> {
        if self.shadow.is_empty() {
            return Err(FineTuneError::NoShadow);
        }
        copy(self.shadow, self.weights);
        self.forget();
        self.steps = self.shadow_steps;
        Ok(())
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

    /// What the trainable suffix reads, computed from the current input: to be stored, and learned from later by
    /// [`step_from_features`](Self::step_from_features), or to be compared. The input is used up.
    pub fn features(&mut self) -> &[f32] {
        self.run_body();
        let first = suffix(&self.session).first();
        first.map_or(&[], |first| self.session.tensor(first.input))
    }

    /// Sets the input from pictures and computes the output with the trained head.
    ///
    /// # Errors
    /// [`InputError`] if the number of pixels is wrong.
    pub fn run_image_u8(&mut self, pixels: &[u8]) -> Result<&[f32], InputError> {
        self.set_image_u8(pixels)?;
        Ok(self.run())
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
    // Not inlined: what it needs of the stack is not there while a model is loaded.
    #[inline(never)]
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

        let features = records
            .first()
            .map_or(&[][..], |first| self.session.tensor(first.input));
        let mut suffix = Suffix {
            records,
            features,
            values,
            gradients,
            weights: self.weights,
            state: self.state,
        };
        let gradient = suffix.backward::<OPS>();
        let number = self.optimizer_steps.saturating_add(1);
        let step = self.optimizer.step(number);
        let mut bounds = self.optimizer.bounds(step, self.bounds, gradient);
        if !bounds.are_finite() {
            // Bounds only grow; what they bound may be smaller.
            let measured = bounds_of(suffix.weights, suffix.state);
            bounds = self.optimizer.bounds(step, measured, gradient);
        }
        if !bounds.are_finite() {
            return Err(FineTuneError::Diverged);
        }
        suffix.update(&self.optimizer, step);
        self.bounds = bounds;
        self.optimizer_steps = number;
        self.steps = self.steps.saturating_add(1);
        Ok(Step { loss, correct })
    }

    /// Learns from `features`, which [`features`](Self::features) gave for a sample of `class`.
    ///
    /// # Errors
    /// As [`step`](Self::step) and [`set_features`](Self::set_features); nothing has been learned then.
    pub fn step_from_features(
        &mut self,
        features: &[f32],
        class: usize,
    ) -> Result<Step, FineTuneError> {
        self.set_features(features)
            .map_err(FineTuneError::Features)?;
        self.step(class)
    }

    /// Bytes that [`save_head`](Self::save_head) writes: `SIZES.head`.
    pub fn head_len(&self) -> usize {
        self.session.model().sizes().head
    }

    /// Writes the trained head, in pieces of at most 64 bytes one after the other, [`head_len`](Self::head_len) in all: the
    /// parameters, bound to the model's id and closed by a CRC (see `FORMAT.md`). The optimizer's state is not part of it.
    ///
    /// # Errors
    /// The first that `write` returns; [`HeadError::NotFinite`] if the factory head is not finite, before anything is
    /// written.
    pub fn write_head<E>(
        &self,
        write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), StoreError<E>> {
        if !self.bounds.are_finite() {
            return Err(HeadError::NotFinite.into());
        }
        head::write(self.id(), self.steps, self.weights, write)
    }

    /// Writes the trained head to the front of `bytes` and returns its length; see [`write_head`](Self::write_head).
    ///
    /// # Errors
    /// [`HeadError::BufferTooSmall`] if `bytes` is shorter than [`head_len`](Self::head_len), [`HeadError::NotFinite`] if
    /// the factory head is not finite.
    pub fn save_head(&self, bytes: &mut [u8]) -> Result<usize, HeadError> {
        let (needed, found) = (self.head_len(), bytes.len());
        let too_small = HeadError::BufferTooSmall { needed, found };
        let mut rest = bytes.get_mut(..needed).ok_or(too_small)?;
        self.write_head(|piece| {
            let whole = core::mem::take(&mut rest);
            let (target, after) = whole.split_at_mut_checked(piece.len()).ok_or(too_small)?;
            target.iter_mut().zip(piece).for_each(|(t, b)| *t = *b);
            rest = after;
            Ok(())
        })
        .map_err(StoreError::into_inner)?;
        Ok(needed)
    }

    /// Takes over a head that [`write_head`](Self::write_head) wrote for this same model, and starts the optimizer anew.
    /// `read` fills the slice with the head's bytes from an offset on. All of it is read twice: it is looked at before
    /// anything is changed.
    ///
    /// # Errors
    /// [`StoreError`] if the bytes are damaged, of another model, or cannot be read; then the current head stays.
    /// Where bytes are others when they are read again, it is the factory head that stays.
    #[inline(never)]
    pub fn read_head<E>(
        &mut self,
        mut read: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), StoreError<E>> {
        let (id, parameters) = (self.id(), self.weights.len());
        head::read(id, parameters, &mut read, |_| ())?;
        let mut target = self.weights.iter_mut();
        let again = head::read(id, parameters, &mut read, |weight| {
            if let Some(target) = target.next() {
                *target = weight;
            }
        });
        let steps = match again {
            Ok(steps) => steps,
            Err(e) => {
                self.reset();
                return Err(e);
            }
        };
        self.forget();
        self.steps = steps;
        Ok(())
    }

    /// Takes over a head that [`save_head`](Self::save_head) wrote; see [`read_head`](Self::read_head).
    ///
    /// # Errors
    /// [`HeadError`] if the bytes are damaged or of another model; then the current head stays.
    pub fn load_head(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        let outcome = self.read_head(|offset, target| copy_part(bytes, offset, target));
        outcome.map_err(StoreError::into_inner)
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
        let features = records
            .first()
            .map_or(&[][..], |first| self.session.tensor(first.input));
        forward::<OPS>(records, features, self.weights, self.values);
    }

    fn output(&self) -> &[f32] {
        let len = self.session.model().sizes().output_len;
        let first = self.values.len().saturating_sub(len);
        self.values.get(first..).unwrap_or_default()
    }
}
