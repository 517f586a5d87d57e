//! Cross-entropy of one sample's logits `[classes]` against the class it belongs to.

use super::softmax::max;
use crate::lengths;

/// Returns `log(sum over i of exp(logits[i])) - logits[class]` and writes its gradient, softmax minus
/// one-hot, to `d_logits`. The largest logit is subtracted first, so no logits overflow.
///
/// If there is no such class the loss is NaN and the gradient zero.
pub fn cross_entropy_f32(logits: &[f32], class: usize, d_logits: &mut [f32]) -> f32 {
    d_logits.fill(0.0);
    if class >= logits.len() || !lengths::same("d_logits", d_logits, logits) {
        return f32::NAN;
    }
    let max = max(logits);
    let mut sum = 0.0;
    for i in 0..logits.len() {
        d_logits[i] = libm::expf(logits[i] - max);
        sum += d_logits[i];
    }
    for d in d_logits.iter_mut() {
        *d /= sum;
    }
    d_logits[class] -= 1.0;
    libm::logf(sum) - (logits[class] - max)
}
