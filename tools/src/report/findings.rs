//! What a report tells in numbers: totals, classes, the confusion matrix, and the mistakes.

use serde::Serialize;

use crate::evaluate::Prediction;

/// Pairs of classes that are listed as most confused.
const LISTED_PAIRS: usize = 10;

/// How one class came off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFindings {
    /// Its name.
    pub label: String,
    /// Pictures of it.
    pub pictures: usize,
    /// Those that were predicted as it.
    pub correct: usize,
    /// Pictures of any class that were predicted as it.
    pub predicted: usize,
    /// Right among the pictures of the class, which is the class's accuracy; none without pictures.
    pub recall: Option<f64>,
    /// Right among the pictures predicted as it; none if none was.
    pub precision: Option<f64>,
    /// Harmonic mean of both; none where one of them is missing.
    pub f1: Option<f64>,
}

/// Two classes, one taken for the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confused {
    /// The class that is right.
    pub label: String,
    /// The class it was taken for.
    pub predicted: String,
    /// How often.
    pub count: usize,
    /// As a fraction of the pictures of `label`.
    pub share: f64,
}

/// A picture that was taken for something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// Its place in the part of the data set, from 0.
    pub index: usize,
    /// Its file within the data set's folder, where it has one of its own.
    pub file: Option<String>,
    /// The class that is right.
    pub label: String,
    /// The class it was taken for.
    pub predicted: String,
    /// The probability of `predicted`.
    pub probability: f64,
    /// Cross-entropy.
    pub loss: f64,
}

/// How a network did on a part of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// Pictures.
    pub pictures: usize,
    /// Those whose largest output was that of their class.
    pub correct: usize,
    /// Their fraction.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// By class.
    pub classes: Vec<ClassFindings>,
    /// Pictures with NaN among their outputs, which are of no class.
    pub undecided: usize,
    /// Pictures by the class that is right (rows) and the class predicted (columns), but for the undecided.
    pub confusion: Vec<Vec<usize>>,
    /// The pairs most often confused, the most frequent first.
    pub confused: Vec<Confused>,
    /// The mistakes with the largest loss, the worst first.
    pub mistakes: Vec<Mistake>,
}

impl Findings {
    /// Sums up predictions for classes named `labels`; keeps the `mistakes` worst mistakes.
    pub(super) fn new(labels: &[String], predictions: &[Prediction], mistakes: usize) -> Self {
        let mut confusion = vec![vec![0; labels.len()]; labels.len()];
        let mut pictures = vec![0; labels.len()];
        for prediction in predictions {
            pictures[prediction.class] += 1;
            if let Some(predicted) = prediction.predicted {
                confusion[prediction.class][predicted] += 1;
            }
        }
        let correct = (0..labels.len()).map(|class| confusion[class][class]).sum();
        let count = predictions.len().max(1) as f64;
        Self {
            pictures: predictions.len(),
            undecided: predictions.iter().filter(|p| p.predicted.is_none()).count(),
            correct,
            accuracy: correct as f64 / count,
            loss: predictions.iter().map(|p| p.loss).sum::<f64>() / count,
            classes: classes(labels, &pictures, &confusion),
            confused: confused(labels, &pictures, &confusion),
            mistakes: worst(predictions, mistakes)
                .into_iter()
                .map(|p| Mistake {
                    index: p.index,
                    file: None,
                    label: labels[p.class].clone(),
                    predicted: p.predicted.map_or("NaN", |class| &labels[class]).to_owned(),
                    probability: p.probability,
                    loss: p.loss,
                })
                .collect(),
            confusion,
        }
    }
}

impl Findings {
    /// The names of the classes.
    pub(super) fn labels(&self) -> Vec<String> {
        self.classes.iter().map(|c| c.label.clone()).collect()
    }
}

fn classes(labels: &[String], pictures: &[usize], confusion: &[Vec<usize>]) -> Vec<ClassFindings> {
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let class = |(class, label): (usize, &String)| {
        let (correct, pictures) = (confusion[class][class], pictures[class]);
        let predicted = confusion.iter().map(|row| row[class]).sum();
        let (recall, precision) = (share(correct, pictures), share(correct, predicted));
        ClassFindings {
            label: label.clone(),
            pictures,
            correct,
            predicted,
            recall,
            precision,
            f1: recall
                .and(precision)
                .and(share(2 * correct, pictures + predicted)),
        }
    };
    labels.iter().enumerate().map(class).collect()
}

