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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::Random;

    #[test]
    fn same_bits_as_reference() {
        let mut random = Random::new(21);
        for classes in 1..=33 {
            for spread in [1.0, 30.0, 1000.0] {
                let logits: Vec<f32> = random.values(classes).iter().map(|x| x * spread).collect();
                let class = random.below(classes);
                let (mut found, mut expected) = (vec![0.0; classes], vec![0.0; classes]);
                let loss = cross_entropy_f32(&logits, class, &mut found);
                let reference = reference::cross_entropy_f32(&logits, class, &mut expected);
                assert_eq!(
                    loss.to_bits(),
                    reference.to_bits(),
                    "{logits:?} class {class}"
                );
                assert_eq!(found, expected, "{logits:?} class {class}");
                assert!(loss.is_finite() && loss >= 0.0, "{loss} of {logits:?}");
            }
        }
    }

    #[test]
    fn no_such_class() {
        let mut d_logits = [1.0; 3];
        assert!(cross_entropy_f32(&[1.0, 2.0, 3.0], 3, &mut d_logits).is_nan());
        assert_eq!(d_logits, [0.0; 3]);
    }

    #[test]
    fn nan_is_seen() {
        let mut d_logits = [0.0; 2];
        assert!(cross_entropy_f32(&[f32::NAN, 1.0], 1, &mut d_logits).is_nan());
    }
}
