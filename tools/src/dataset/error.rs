//! Why a data set could not be read.

use std::io;
use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;

use super::ArrayProblem;
use crate::picture::PictureError;

/// What a data set can be, for whoever gave something else.
const KINDS: &str = "a data set is IDX files (train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz]), \
    NumPy arrays (x_train.npy, y_train.npy, or one .npz), CIFAR-10's binary batches (data_batch_1.bin, ...) \
    or a folder of PNG or JPEG files for each class (train/CLASS/*.png)";

/// Names that are listed in a message.
const LISTED: usize = 12;

/// Why a data set could not be read: the file, what was found and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The system could not read a file or folder.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder without anything that is understood.
    #[error(
        "{}: {}; {KINDS}",
        path.display(),
        if *empty { "there is no file in this folder" } else { "no data set is in this folder" }
    )]
    NoData {
        /// The folder.
        path: PathBuf,
        /// Whether it holds no file at all.
        empty: bool,
    },
    /// The data set is in a folder of the folder.
    #[error("{}: the data set is further inside, in {}", path.display(), inside.display())]
    Inside {
        /// The folder.
        path: PathBuf,
        /// The one that holds a data set.
        inside: PathBuf,
    },
    /// CIFAR-10 in its Python version.
    #[error(
        "{}: these are CIFAR-10's batches for Python (pickled); get its binary version, cifar-10-binary.tar.gz",
        path.display()
    )]
    Pickled {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is no data set.
    #[error("{}: one file can be a data set if it is .npz or a CIFAR-10 .bin; otherwise give the folder", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
    },
    /// A link that leads to a folder in which it lies.
    #[error("{}: this link leads back to {}, in which it lies", path.display(), ancestor.display())]
    Circle {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        ancestor: PathBuf,
    },
    /// A picture could not be used.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Pictures of different sizes.
    #[error(
        "pictures of different sizes (height x width): {} is {} x {}, {} is {} x {}; write \
         resize = [height, width] under [data] in the recipe, or give --resize where a model says the size",
        first.display(), first_size[0], first_size[1], other.display(), other_size[0], other_size[1]
    )]
    Sizes {
        /// The first picture.
        first: PathBuf,
        /// Its rows and columns.
        first_size: [usize; 2],
        /// The first one of another size.
        other: PathBuf,
        /// Its rows and columns.
        other_size: [usize; 2],
    },
    /// A part without a class folder.
    #[error("{}: no class folder is here; pictures lie in a folder for each class", path.display())]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// A class folder without a picture.
    #[error("{}: no .png, .jpg or .jpeg file is in this class folder; remove it or fill it", path.display())]
    EmptyClass {
        /// The folder.
        path: PathBuf,
    },
    /// A class folder whose name cannot be a class name.
    #[error("{}: the folder's name is not UTF-8, so it cannot name a class; rename it", path.display())]
    ClassName {
        /// The folder.
        path: PathBuf,
    },
    /// A class that is not among those that are known.
    #[error("{}: there is no such class; the classes are {}", path.display(), shortened(known))]
    UnknownClass {
        /// The folder.
        path: PathBuf,
        /// The classes.
        known: Vec<String>,
    },
    /// More classes than a label can tell apart.
    #[error("{source_name}: {found} classes; at most 256 can be told apart")]
    TooManyClasses {
        /// The data set.
        source_name: String,
        /// Classes found.
        found: usize,
    },
    /// A picture of a format that is not read.
    #[error("{}: pictures of this format are not read; convert it to PNG or JPEG, or remove it", path.display())]
    ForeignPicture {
        /// The file.
        path: PathBuf,
    },
    /// A data set that is larger than the memory.
    #[error(
        "{source_name}: {count} pictures of {shape} do not fit into memory; write resize = [height, width] under [data]"
    )]
    Memory {
        /// The data set.
        source_name: String,
        /// Pictures found.
        count: usize,
        /// Shape of one.
        shape: Shape,
    },
    /// An array that is not what it should be.
    #[error("{array}: {problem}")]
    Array {
        /// The file, and the array's name in it.
        array: String,
        /// What is wrong.
        problem: ArrayProblem,
    },
    /// No array under a name that is known.
    #[error(
        "{}: a data set has the arrays x_train, y_train, x_test, y_test, or x and y; here are {}",
        path.display(), shortened(found)
    )]
    NoArrays {
        /// The folder or file.
        path: PathBuf,
        /// The arrays that are there.
        found: Vec<String>,
    },
    /// Samples without labels, or labels without samples.
    #[error("{}: the array {found} is here, but {missing} is not", path.display())]
    MissingArray {
        /// The folder or file.
        path: PathBuf,
        /// The array that is there.
        found: &'static str,
        /// The one that belongs to it.
        missing: &'static str,
    },
    /// Several archives, each of which may be meant.
    #[error("{}: {first} and {second} are both here; give the one that is meant", path.display())]
    Archives {
        /// The folder.
        path: PathBuf,
        /// One.
        first: String,
        /// Another.
        second: String,
    },
    /// Something that only pictures allow.
    #[error(
        "the samples are no pictures (uint8) but features (float32); only pictures can be {what}"
    )]
    NotImages {
        /// What was asked for, as a participle.
        what: &'static str,
    },
    /// One of a pair of files is not there.
    #[error("{}: {found} is here, but {missing}[.gz] is not", path.display())]
    MissingFile {
        /// The folder.
        path: PathBuf,
        /// The file that is there.
        found: String,
        /// The one that belongs to it.
        missing: &'static str,
    },
    /// A file without a single picture.
    #[error("{}: there is no sample in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file that does not begin as it should.
    #[error("{}: begins with {found:#010x}, but {what} begin with {right:#010x}", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first four bytes.
        found: u32,
        /// What they should be.
        right: u32,
        /// What kind of file was expected, in the plural.
        what: &'static str,
    },
    /// A file shorter than its header says.
    #[error("{}: truncated: {found} bytes of {right} are there", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes found (after decompression).
        found: u64,
        /// Bytes that should be there.
        right: u64,
    },
    /// A file longer than its header says.
    #[error("{}: goes on after the {right} bytes that its header announces", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes that should be there.
        right: u64,
    },
    /// A header with sizes that no data set has.
    #[error("{}: its header announces pictures of {height} x {width}; at most {limit} x {limit} are read", path.display())]
    Extent {
        /// The file.
        path: PathBuf,
        /// Rows announced.
        height: u32,
        /// Columns announced.
        width: u32,
        /// The limit.
        limit: u32,
    },
    /// A different number of labels and pictures.
    #[error("{}: {labels} labels for {images} samples; there must be one for each", path.display())]
    Counts {
        /// The file of the labels.
        path: PathBuf,
        /// Labels found.
        labels: usize,
        /// Pictures found.
        images: usize,
    },
    /// A batch file that is not a whole number of records.
    #[error(
        "{}: {found} bytes are not a whole number of CIFAR-10 records of {record} bytes (truncated?)",
        path.display()
    )]
    Records {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// Length of one record.
        record: usize,
    },
    /// A label that CIFAR-10 does not have.
    #[error("{}: record {record} has label {label}, but CIFAR-10 has 0 to 9: is it another format?", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Number of the record, from 0.
        record: usize,
        /// Its label.
        label: u8,
    },
    /// Training and test pictures of different shape.
    #[error(
        "{source_name}: the training samples are {train}, the test samples {test}; they must have one shape"
    )]
    TestShape {
        /// The data set.
        source_name: String,
        /// Shape of the training pictures.
        train: Shape,
        /// Shape of the test pictures.
        test: Shape,
    },
    /// A label beyond the class names.
    #[error("{source_name}: label {label} is in use, but there are only {names} class names")]
    LabelWithoutName {
        /// The data set.
        source_name: String,
        /// The largest label.
        label: usize,
        /// Number of names.
        names: usize,
    },
    /// A validation fraction that leaves one of the parts empty.
    #[error(
        "validation = {fraction} of {count} samples leaves none to {}; \
         choose a fraction from {} to {}",
        if *fraction < 0.5 { "validate with" } else { "train on" },
        1.0 / *count as f64,
        1.0 - 1.0 / *count as f64
    )]
    Split {
        /// The fraction asked for.
        fraction: f64,
        /// Samples to split.
        count: usize,
    },
}

impl DatasetError {
    /// An error on the way through `folder`.
    pub(super) fn walk(folder: &Path, error: walkdir::Error) -> Self {
        let path = error.path().unwrap_or(folder).to_owned();
        match error.loop_ancestor() {
            Some(ancestor) => Self::Circle {
                ancestor: ancestor.to_owned(),
                path,
            },
            None => Self::Read {
                path,
                source: error.into(),
            },
        }
    }
}

/// The first names of a list.
fn shortened(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() <= LISTED => names.join(", "),
        names => format!(
            "{}, ... ({} in all)",
            names[..LISTED].join(", "),
            names.len()
        ),
    }
}
