//! IDX, the format of MNIST and Fashion-MNIST: a big-endian header, then raw bytes; often gzip-compressed.
//!
//! Pictures: magic 0x00000803, count, height, width, then `count * height * width` bytes.
//! Labels: magic 0x00000801, count, then `count` bytes.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use kinglet_kernels::Shape;

use super::{Collection, Dataset, DatasetError, class_names, find_file};

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

/// Largest height or width: keeps a damaged header from asking for terabytes.
const MAX_EXTENT: u32 = 4096;

const TRAIN_IMAGES: &[&str] = &["train-images-idx3-ubyte", "train-images.idx3-ubyte"];
const TRAIN_LABELS: &[&str] = &["train-labels-idx1-ubyte", "train-labels.idx1-ubyte"];
const TEST_IMAGES: &[&str] = &["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"];
const TEST_LABELS: &[&str] = &["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"];

/// True for a file that only an IDX data set has.
pub(super) fn is_idx_name(name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]
        .iter()
        .any(|stems| stems.contains(&name))
}

/// Reads the parts that a folder has. With the test part alone, that is what may be trained on.
pub(super) fn open_folder(folder: &Path, names: &[String]) -> Result<Collection, DatasetError> {
    let train = open_pair(folder, names, TRAIN_IMAGES, TRAIN_LABELS)?;
    let test = open_pair(folder, names, TEST_IMAGES, TEST_LABELS)?;
    let (train, test) = match (train, test) {
        (Some(train), test) => (train, test),
        (None, Some(test)) => (test, None),
        (None, None) => {
            return Err(DatasetError::NoData {
                path: folder.to_owned(),
                empty: false,
            });
        }
    };
    Ok(Collection {
        source: folder.display().to_string(),
        train,
        validation: None,
        test,
        classes: class_names(folder, names, &["classes.txt"])?,
    })
}

