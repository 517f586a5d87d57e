//! Optimizers, element by element, in the exact form PyTorch documents.
//!
//! Every element is updated by itself with multiplications, additions and (Adam) a square root and a
//! division, never fused: the bits are the same on every machine, vectorized or not. The host trainer and
//! the device use this same code.

/// A rule that moves weights against their gradients.
pub trait Optimizer {
    /// State elements kept for each weight. They start at 0.
    const SLOTS: usize;

    /// What one step needs beside the slices: the same for all weights.
    type Step: Copy;

    /// Prepares step number `step`, counted from 1.
    fn step(&self, step: u32) -> Self::Step;

    /// What no weight and no state will be larger than, of either sign, once this step has been taken: given the same of
    /// before, and `gradient`, which no gradient is larger than. A step for which these are not finite is not taken.
    fn bounds(&self, step: Self::Step, before: Bounds, gradient: f32) -> Bounds;

    /// Updates `weights` from as many `gradients`. `state` holds `SLOTS * weights.len()` elements, slot by
    /// slot. Nothing past the shortest of the three is touched.
    fn update(
        &self,
        step: Self::Step,
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    );
}

/// What no parameter, and no element of the optimizer's state, is larger than, of either sign.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bounds {
    /// Of the parameters.
    pub weight: f32,
    /// Of the state.
    pub state: f32,
}

impl Bounds {
    pub(super) fn are_finite(self) -> bool {
        self.weight.is_finite() && self.state.is_finite()
    }
}

/// Stochastic gradient descent with momentum (`torch.optim.SGD`, dampening 0):
/// `g += weight_decay * w; v = momentum * v + g; w -= learning_rate * v`, or with `nesterov`
/// `w -= learning_rate * (g + momentum * v)`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sgd {
    /// Step size.
    pub learning_rate: f32,
    /// Share of the last step's velocity that is kept; 0 for plain descent.
    pub momentum: f32,
    /// L2 penalty.
    pub weight_decay: f32,
    /// Look ahead by one step of momentum.
    pub nesterov: bool,
}

impl Sgd {
    /// SGD with momentum, without weight decay.
    pub const fn new(learning_rate: f32, momentum: f32) -> Self {
        Self {
            learning_rate,
            momentum,
            weight_decay: 0.0,
            nesterov: false,
        }
    }
}

impl Optimizer for Sgd {
    const SLOTS: usize = 1;
    type Step = ();

    fn step(&self, _step: u32) {}

    /// Rounding keeps the order of numbers: the operations of an update, all on absolute values, bound it.
    fn bounds(&self, (): (), before: Bounds, gradient: f32) -> Bounds {
        let g = gradient + self.weight_decay.abs() * before.weight;
        let v = self.momentum.abs() * before.state + g;
        let direction = match self.nesterov {
            true => g + self.momentum.abs() * v,
            false => v,
        };
        Bounds {
            weight: before.weight + self.learning_rate.abs() * direction,
            state: v,
        }
    }

    #[inline]
    fn update(
        &self,
        (): (),
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        let ahead = if self.nesterov { self.momentum } else { 0.0 };
        for ((w, v), g) in weights.iter_mut().zip(state).zip(gradients) {
            let g = g + self.weight_decay * *w;
            *v = self.momentum * *v + g;
            let direction = if self.nesterov { g + ahead * *v } else { *v };
            *w -= self.learning_rate * direction;
        }
    }
}

/// Adam (Kingma & Ba, arXiv 1412.6980) as `torch.optim.Adam` computes it, weight decay as an L2 penalty.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Adam {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of squared gradients.
    pub beta2: f32,
    /// Keeps the division finite: with 0 no step is taken.
    pub epsilon: f32,
    /// L2 penalty.
    pub weight_decay: f32,
}

