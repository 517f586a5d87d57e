//! Why training could not start, or stopped.

use std::path::PathBuf;

use kinglet_kernels::Shape;

use super::CheckpointError;
use crate::dataset::{BUILT_IN, DatasetError};
use crate::file::WriteError;
use crate::recipe::{ChannelsFirst, RecipeError};

/// Why training could not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe is wrong, or its network cannot learn classes.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The data set is wrong.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A checkpoint could not be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The folder holds a run already.
    #[error(
        "{} holds a training run already: continue it with --resume, choose another folder, \
         or replace it with --force", path.display()
    )]
    FolderTaken {
        /// The folder.
        path: PathBuf,
    },
    /// Another run writes into the folder.
    #[error("{} is being written by another run: wait for its end, or choose another folder", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A network that training has no steps for.
    #[error("{node} cannot be trained: {reason}")]
    Untrainable {
        /// The node in the way.
        node: String,
        /// Why.
        reason: &'static str,
    },
    /// The system does not give that many threads.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        source: rayon::ThreadPoolBuildError,
    },
    /// The device failed, at the start or in the middle of a run.
    #[cfg(feature = "opencl")]
    #[error(
        "the OpenCL device failed: {0}; on the CPU the run goes on from its last checkpoint with --device cpu \
         --resume-elsewhere"
    )]
    Device(#[from] kinglet::opencl::OpenClError),
    /// Pictures of another shape than the network's input.
    #[error(
        "the recipe's input is {}, but the {noun} of {source_name} are {} (channels, height, width): {}",
        ChannelsFirst(*network), ChannelsFirst(*pictures), other_shape(*network, *pictures, source_name)
    )]
    PictureShape {
        /// The network's input.
        network: Shape,
        /// The pictures.
        pictures: Shape,
        /// What they are called.
        noun: &'static str,
        /// The data set.
        source_name: String,
    },
    /// Transforms of what is no picture.
    #[error(
        "{source_name} holds features, not pictures: transforms under [data] work on pictures only; leave them out"
    )]
    TransformedFeatures {
        /// The data set.
        source_name: String,
    },
    /// Normalization of what is no picture.
    #[error(
        "{source_name} holds features (float32), which the network sees as they are: normalize under [data] is for pictures (uint8); leave it out, and normalize the arrays themselves"
    )]
    NormalizedFeatures {
        /// The data set.
        source_name: String,
    },
    /// Another number of classes than the network's outputs.
    #[error(
        "the network has {outputs} outputs, but {source_name} has {classes} classes: {}end with {classes} outputs",
        forgotten_data(source_name)
    )]
    Classes {
        /// The network's outputs.
        outputs: usize,
        /// Classes of the data set.
        classes: usize,
        /// The data set.
        source_name: String,
    },
    /// Another number of classes than a trained network has outputs.
    #[error(
        "the trained network has {outputs} outputs, but {source_name} has {classes} classes: {}--classes {classes} gives \
         it a new last layer of as many",
        forgotten_data(source_name)
    )]
    BaseClasses {
        /// The network's outputs.
        outputs: usize,
        /// Classes of the data set.
        classes: usize,
        /// The data set.
        source_name: String,
    },
    /// Another number of targets than the network has outputs.
    #[error(
        "the network has {outputs} outputs, but {}", targets(*found, *is_input, source_name)
    )]
    Targets {
        /// The network's outputs.
        outputs: usize,
        /// Numbers for each sample; none where it has a class.
        found: Option<usize>,
        /// Whether they are the sample itself.
        is_input: bool,
        /// The data set.
        source_name: String,
    },
    /// The loss is not a number any more.
    #[error(
        "the loss became {loss} in epoch {epoch}, batch {batch}: try a smaller learning rate (it was {learning_rate}), \
         and pictures normalized to about -1 to 1 ([data] normalize)"
    )]
    Diverged {
        /// The loss: NaN or infinite.
        loss: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The batch in it, from 1.
        batch: usize,
        /// The step's learning rate.
        learning_rate: f64,
    },
}

/// What the outputs ought to be, where those are others.
fn targets(found: Option<usize>, is_input: bool, source_name: &str) -> String {
    match found {
        Some(found) if is_input => {
            format!("its input has {found} values: with target = \"input\" it must end in as many")
        }
        Some(found) => {
            format!("{source_name} has {found} numbers for each sample: end with as many outputs")
        }
        None => format!(
            "{source_name} has a class for each sample and no numbers that they ought to be: NumPy arrays have them \
             (y_train.npy of float32), or target = \"input\" under [train] takes the sample itself"
        ),
    }
}

/// What to do about samples of another shape than the network's input.
fn other_shape(network: Shape, pictures: Shape, source_name: &str) -> String {
    let Shape {
        height,
        width,
        channels,
    } = pictures;
    let input = match pictures == Shape::vector(channels) {
        true => format!("write input = [{channels}]"),
        false => format!("write input = [{channels}, {height}, {width}]"),
    };
    let forgotten = forgotten_data(source_name);
    if !forgotten.is_empty() {
        return forgotten + &input;
    }
    let resize = match network.channels == channels && input.contains(',') {
        true => format!(
            ", resize = [{}, {}] under [data]",
            network.height, network.width
        ),
        false => String::new(),
    };
    format!("{input}{resize} or choose another data set")
}

/// The built-in data set is taken where `--data` is absent, and what does not fit it was hardly meant for it.
fn forgotten_data(source_name: &str) -> String {
    match source_name {
        BUILT_IN => "that is the built-in data set, which is taken without --data: was --data DIR \
                     forgotten? Otherwise "
            .to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_error(network: Shape, pictures: Shape, source_name: &str) -> String {
        TrainError::PictureShape {
            network,
            pictures,
            noun: "pictures",
            source_name: source_name.to_owned(),
        }
        .to_string()
    }

    #[test]
    fn a_forgotten_data_set_is_guessed() {
        let (photo, gray) = (Shape::new(32, 32, 3), Shape::new(28, 28, 1));
        assert_eq!(
            shape_error(photo, gray, BUILT_IN),
            "the recipe's input is 3x32x32, but the pictures of embedded part of Fashion-MNIST are 1x28x28 \
             (channels, height, width): that is the built-in data set, which is taken without --data: was --data \
             DIR forgotten? Otherwise write input = [1, 28, 28]"
        );
        let classes = TrainError::Classes {
            outputs: 2,
            classes: 10,
            source_name: BUILT_IN.to_owned(),
        };
        assert!(classes.to_string().contains("was --data DIR forgotten?"));
    }

    #[test]
    fn samples_of_another_shape_say_what_would_be_right() {
        let (small, large) = (Shape::new(28, 28, 3), Shape::new(32, 32, 3));
        let text = shape_error(large, small, "data set x");
        assert!(
            text.ends_with(": write input = [3, 28, 28], resize = [32, 32] under [data] or choose another data set"),
            "{text}"
        );
        let text = shape_error(large, Shape::vector(49), "data set x");
        assert!(
            text.ends_with(": write input = [49] or choose another data set"),
            "{text}"
        );
    }
}
