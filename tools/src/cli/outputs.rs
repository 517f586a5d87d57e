//! What a model made of a batch in one of its outputs: the most likely classes of each sample, or what numbers of another
//! kind range over.

use std::fmt::Write;

use kinglet::Model;
use serde::Serialize;

use crate::array_layout::ArrayLayout;
use crate::digits::grouped;
use crate::evaluate::argmax;
use crate::meaning::Meaning;

/// Samples that are printed where not all are asked for.
const SHOWN: usize = 10;

/// Outputs of a sample that are printed as they are, where they are no classes.
const FEW: usize = 4;

/// What a model made of a batch, in one of its outputs.
#[derive(Debug, Serialize)]
pub(super) struct Outputs<'a> {
    output: Output<'a>,
    samples: Vec<Sample<'a>>,
    /// The classes in the order of their numbers; empty where there are none.
    classes: Vec<Class<'a>>,
    /// All samples together.
    #[serde(skip)]
    all: Total,
    /// Values of one sample.
    #[serde(skip)]
    len: usize,
    /// How many samples are kept.
    #[serde(skip)]
    kept: usize,
    #[serde(skip)]
    labels: Vec<&'a str>,
    /// How many of the most likely classes are kept.
    #[serde(skip)]
    top: usize,
}

/// What the outputs are.
#[derive(Debug, Serialize)]
struct Output<'a> {
    name: &'a str,
    /// Shape of one sample's array.
    shape: Vec<usize>,
    meaning: Meaning,
    /// Whether the model has others.
    #[serde(skip)]
    is_one_of_several: bool,
}

/// What was made of one sample.
#[derive(Debug, Serialize)]
struct Sample<'a> {
    /// Its place in the batch, from 0.
    sample: usize,
    /// The most likely classes, the most likely first; empty where there are none, or NaN is among the outputs.
    top: Vec<Guess<'a>>,
    smallest: f32,
    mean: f32,
    largest: f32,
    /// Whether there is NaN among the outputs.
    #[serde(skip)]
    undecided: bool,
    /// All outputs, where they are no classes and few.
    #[serde(skip)]
    few: Vec<f32>,
}

/// What is known of all samples, kept or not.
#[derive(Debug)]
struct Total {
    samples: usize,
    /// With NaN among their outputs.
    undecided: usize,
    smallest: f32,
    /// Sum of their means.
    means: f64,
    largest: f32,
}

/// One of the most likely classes.
#[derive(Debug, Serialize)]
struct Guess<'a> {
    class: usize,
    label: Option<&'a str>,
    /// The model's own output.
    output: f32,
    /// The output, or what softmax makes of it.
    probability: f32,
}

/// How many samples most likely are of a class.
#[derive(Debug, Serialize)]
struct Class<'a> {
    class: usize,
    label: Option<&'a str>,
    samples: usize,
}

/// Which samples are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    All,
    /// Those that are printed where not all are asked for.
    Shown,
}

impl Total {
    fn add(&mut self, sample: &Sample<'_>) {
        self.samples += 1;
        self.undecided += usize::from(sample.undecided);
        self.smallest = self.smallest.min(sample.smallest);
        self.means += f64::from(sample.mean);
        self.largest = self.largest.max(sample.largest);
    }
}

impl<'a> Outputs<'a> {
    /// Of output number `index`, arrays of that layout, of no samples yet; `top` classes of each that is kept.
    pub(super) fn new(
        model: &Model<'a>,
        index: usize,
        layout: &ArrayLayout,
        top: usize,
        kept: Kept,
    ) -> Self {
        let meaning = Meaning::of(model, index);
        let end = model.outputs().iter().nth(index);
        let (name, labels) = end.map_or(("", ""), |end| (end.name, end.labels));
        let labels: Vec<&'a str> = labels.split_terminator('\n').collect();
        let len = layout.shape().len();
        let classes = match meaning.is_classes() {
            false => Vec::new(),
            true => (0..len)
                .map(|class| Class {
                    class,
                    label: labels.get(class).copied(),
                    samples: 0,
                })
                .collect(),
        };
        Self {
            output: Output {
                name,
                shape: layout.array().to_vec(),
                meaning,
                is_one_of_several: model.outputs().len() > 1,
            },
            samples: Vec::new(),
            all: Total {
                samples: 0,
                undecided: 0,
                smallest: f32::INFINITY,
                means: 0.0,
                largest: f32::NEG_INFINITY,
            },
            kept: match kept {
                Kept::All => usize::MAX,
                Kept::Shown => SHOWN,
            },
            classes,
            len,
            labels,
            top,
        }
    }

    /// Takes what was made of the next samples: whole arrays.
    pub(super) fn add(&mut self, outputs: &[f32]) {
        for outputs in outputs.chunks_exact(self.len) {
            let class = argmax(outputs).and_then(|class| self.classes.get_mut(class));
            if let Some(class) = class {
                class.samples += 1;
            }
            let (sample, meaning) = (self.all.samples, self.output.meaning);
            let sample = Sample::new(&self.labels, meaning, sample, outputs, self.top);
            self.all.add(&sample);
            if self.samples.len() < self.kept {
                self.samples.push(sample);
            }
        }
    }

