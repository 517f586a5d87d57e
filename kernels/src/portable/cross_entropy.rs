//! Cross-entropy of one sample's logits `[classes]` against the class it belongs to: the loss that
//! training on a host and on the device share.

use super::softmax::softmax_of_run;
use crate::lengths;

/// Returns `log(sum over i of exp(logits[i])) - logits[class]` and writes its gradient, softmax minus
/// one-hot, to `d_logits`. The largest logit is subtracted first, so no logits overflow.
///
/// If there is no such class the loss is NaN and the gradient zero.
pub fn cross_entropy_f32(logits: &[f32], class: usize, d_logits: &mut [f32]) -> f32 {
    d_logits.fill(0.0);
    let Some(&of_class) = logits.get(class) else {
        return f32::NAN;
    };
    if !lengths::same("d_logits", d_logits, logits) {
        return f32::NAN;
    }
    for (d, &x) in d_logits.iter_mut().zip(logits) {
        *d = x;
    }
    let (max, sum) = softmax_of_run(d_logits);
    if let Some(d) = d_logits.get_mut(class) {
        *d -= 1.0;
    }
    libm::logf(sum) - (of_class - max)
}