fn confused(labels: &[String], pictures: &[usize], confusion: &[Vec<usize>]) -> Vec<Confused> {
    let mut pairs = Vec::new();
    for (class, row) in confusion.iter().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            if count > 0 && predicted != class {
                pairs.push(Confused {
                    label: labels[class].clone(),
                    predicted: labels[predicted].clone(),
                    count,
                    share: count as f64 / pictures[class] as f64,
                });
            }
        }
    }
    // Stable: pairs of equal count stay in the order of the classes.
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
    pairs.truncate(LISTED_PAIRS);
    pairs
}

/// The `count` wrong predictions with the largest loss; of equals the first.
fn worst(predictions: &[Prediction], count: usize) -> Vec<Prediction> {
    let wrong = predictions.iter().filter(|p| p.predicted != Some(p.class));
    let mut wrong: Vec<Prediction> = wrong.copied().collect();
    wrong.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.index.cmp(&b.index)));
    wrong.truncate(count);
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(index: usize, class: usize, predicted: usize, loss: f64) -> Prediction {
        Prediction {
            index,
            class,
            predicted: Some(predicted),
            probability: 0.5,
            loss,
        }
    }

    fn findings() -> Findings {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let predictions = [
            prediction(0, 0, 0, 0.1),
            prediction(1, 0, 1, 2.0),
            prediction(2, 1, 1, 0.3),
            prediction(3, 1, 0, 5.0),
            prediction(4, 0, 1, 2.0),
            prediction(5, 0, 0, 9.0),
        ];
        Findings::new(&labels, &predictions, 2)
    }

    #[test]
    fn counts_add_up() {
        let found = findings();
        assert_eq!(
            found.confusion,
            [vec![2, 2, 0], vec![1, 1, 0], vec![0, 0, 0]]
        );
        assert_eq!((found.pictures, found.correct), (6, 3));
        assert!((found.loss - 18.4 / 6.0).abs() < 1e-12);
        let sum = |count: fn(&ClassFindings) -> usize| found.classes.iter().map(count).sum();
        let sums: [usize; 3] = [
            sum(|c| c.pictures),
            sum(|c| c.predicted),
            sum(|c| c.correct),
        ];
        assert_eq!(sums, [6, 6, 3]);
    }

    #[test]
    fn recall_and_precision_are_missing_where_there_is_nothing_to_divide_by() {
        let found = findings();
        let (a, c) = (&found.classes[0], &found.classes[2]);
        assert_eq!(
            (a.recall, a.precision, a.f1),
            (Some(0.5), Some(2.0 / 3.0), Some(4.0 / 7.0))
        );
        assert_eq!((c.recall, c.precision, c.f1), (None, None, None));
    }

    #[test]
    fn what_is_no_number_is_of_no_class() {
        let labels = ["a", "b"].map(str::to_owned);
        let nan = Prediction {
            predicted: None,
            ..prediction(1, 0, 0, f64::NAN)
        };
        let found = Findings::new(&labels, &[prediction(0, 0, 0, 0.1), nan], 2);
        assert_eq!((found.pictures, found.correct, found.undecided), (2, 1, 1));
        assert_eq!(found.confusion, [[1, 0], [0, 0]]);
        assert_eq!(
            (found.classes[0].pictures, found.classes[0].recall),
            (2, Some(0.5))
        );
        assert_eq!(found.mistakes[0].predicted, "NaN");
    }

    #[test]
    fn the_worst_mistakes_come_first_and_right_answers_not_at_all() {
        let indices: Vec<usize> = findings().mistakes.iter().map(|m| m.index).collect();
        assert_eq!(indices, [3, 1]);
    }

    #[test]
    fn the_most_frequent_confusion_comes_first() {
        let found = findings();
        let pairs: Vec<_> = found
            .confused
            .iter()
            .map(|c| (c.label.as_str(), c.predicted.as_str(), c.count, c.share))
            .collect();
        assert_eq!(pairs, [("a", "b", 2, 0.5), ("b", "a", 1, 0.5)]);
    }
}