    /// For people: a table of the samples that were kept, and of long batches a summary.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let shape = shape_text(&self.output.shape);
        if self.output.is_one_of_several {
            let _ = writeln!(text, "output {}: {shape}", self.output.name);
        } else if !self.output.meaning.is_classes() {
            let _ = writeln!(text, "output {shape}");
        }
        text += &self.header();
        for sample in &self.samples {
            text += &self.lines(sample);
        }
        let left = self.all.samples - self.samples.len();
        if left > 0 {
            let left = grouped(left as u64);
            let _ = writeln!(text, "and {left} more; --all prints them");
        }
        if self.all.samples > SHOWN {
            text += &self.summary();
        }
        text
    }

    /// Where there are several samples, the column that says which.
    fn sample_column(&self, content: impl std::fmt::Display) -> String {
        match self.all.samples {
            0 | 1 => String::new(),
            _ => format!("{content:>6}  "),
        }
    }

    fn header(&self) -> String {
        let columns = match self.output.meaning {
            Meaning::Logits => format!("{:>10}  {:>11}  class", "logit", "probability"),
            Meaning::Probabilities | Meaning::Independent => {
                format!("{:>11}  class", "probability")
            }
            Meaning::Values if self.has_few() => format!("{:>12}", "output"),
            Meaning::Values => format!("{:>12}  {:>12}  {:>12}", "smallest", "mean", "largest"),
        };
        format!("{}{columns}\n", self.sample_column("sample"))
    }

    fn has_few(&self) -> bool {
        self.samples.iter().any(|sample| !sample.few.is_empty())
    }

    fn lines(&self, sample: &Sample<'_>) -> String {
        let mut text = String::new();
        if self.output.meaning.is_classes() && sample.undecided {
            let column = self.sample_column(sample.sample);
            let _ = writeln!(text, "{column}no class: there is NaN among the outputs");
        }
        for (place, guess) in sample.top.iter().enumerate() {
            let column = match place {
                0 => self.sample_column(sample.sample),
                _ => self.sample_column(""),
            };
            let logit = match self.output.meaning {
                Meaning::Logits => format!("{:>10.4}  ", guess.output),
                _ => String::new(),
            };
            let percent = 100.0 * guess.probability;
            let name = class_name(guess.class, guess.label);
            let _ = writeln!(text, "{column}{logit}{percent:>9.2} %  {name}");
        }
        if !self.output.meaning.is_classes() {
            let numbers = match sample.few.is_empty() {
                true => vec![sample.smallest, sample.mean, sample.largest],
                false => sample.few.clone(),
            };
            let numbers: Vec<String> = numbers.iter().map(|x| format!("{x:>12.4}")).collect();
            let column = self.sample_column(sample.sample);
            let _ = writeln!(text, "{column}{}", numbers.join("  "));
        }
        text
    }

    /// All samples together.
    fn summary(&self) -> String {
        let count = self.all.samples;
        let mut text = String::new();
        if !self.output.meaning.is_classes() {
            let (smallest, largest) = (self.all.smallest, self.all.largest);
            let mean = self.all.means / count.max(1) as f64;
            let _ = writeln!(
                text,
                "all {} samples: smallest {smallest:.4}, mean {mean:.4}, largest {largest:.4}",
                grouped(count as u64)
            );
            return text;
        }
        let _ = writeln!(
            text,
            "{} samples by their most likely class:",
            grouped(count as u64)
        );
        for class in self.classes.iter().filter(|class| class.samples > 0) {
            let _ = writeln!(
                text,
                "  {:<14} {:>6}  {:>5.1} %",
                class_name(class.class, class.label),
                class.samples,
                100.0 * class.samples as f64 / count as f64
            );
        }
        let undecided = self.all.undecided;
        if undecided > 0 {
            let _ = writeln!(
                text,
                "  {:<14} {undecided:>6}  {:>5.1} %",
                "no class (NaN)",
                100.0 * undecided as f64 / count as f64
            );
        }
        text
    }
}