impl Adam {
    /// Adam with PyTorch's defaults for the rest: betas 0.9 and 0.999, epsilon 1e-8.
    pub const fn new(learning_rate: f32) -> Self {
        Self {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The bias corrections of one step of [`Adam`].
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// `learning_rate / (1 - beta1^step)`.
    pub(crate) step_size: f32,
    /// `sqrt(1 - beta2^step)`.
    pub(crate) root_correction: f32,
}

impl Optimizer for Adam {
    const SLOTS: usize = 2;
    type Step = AdamStep;

    fn step(&self, step: u32) -> AdamStep {
        let correction1 = 1.0 - power(f64::from(self.beta1), step);
        let correction2 = 1.0 - power(f64::from(self.beta2), step);
        AdamStep {
            step_size: (f64::from(self.learning_rate) / correction1) as f32,
            root_correction: libm::sqrt(correction2) as f32,
        }
    }

    /// As for [`Sgd`], but that the mean of gradients is computed as a difference: the room for its roundings is added. The
    /// denominator is no smaller than epsilon.
    fn bounds(&self, step: AdamStep, before: Bounds, gradient: f32) -> Bounds {
        let g = gradient + self.weight_decay.abs() * before.weight;
        let (keep1, keep2) = ((1.0 - self.beta1).abs(), (1.0 - self.beta2).abs());
        let roundings = 8.0 * f32::EPSILON * (1.0 + keep1) * (before.state + g);
        let mean = self.beta1.abs() * before.state + keep1 * g + roundings;
        let square = self.beta2.abs() * before.state + keep2 * g * g;
        Bounds {
            weight: before.weight + step.step_size.abs() * (mean / self.epsilon.abs()),
            // Where one is no number, the other is not finite.
            state: mean.max(square),
        }
    }

    #[inline]
    fn update(
        &self,
        step: AdamStep,
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        // A factor of 1 changes no bit.
        self.update_kept(step, 1.0, weights, gradients, state);
    }
}

impl Adam {
    /// An update of what `kept` leaves of each weight.
    #[inline(always)]
    fn update_kept(
        &self,
        step: AdamStep,
        kept: f32,
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        let Some((mean, square)) = state.split_at_mut_checked(weights.len()) else {
            return;
        };
        let (keep1, keep2) = (1.0 - self.beta1, 1.0 - self.beta2);
        for (((w, m), s), g) in weights.iter_mut().zip(mean).zip(square).zip(gradients) {
            let kept = kept * *w;
            let g = g + self.weight_decay * kept;
            *m += keep1 * (g - *m);
            *s = self.beta2 * *s + keep2 * g * g;
            let denominator = square_root(*s) / step.root_correction + self.epsilon;
            *w = kept - step.step_size * (*m / denominator);
        }
    }
}

/// Adam whose weight decay is none of the gradient's: each step first takes its share of the weights themselves (Loshchilov and
/// Hutter, arXiv 1711.05101), as `torch.optim.AdamW` computes it. All but the meaning of the weight decay is Adam's.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdamW(pub Adam);

impl AdamW {
    /// AdamW with PyTorch's defaults for the rest: those of [`Adam::new`], and a weight decay of 0.01.
    pub const fn new(learning_rate: f32) -> Self {
        Self(Adam {
            weight_decay: 0.01,
            ..Adam::new(learning_rate)
        })
    }

    /// What the decay of a step leaves of each weight: `1 - learning_rate * weight_decay`.
    pub fn kept(&self) -> f32 {
        (1.0 - f64::from(self.0.learning_rate) * f64::from(self.0.weight_decay)) as f32
    }

    /// Adam without a penalty.
    const fn adam(&self) -> Adam {
        Adam {
            weight_decay: 0.0,
            ..self.0
        }
    }
}

impl Optimizer for AdamW {
    const SLOTS: usize = Adam::SLOTS;
    type Step = AdamStep;

    fn step(&self, step: u32) -> AdamStep {
        self.0.step(step)
    }

    fn bounds(&self, step: AdamStep, before: Bounds, gradient: f32) -> Bounds {
        let kept = Bounds {
            weight: self.kept().abs() * before.weight,
            ..before
        };
        self.adam().bounds(step, kept, gradient)
    }

    #[inline]
    fn update(
        &self,
        step: AdamStep,
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        self.adam()
            .update_kept(step, self.kept(), weights, gradients, state);
    }
}

/// `base` to the power of `exponent`, by squaring: the same products on every machine.
fn power(base: f64, exponent: u32) -> f64 {
    let (mut result, mut factor, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result *= factor;
        }
        factor *= factor;
        left >>= 1;
    }
    result
}

/// IEEE 754 square root: correctly rounded, so every implementation has the same bits.
#[cfg(feature = "std")]
#[inline(always)]
fn square_root(x: f32) -> f32 {
    x.sqrt()
}

#[cfg(not(feature = "std"))]
#[inline(always)]
fn square_root(x: f32) -> f32 {
    libm::sqrtf(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descend<O: Optimizer>(optimizer: &O, steps: u32) -> f32 {
        let (mut w, mut state) = ([1.0f32], std::vec![0.0; O::SLOTS]);
        for step in 1..=steps {
            let g = 2.0 * w[0]; // the gradient of w squared
            optimizer.update(
                optimizer.step(step),
                &mut w,
                core::iter::once(g),
                &mut state,
            );
        }
        w[0]
    }

    #[test]
    fn sgd_takes_the_steps_of_the_formula() {
        assert_eq!(descend(&Sgd::new(0.1, 0.0), 1), 1.0 - 0.1 * 2.0);
        // v1 = 2, w1 = 0.8; v2 = 0.9 * 2 + 1.6 = 3.4, w2 = 0.8 - 0.34
        assert!((descend(&Sgd::new(0.1, 0.9), 2) - 0.46).abs() < 1e-6);
        let nesterov = Sgd {
            nesterov: true,
            ..Sgd::new(0.1, 0.9)
        };
        // v1 = 2, w1 = 1 - 0.1 * (2 + 1.8)
        assert!((descend(&nesterov, 1) - 0.62).abs() < 1e-6);
        let decayed = Sgd {
            weight_decay: 0.5,
            ..Sgd::new(0.1, 0.0)
        };
        assert!((descend(&decayed, 1) - (1.0 - 0.25)).abs() < 1e-6);
    }

    #[test]
    fn adam_moves_by_the_learning_rate_at_first() {
        assert!((descend(&Adam::new(0.01), 1) - 0.99).abs() < 1e-6);
        assert!(descend(&Adam::new(0.05), 200).abs() < 0.05);
    }

    #[test]
    fn adam_w_decays_the_weights_and_not_the_gradients() {
        let plain = Adam::new(0.01);
        let decayed = AdamW(Adam {
            weight_decay: 0.5,
            ..plain
        });
        // 1 - 0.01 * 0.5 of the weight, then Adam's first step.
        assert!((descend(&decayed, 1) - (0.995 - 0.01)).abs() < 1e-6);
        let without = AdamW(plain);
        assert_eq!(
            descend(&without, 50).to_bits(),
            descend(&plain, 50).to_bits()
        );
    }

    #[test]
    fn powers_are_exact_where_they_can_be() {
        assert_eq!(power(0.5, 10), 1.0 / 1024.0);
        assert_eq!(power(3.0, 5), 243.0);
        assert_eq!(power(0.9, 0), 1.0);
    }
}