fn open_pair(
    folder: &Path,
    names: &[String],
    images: &'static [&'static str],
    labels: &'static [&'static str],
) -> Result<Option<Dataset>, DatasetError> {
    let missing = |found: &Path, missing| DatasetError::MissingFile {
        path: folder.to_owned(),
        found: found
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        missing,
    };
    match (
        find_file(folder, names, images),
        find_file(folder, names, labels),
    ) {
        (None, None) => Ok(None),
        (Some(found), None) => Err(missing(&found, labels[0])),
        (None, Some(found)) => Err(missing(&found, images[0])),
        (Some(images), Some(labels)) => {
            read_pair(&images, open(&images)?, &labels, open(&labels)?).map(Some)
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>, DatasetError> {
    let file = File::open(path).map_err(|source| DatasetError::Read {
        path: path.to_owned(),
        source,
    })?;
    let reader = BufReader::new(file);
    Ok(
        if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(MultiGzDecoder::new(reader))
        } else {
            Box::new(reader)
        },
    )
}

/// Reads pictures and their labels from two streams; the paths name them in errors.
pub(super) fn read_pair(
    images_path: &Path,
    images: impl Read,
    labels_path: &Path,
    labels: impl Read,
) -> Result<Dataset, DatasetError> {
    let (shape, images) = read_images(images_path, images)?;
    let labels = read_labels(labels_path, labels)?;
    if images.is_empty() {
        return Err(DatasetError::Empty {
            path: images_path.to_owned(),
        });
    }
    Dataset::new(labels_path, shape, images, labels)
}

fn read_images(path: &Path, mut reader: impl Read) -> Result<(Shape, Vec<u8>), DatasetError> {
    let [count, height, width] = read_header(path, &mut reader, IMAGES_MAGIC, "IDX pictures")?;
    if !(1..=MAX_EXTENT).contains(&height) || !(1..=MAX_EXTENT).contains(&width) {
        return Err(DatasetError::Extent {
            path: path.to_owned(),
            height,
            width,
            limit: MAX_EXTENT,
        });
    }
    let bytes = u64::from(count) * u64::from(height) * u64::from(width);
    let images = read_body(path, reader, 16, bytes)?;
    Ok((Shape::new(height as usize, width as usize, 1), images))
}

fn read_labels(path: &Path, mut reader: impl Read) -> Result<Vec<u8>, DatasetError> {
    let [count] = read_header(path, &mut reader, LABELS_MAGIC, "IDX labels")?;
    read_body(path, reader, 8, u64::from(count))
}

/// Checks the magic number and returns the `N` extents behind it.
fn read_header<const N: usize>(
    path: &Path,
    reader: &mut impl Read,
    magic: u32,
    what: &'static str,
) -> Result<[u32; N], DatasetError> {
    let length = 4 * (N as u64 + 1);
    let header = read_up_to(path, reader, length)?;
    let mut words = header
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if let Some(found) = words.next()
        && found != magic
    {
        return Err(DatasetError::Magic {
            path: path.to_owned(),
            found,
            right: magic,
            what,
        });
    }
    let mut extents = [0; N];
    for extent in &mut extents {
        *extent = words.next().ok_or_else(|| DatasetError::Truncated {
            path: path.to_owned(),
            found: header.len() as u64,
            right: length,
        })?;
    }
    Ok(extents)
}

/// Reads exactly `bytes`, to the end of the stream.
fn read_body(
    path: &Path,
    mut reader: impl Read,
    header: u64,
    bytes: u64,
) -> Result<Vec<u8>, DatasetError> {
    // One byte more, to notice a file that goes on.
    let mut body = read_up_to(path, &mut reader, bytes + 1)?;
    let found = body.len() as u64;
    if found > bytes {
        return Err(DatasetError::TooLong {
            path: path.to_owned(),
            right: header + bytes,
        });
    }
    if found < bytes {
        return Err(DatasetError::Truncated {
            path: path.to_owned(),
            found: header + found,
            right: header + bytes,
        });
    }
    body.shrink_to_fit();
    Ok(body)
}

/// Reads `limit` bytes or what is there; the end of a cut compressed stream counts as an end.
fn read_up_to(path: &Path, reader: &mut impl Read, limit: u64) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    match reader.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(bytes),
        Err(source) => Err(DatasetError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::dataset::tests::any;

    /// Two pictures of 2 x 3.
    fn images() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(0..12);
        bytes
    }

    fn labels() -> Vec<u8> {
        vec![0, 0, 8, 1, 0, 0, 0, 2, 7, 1]
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn error(images: &[u8], labels: &[u8]) -> String {
        read_pair(Path::new("i"), images, Path::new("l"), labels)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn plain_and_compressed_files_give_the_same() {
        let plain = folder(&[
            ("train-images-idx3-ubyte", &images()),
            ("train-labels-idx1-ubyte", &labels()),
        ]);
        let compressed = folder(&[
            ("train-images-idx3-ubyte.gz", &gzip(&images())),
            ("train-labels-idx1-ubyte.gz", &gzip(&labels())),
            ("t10k-images.idx3-ubyte", &images()),
            ("t10k-labels.idx1-ubyte.gz", &gzip(&labels())),
            ("classes.txt", b"a\nb\nc\nd\ne\nf\ng\nh\n"),
        ]);
        let a = Collection::open(plain.path(), &any()).unwrap();
        let b = Collection::open(compressed.path(), &any()).unwrap();
        assert_eq!(a.train, b.train);
        assert_eq!(b.test.as_ref(), Some(&b.train));
        assert_eq!(a.test, None);
        assert_eq!(a.train.shape(), Shape::new(2, 3, 1));
        assert_eq!(a.train.image(1), [6, 7, 8, 9, 10, 11]);
        assert_eq!(a.train.labels(), [7, 1]);
        assert_eq!((a.classes.len(), b.classes.len()), (0, 8));
    }

    #[test]
    fn too_few_class_names_are_refused() {
        let folder = folder(&[
            ("train-images-idx3-ubyte", &images()),
            ("train-labels-idx1-ubyte", &labels()),
            ("classes.txt", b"a\nb\n"),
        ]);
        let error = Collection::open(folder.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("label 7 is in use, but there are only 2 class names"),
            "{error}"
        );
    }

    #[test]
    fn labels_without_pictures_are_named() {
        let folder = folder(&[("t10k-labels-idx1-ubyte.gz", &gzip(&labels()))]);
        assert_eq!(
            Collection::open(folder.path(), &any())
                .unwrap_err()
                .to_string(),
            format!(
                "{}: t10k-labels-idx1-ubyte.gz is here, but t10k-images-idx3-ubyte[.gz] is not",
                folder.path().display()
            )
        );
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        let (i, l) = (images(), labels());
        assert_eq!(
            error(&i[..27], &l),
            "i: truncated: 27 bytes of 28 are there"
        );
        assert_eq!(error(&i[..9], &l), "i: truncated: 9 bytes of 16 are there");
        assert_eq!(error(&[], &l), "i: truncated: 0 bytes of 16 are there");
        assert_eq!(error(&i, &l[..9]), "l: truncated: 9 bytes of 10 are there");
        assert_eq!(
            error(&l, &i),
            "i: begins with 0x00000801, but IDX pictures begin with 0x00000803"
        );
        let mut long = i.clone();
        long.push(0);
        assert_eq!(
            error(&long, &l),
            "i: goes on after the 28 bytes that its header announces"
        );
        assert_eq!(
            error(&i, &[0, 0, 8, 1, 0, 0, 0, 3, 7, 1, 0]),
            "l: 3 labels for 2 samples; there must be one for each"
        );
        assert_eq!(
            error(
                &[0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3],
                &[0, 0, 8, 1, 0, 0, 0, 0]
            ),
            "i: there is no sample in it"
        );
        let mut huge = i.clone();
        huge[8] = 0x7f;
        assert!(error(&huge, &l).contains("at most 4096 x 4096 are read"));
    }

    #[test]
    fn a_cut_or_damaged_compressed_file_is_refused() {
        let whole = gzip(&images());
        let cut = folder(&[
            ("train-images-idx3-ubyte.gz", &whole[..whole.len() - 12]),
            ("train-labels-idx1-ubyte", &labels()),
        ]);
        let error = Collection::open(cut.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("train-images-idx3-ubyte.gz: truncated"),
            "{error}"
        );
        let mut damaged = whole;
        damaged[0] = 0;
        let damaged = folder(&[
            ("train-images-idx3-ubyte.gz", &damaged),
            ("train-labels-idx1-ubyte", &labels()),
        ]);
        let error = Collection::open(damaged.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("train-images-idx3-ubyte.gz: invalid gzip header"),
            "{error}"
        );
    }
}
