//! What training lowers, over the outputs of a batch, and its gradient: as `torch.nn.CrossEntropyLoss` and
//! `torch.nn.MSELoss` compute them.

use kinglet_kernels::portable::cross_entropy_f32;

use super::tally::Outcome;
use crate::evaluate::argmax;

/// What training lowers.
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// Of logits, against the classes of the samples.
    CrossEntropy(CrossEntropy),
    /// The mean square of the outputs' distances from what they ought to be.
    SquaredError,
}

/// The settings of a cross-entropy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrossEntropy {
    /// This part of a sample's target is shared equally by all classes.
    pub label_smoothing: f32,
    /// How much a sample of each class counts; 1 where there are none. A batch's loss is the mean with these weights.
    pub class_weights: Vec<f32>,
}

impl Default for Loss {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropy::default())
    }
}

/// What the outputs of a batch ought to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers<'a> {
    /// The class of each sample.
    pub(super) labels: &'a [usize],
    /// All outputs of each sample, where the loss is of values.
    pub(super) targets: &'a [f32],
}

impl Loss {
    /// The loss by which a network is judged: without label smoothing.
    pub(super) fn of_evaluation(&self) -> Self {
        match self {
            Self::CrossEntropy(of) => Self::CrossEntropy(CrossEntropy {
                label_smoothing: 0.0,
                class_weights: of.class_weights.clone(),
            }),
            Self::SquaredError => Self::SquaredError,
        }
    }

    /// How much a sample of class `label` counts.
    pub(super) fn weight(&self, label: usize) -> f32 {
        match self {
            Self::CrossEntropy(of) => of.class_weights.get(label).copied().unwrap_or(1.0),
            Self::SquaredError => 1.0,
        }
    }

    /// What the loss of each sample is multiplied by in the batch's: 1 over the sum of their weights.
    pub(super) fn share(&self, labels: &[usize]) -> f32 {
        1.0 / labels.iter().map(|&label| self.weight(label)).sum::<f32>()
    }

    /// Writes the gradient of the mean loss of a batch, `len` outputs of each sample, and tells what each sample came to
    /// with its class.
    pub(super) fn of_batch(
        &self,
        len: usize,
        outputs: &[f32],
        answers: Answers,
        d_outputs: &mut [f32],
        mut each: impl FnMut(usize, Outcome),
    ) {
        let share = self.share(answers.labels);
        let samples = outputs.chunks(len).zip(d_outputs.chunks_mut(len));
        for (sample, ((outputs, d), &label)) in samples.zip(answers.labels).enumerate() {
            let outcome = match self {
                Self::CrossEntropy(of) => of.of_sample(outputs, label, d),
                Self::SquaredError => {
                    let target = answers.targets.get(sample * len..).unwrap_or_default();
                    squared_error(outputs, target, d)
                }
            };
            d.iter_mut().for_each(|d| *d *= share);
            each(label, outcome);
        }
    }
}

impl CrossEntropy {
    fn of_sample(&self, logits: &[f32], label: usize, d_logits: &mut [f32]) -> Outcome {
        let mut loss = cross_entropy_f32(logits, label, d_logits);
        let mut weight = 1.0;
        if let (Some(&of_class), Some(&own)) = (logits.get(label), self.class_weights.get(label)) {
            weight = own;
            loss = self.weigh(logits, label, (loss, of_class), d_logits);
        } else if self.label_smoothing > 0.0 {
            loss += smooth(self.label_smoothing, logits, label, d_logits);
        }
        Outcome {
            loss,
            weight,
            correct: argmax(logits) == Some(label),
        }
    }

    /// The loss and its gradient with the weights of the classes, of those without: the class has its part of the target
    /// with its own weight, and each class its part of what is shared with its own.
    fn weigh(
        &self,
        logits: &[f32],
        label: usize,
        (loss, of_class): (f32, f32),
        d_logits: &mut [f32],
    ) -> f32 {
        let weights = &self.class_weights;
        let share = self.label_smoothing / logits.len() as f32;
        let kept = (1.0 - self.label_smoothing) * weights[label];
        let total: f32 = weights.iter().sum();
        let mut of_all = 0.0;
        for (class, (d, (x, weight))) in d_logits
            .iter_mut()
            .zip(logits.iter().zip(weights))
            .enumerate()
        {
            let probability = if class == label { *d + 1.0 } else { *d };
            *d = kept * *d + share * (probability * total - weight);
            of_all += weight * (loss + (of_class - x));
        }
        kept * loss + share * of_all
    }
}

/// What label smoothing adds to the cross-entropy of one sample, and to its gradient: the target goes from 1 for the
/// class to `1 - smoothing` for it and `smoothing` shared by all.
fn smooth(smoothing: f32, logits: &[f32], label: usize, d_logits: &mut [f32]) -> f32 {
    let Some(&of_class) = logits.get(label) else {
        return 0.0;
    };
    let share = smoothing / logits.len() as f32;
    d_logits.iter_mut().for_each(|d| *d -= share);
    d_logits[label] += smoothing;
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    smoothing * (of_class - mean)
}