impl<'a> Sample<'a> {
    fn new(
        labels: &[&'a str],
        meaning: Meaning,
        sample: usize,
        outputs: &[f32],
        top: usize,
    ) -> Self {
        let sum: f64 = outputs.iter().copied().map(f64::from).sum();
        let few = !meaning.is_classes() && outputs.len() <= FEW;
        Self {
            sample,
            undecided: argmax(outputs).is_none(),
            top: match meaning.probabilities(outputs) {
                None => Vec::new(),
                Some(probabilities) => most_likely(labels, outputs, &probabilities, top),
            },
            smallest: outputs.iter().copied().fold(f32::INFINITY, f32::min),
            mean: (sum / outputs.len().max(1) as f64) as f32,
            largest: outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            few: if few { outputs.to_vec() } else { Vec::new() },
        }
    }
}

/// The `count` largest outputs, largest first; nothing if there is NaN among them.
fn most_likely<'a>(
    labels: &[&'a str],
    outputs: &[f32],
    probabilities: &[f32],
    count: usize,
) -> Vec<Guess<'a>> {
    let mut left = outputs.to_vec();
    (0..count.min(outputs.len()))
        .map_while(|_| {
            let class = argmax(&left)?;
            left[class] = f32::NEG_INFINITY;
            Some(Guess {
                class,
                label: labels.get(class).copied(),
                output: outputs[class],
                probability: probabilities[class],
            })
        })
        .collect()
}

fn class_name(class: usize, label: Option<&str>) -> String {
    label.map_or(format!("class {class}"), str::to_owned)
}

/// A shape in words.
fn shape_text(shape: &[usize]) -> String {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    match shape {
        [] | [1] => "one number".to_owned(),
        [features] => format!("{features} numbers"),
        _ => extents.join(" x "),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::export::{ExportSettings, export};
    use crate::model_file::ModelFile;
    use crate::recipe::{Normalize, Recipe};

    /// A model of two numbers with these layers behind them.
    fn model(layers: &str, labels: &[&str]) -> ModelFile {
        let text = format!("input = [2]\nlayers = [{layers}]");
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        let settings = ExportSettings {
            normalize: Normalize::identity(0),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            fine_tune_last: 0,
        };
        let graph = recipe.graph.initialized(1);
        ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap()
    }

    fn outputs<'a>(file: &'a ModelFile, values: &[f32], top: usize, kept: Kept) -> Outputs<'a> {
        let model = file.model();
        let layout = ArrayLayout::channels_first(model.output());
        let mut outputs = Outputs::new(&model, 0, &layout, top, kept);
        outputs.add(values);
        outputs
    }

    #[test]
    fn logits_come_with_percentages() {
        let file = model("\"Linear(2, 2)\"", &["left", "right"]);
        let found = outputs(&file, &[0.0, 3f32.ln()], 3, Kept::Shown);
        assert_eq!(
            found.text(),
            "     logit  probability  class\n    1.0986      75.00 %  right\n    0.0000      25.00 %  left\n"
        );
        let file = model("\"Linear(2, 2)\", \"Softmax(1)\"", &["left", "right"]);
        let found = outputs(&file, &[0.25, 0.75], 1, Kept::Shown);
        assert_eq!(found.text(), "probability  class\n    75.00 %  right\n");
    }

    #[test]
    fn long_batches_are_summed_up() {
        let file = model("\"Linear(2, 2)\"", &["left", "right"]);
        let batch: Vec<f32> = (0..12).flat_map(|i| [1.0, (i % 3) as f32]).collect();
        let found = outputs(&file, &batch, 1, Kept::Shown);
        let text = found.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "sample       logit  probability  class");
        assert_eq!(lines[3], "     2      2.0000      73.11 %  right");
        assert_eq!(
            lines[11..],
            [
                "and 2 more; --all prints them",
                "12 samples by their most likely class:",
                "  left                8   66.7 %",
                "  right               4   33.3 %",
            ]
        );
        let all = outputs(&file, &batch, 1, Kept::All);
        assert_eq!(all.text().lines().count(), 1 + 12 + 3);
    }

    #[test]
    fn what_is_no_number_is_of_no_class() {
        let file = model("\"Linear(2, 2)\"", &["left", "right"]);
        let found = outputs(&file, &[f32::NAN, 1.0, 1.0, 0.0], 1, Kept::Shown);
        assert_eq!(
            found.text(),
            "sample       logit  probability  class\n     0  no class: there is NaN among the outputs\n     1      1.0000      73.11 %  left\n"
        );
        let batch = [f32::NAN]
            .into_iter()
            .chain([1.0; 23])
            .collect::<Vec<f32>>();
        let text = outputs(&file, &batch, 1, Kept::Shown).text();
        assert!(
            text.ends_with("  left               11   91.7 %\n  no class (NaN)      1    8.3 %\n"),
            "{text}"
        );
    }

    #[test]
    fn numbers_that_are_no_classes_have_no_percentages() {
        let file = model("\"Linear(2, 1)\"", &[]);
        let found = outputs(&file, &[1.5], 3, Kept::Shown);
        assert_eq!(
            found.text(),
            "output one number\n      output\n      1.5000\n"
        );
        let file = model("\"Linear(2, 8)\", \"Linear(8, 2)\"", &[]);
        let found = outputs(&file, &[1.5, -2.0, 0.0, 1.0], 3, Kept::Shown);
        assert_eq!(
            found.text(),
            "output 2 numbers\nsample        output\n     0        1.5000       -2.0000\n     1        0.0000        1.0000\n"
        );
    }
}
