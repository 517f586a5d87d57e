//! What an epoch came to, and `metrics.csv`.

use serde::{Deserialize, Serialize};

/// One row of `metrics.csv`. Training and validation each have a loss and an accuracy of their own, each the
/// mean over the samples seen; those of training are of the forward passes on the way, with dropout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Mean loss of the training samples.
    pub train_loss: f64,
    /// Fraction of the training samples that were right; none where they have no classes.
    pub train_accuracy: Option<f64>,
    /// Mean loss of the validation samples; none if the recipe keeps none.
    pub validation_loss: Option<f64>,
    /// Fraction of the validation samples that were right; none where there is none of training.
    pub validation_accuracy: Option<f64>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Training samples in a second, validation apart.
    pub images_per_second: f64,
    /// Seconds that training waited for batches.
    pub loader_wait: f64,
    /// Duration of the epoch, validation included.
    pub seconds: f64,
}

/// The epochs as CSV, with a header. Of a run without classes the losses are mean squares, and have their roots beside them.
pub(super) fn to_csv(history: &[EpochMetrics], of_classes: bool) -> Vec<u8> {
    let [train, validation] = match of_classes {
        true => ["train_accuracy", "validation_accuracy"],
        false => ["train_rmse", "validation_rmse"],
    };
    let header = [
        "epoch",
        "train_loss",
        train,
        "validation_loss",
        validation,
        "learning_rate",
        "images_per_second",
        "loader_wait",
        "seconds",
    ];
    let number = |x: f64, digits: usize| format!("{x:.digits$}");
    let optional = |x: Option<f64>| x.map_or(String::new(), |x| number(x, 6));
    // Where there are classes there are accuracies, too.
    let root = |loss: Option<f64>| loss.map(f64::sqrt).filter(|_| !of_classes);
    let rows = history.iter().map(|m| {
        [
            m.epoch.to_string(),
            number(m.train_loss, 6),
            optional(m.train_accuracy.or_else(|| root(Some(m.train_loss)))),
            optional(m.validation_loss),
            optional(m.validation_accuracy.or_else(|| root(m.validation_loss))),
            m.learning_rate.to_string(),
            number(m.images_per_second, 1),
            number(m.loader_wait, 3),
            number(m.seconds, 3),
        ]
    });
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(row);
    }
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_row() {
        let metrics = EpochMetrics {
            epoch: 1,
            train_loss: 0.5,
            train_accuracy: Some(0.75),
            validation_loss: Some(0.25),
            validation_accuracy: None,
            learning_rate: 0.0125,
            images_per_second: 1234.56,
            loader_wait: 0.0625,
            seconds: 2.0,
        };
        let text = String::from_utf8(to_csv(&[metrics], true)).unwrap();
        assert_eq!(
            text,
            "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,\
             images_per_second,loader_wait,seconds\n\
             1,0.500000,0.750000,0.250000,,0.0125,1234.6,0.062,2.000\n"
        );
    }
}
