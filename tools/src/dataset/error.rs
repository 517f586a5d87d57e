//! Why a data set could not be read.

use std::io;
use std::path::PathBuf;

use kinglet_kernels::Shape;

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
    /// A folder without any file that is understood.
    #[error(
        "{}: {}; a data set is IDX files (train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz]) \
         or CIFAR-10 batches (data_batch_1.bin, ...)",
        path.display(),
        if *empty { "the folder is empty" } else { "no data set is in this folder" }
    )]
    NoData {
        /// The folder.
        path: PathBuf,
        /// Whether it holds no file at all.
        empty: bool,
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
    #[error("{}: there is no picture in it", path.display())]
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
    #[error("{}: {labels} labels for {images} pictures; there must be one for each", path.display())]
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
        "{source_name}: the training pictures are {train}, the test pictures {test}; they must have one shape"
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
        "validation = {fraction} of {count} pictures leaves no picture to {}; \
         choose a fraction from {} to {}",
        if *fraction < 0.5 { "validate with" } else { "train on" },
        1.0 / *count as f64,
        1.0 - 1.0 / *count as f64
    )]
    Split {
        /// The fraction asked for.
        fraction: f64,
        /// Pictures to split.
        count: usize,
    },
}
