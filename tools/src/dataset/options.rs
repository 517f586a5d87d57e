//! What the files of a data set leave open, and the network settles.

use kinglet::Model;
use kinglet_kernels::Shape;

use crate::array_layout::{ArrayLayout, Layout};
use crate::picture::Fit;
use crate::recipe::{LossSettings, Recipe, Target};

/// What the network takes: it settles how a data set is read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// The network's input. Picture files are brought to its number of channels, and it tells NHWC arrays
    /// from NCHW ones; a data set of another shape is read all the same.
    pub input: Shape,
    /// How arrays of the network's input lie, where a model says so; others are told apart by their channels.
    pub arrays: Option<ArrayLayout>,
    /// The order of the axes that is asked for: then no other is taken.
    pub layout: Option<Layout>,
    /// Rows and columns to scale all pictures to, see [`crate::picture::resize`].
    pub resize: Option<[usize; 2]>,
    /// Names of the classes in the order of their numbers, so that a folder of that name has that number;
    /// where there is none, the folders are numbered as they are sorted.
    pub classes: Vec<String>,
    /// What arrays of NumPy have for each sample.
    pub answers: Answers,
}

/// What a data set has for each sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// A class: integers.
    Classes,
    /// What a network's outputs ought to be: numbers of any type.
    Values,
    /// Floats are such values, integers classes.
    Either,
}

impl ReadOptions {
    /// To train `recipe`'s network.
    pub fn of_recipe(recipe: &Recipe) -> Self {
        Self {
            input: recipe.graph.input(),
            arrays: None,
            layout: None,
            resize: recipe.data.resize,
            classes: recipe.classes.clone(),
            answers: match recipe.loss {
                LossSettings::CrossEntropy { .. } => Answers::Classes,
                LossSettings::SquaredError {
                    target: Target::Values,
                } => Answers::Values,
                // Whatever there is, it is not asked.
                LossSettings::SquaredError {
                    target: Target::Input,
                } => Answers::Either,
            },
        }
    }

    /// To run `model`. Pictures are scaled to its size if `fit` says so; arrays lie as in the file that the model was
    /// made from, or in the order `layout`.
    pub fn of_model(model: &Model<'_>, fit: Fit, layout: Option<Layout>) -> Self {
        let input = model.input();
        let source = model.inputs().iter().next().and_then(|first| first.source);
        let arrays = ArrayLayout::new(input, source.as_ref()).with(layout);
        let input = arrays.picture();
        Self {
            input,
            arrays: Some(arrays),
            layout,
            resize: (fit == Fit::Resize).then_some([input.height, input.width]),
            classes: (0..model.output().len())
                .map_while(|class| model.label(class).map(str::to_owned))
                .collect(),
            answers: Answers::Either,
        }
    }
}
