//! Why training could not start, or stopped.

use std::path::PathBuf;

use kinglet_kernels::Shape;

use super::CheckpointError;
use crate::dataset::DatasetError;
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
        "the recipe's input is {}, but the pictures of {source_name} are {} (channels, height, width): \
         write input = [{}, {}, {}]{} or choose another data set",
        ChannelsFirst(*network), ChannelsFirst(*pictures),
        pictures.channels, pictures.height, pictures.width,
        match network.channels == pictures.channels {
            true => format!(", resize = [{}, {}] under [data]", network.height, network.width),
            false => String::new(),
        }
    )]
    PictureShape {
        /// The network's input.
        network: Shape,
        /// The pictures.
        pictures: Shape,
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
    /// Another number of classes than the network's outputs.
    #[error(
        "the network has {outputs} outputs, but {source_name} has {classes} classes: end with {classes} outputs"
    )]
    Classes {
        /// The network's outputs.
        outputs: usize,
        /// Classes of the data set.
        classes: usize,
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