/// The mean of the squares of `outputs - target`, and its gradient.
fn squared_error(outputs: &[f32], target: &[f32], d_outputs: &mut [f32]) -> Outcome {
    let count = outputs.len() as f32;
    let mut sum = 0.0;
    for (d, (output, target)) in d_outputs.iter_mut().zip(outputs.iter().zip(target)) {
        let distance = output - target;
        sum += distance * distance;
        *d = 2.0 * distance / count;
    }
    Outcome {
        loss: sum / count,
        weight: 1.0,
        correct: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PyTorch computes: `make_losses.py` says what is in it.
    const GOLDEN: &str = include_str!("../../../tests/golden/losses.toml");

    #[derive(serde::Deserialize)]
    struct Golden {
        cross_entropy: Vec<OfClasses>,
        squared_error: Vec<OfValues>,
        adam_w: Vec<Steps>,
    }

    #[derive(serde::Deserialize)]
    struct OfClasses {
        logits: Vec<Vec<f32>>,
        labels: Vec<usize>,
        class_weights: Vec<f32>,
        label_smoothing: f32,
        loss: f64,
        gradient: Vec<Vec<f32>>,
    }

    #[derive(serde::Deserialize)]
    struct OfValues {
        outputs: Vec<Vec<f32>>,
        targets: Vec<Vec<f32>>,
        loss: f64,
        gradient: Vec<Vec<f32>>,
    }

    #[derive(serde::Deserialize)]
    struct Steps {
        lr: f32,
        betas: [f32; 2],
        eps: f32,
        weight_decay: f32,
        first: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        after: Vec<Vec<f32>>,
    }

    fn golden() -> Golden {
        toml::from_str(GOLDEN).unwrap()
    }

    fn check(
        loss: &Loss,
        outputs: &[Vec<f32>],
        answers: Answers,
        right: f64,
        gradient: &[Vec<f32>],
    ) {
        let len = outputs[0].len();
        let mut d = vec![f32::NAN; outputs.len() * len];
        let mut tally = crate::train::Tally::default();
        loss.of_batch(len, &outputs.concat(), answers, &mut d, |_, outcome| {
            tally.add(outcome);
        });
        let found = tally.mean_loss();
        assert!(
            (found - right).abs() < 1e-6,
            "{loss:?}: {found}, not {right}"
        );
        for (found, right) in d.iter().zip(gradient.concat()) {
            assert!(
                (found - right).abs() < 1e-6,
                "{loss:?}: {found}, not {right}"
            );
        }
    }

    #[test]
    fn losses_are_those_of_pytorch() {
        let golden = golden();
        assert_eq!(
            (golden.cross_entropy.len(), golden.squared_error.len()),
            (4, 1)
        );
        for of in &golden.cross_entropy {
            let loss = Loss::CrossEntropy(CrossEntropy {
                label_smoothing: of.label_smoothing,
                class_weights: of.class_weights.clone(),
            });
            let answers = Answers {
                labels: &of.labels,
                targets: &[],
            };
            check(&loss, &of.logits, answers, of.loss, &of.gradient);
        }
        for of in &golden.squared_error {
            let targets = of.targets.concat();
            let answers = Answers {
                labels: &vec![0; of.outputs.len()],
                targets: &targets,
            };
            check(
                &Loss::SquaredError,
                &of.outputs,
                answers,
                of.loss,
                &of.gradient,
            );
        }
    }

    #[test]
    fn steps_of_adam_w_are_those_of_pytorch() {
        use kinglet::train::{Adam, AdamW, Optimizer};

        let golden = golden();
        assert_eq!(
            golden.adam_w[0].weight_decay,
            AdamW::new(0.01).0.weight_decay
        );
        for of in golden.adam_w {
            let adam_w = AdamW(Adam {
                learning_rate: of.lr,
                beta1: of.betas[0],
                beta2: of.betas[1],
                epsilon: of.eps,
                weight_decay: of.weight_decay,
            });
            let mut weights = of.first.clone();
            let mut state = vec![0.0; 2 * weights.len()];
            for (number, (gradients, after)) in (1..).zip(of.gradients.iter().zip(&of.after)) {
                let gradients = gradients.iter().copied();
                adam_w.update(adam_w.step(number), &mut weights, gradients, &mut state);
                for (found, right) in weights.iter().zip(after) {
                    assert!(
                        (found - right).abs() < 1e-6,
                        "step {number}: {found}, not {right}"
                    );
                }
            }
        }
    }

    #[test]
    fn smoothed_losses_are_those_of_pytorch() {
        // torch.nn.CrossEntropyLoss(label_smoothing=0.1) of these logits, and its gradient.
        let (logits, label) = ([1.5_f32, -0.25, 0.75, -2.0], 2);
        let mut d_logits = [0.0; 4];
        let mut loss = cross_entropy_f32(&logits, label, &mut d_logits);
        loss += smooth(0.1, &logits, label, &mut d_logits);
        let right = 1.3416115_f32;
        let gradient = [0.5715384_f32, 0.0786628_f32, -0.6432152_f32, -0.0069861_f32];
        assert!((loss - right).abs() < 1e-6, "{loss}");
        for (found, right) in d_logits.iter().zip(gradient) {
            assert!((found - right).abs() < 1e-6, "{d_logits:?}");
        }
    }
}
