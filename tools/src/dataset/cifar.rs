//! The binary version of CIFAR-10: records of one label byte and 3072 bytes of a 32 x 32 picture, stored as
//! planes (all of red, then green, then blue), row by row. They become NHWC on the way in.

use std::path::Path;

use kinglet_kernels::Shape;

use super::{Collection, Dataset, DatasetError, class_names};

const SHAPE: Shape = Shape::new(32, 32, 3);
const RECORD: usize = 1 + 32 * 32 * 3;
const CLASSES: u8 = 10;
const TEST_BATCH: &str = "test_batch.bin";
const TRAIN_BATCH: &str = "data_batch_";

/// True for a file that may be a CIFAR-10 batch.
pub(super) fn is_cifar_name(name: &str) -> bool {
    name.ends_with(".bin")
}

/// True for a file that only CIFAR-10 has.
pub(super) fn is_standard_name(name: &str) -> bool {
    is_cifar_name(name) && (name == TEST_BATCH || name.starts_with(TRAIN_BATCH))
}

/// True for a batch of CIFAR-10's Python version.
pub(super) fn is_pickle_name(name: &str) -> bool {
    name.strip_prefix(TRAIN_BATCH)
        .is_some_and(|number| number.parse::<u8>().is_ok())
}

/// Reads all `data_batch_*.bin` (or, where there is none, all other `.bin` files) and `test_batch.bin`.
pub(super) fn open_folder(folder: &Path, names: &[String]) -> Result<Collection, DatasetError> {
    let batches: Vec<&String> = names
        .iter()
        .filter(|name| is_cifar_name(name) && *name != TEST_BATCH)
        .collect();
    let standard: Vec<&String> = batches
        .iter()
        .copied()
        .filter(|name| name.starts_with(TRAIN_BATCH))
        .collect();
    let batches = if standard.is_empty() {
        batches
    } else {
        standard
    };
    let has_test = names.iter().any(|name| name == TEST_BATCH);
    let read = |names: &[&str]| read_batches(folder, names);
    let (train, test) = if batches.is_empty() {
        (read(&[TEST_BATCH])?, None)
    } else {
        let names: Vec<&str> = batches.iter().map(|name| name.as_str()).collect();
        let test = if has_test {
            Some(read(&[TEST_BATCH])?)
        } else {
            None
        };
        (read(&names)?, test)
    };
    Ok(Collection {
        source: folder.display().to_string(),
        train,
        validation: None,
        test,
        classes: class_names(folder, names, &["batches.meta.txt", "classes.txt"])?,
    })
}

/// Reads one batch file; class names may lie beside it.
pub(super) fn open_file(path: &Path) -> Result<Collection, DatasetError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Collection {
        source: path.display().to_string(),
        train: read_batches(folder, &[&name])?,
        validation: None,
        test: None,
        classes: Vec::new(),
    })
}

fn read_batches(folder: &Path, names: &[&str]) -> Result<Dataset, DatasetError> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for name in names {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).map_err(|source| DatasetError::Read {
            path: path.clone(),
            source,
        })?;
        if bytes.is_empty() {
            return Err(DatasetError::Empty { path });
        }
        if bytes.len() % RECORD != 0 {
            return Err(DatasetError::Records {
                path,
                found: bytes.len() as u64,
                record: RECORD,
            });
        }
        for (record, bytes) in bytes.chunks_exact(RECORD).enumerate() {
            let (label, planes) = (bytes[0], &bytes[1..]);
            if label >= CLASSES {
                return Err(DatasetError::Label {
                    path,
                    record,
                    label,
                });
            }
            labels.push(label);
            let (red, rest) = planes.split_at(32 * 32);
            let (green, blue) = rest.split_at(32 * 32);
            images.extend(
                red.iter()
                    .zip(green)
                    .zip(blue)
                    .flat_map(|((&r, &g), &b)| [r, g, b]),
            );
        }
    }
    Dataset::new(folder, SHAPE, images, labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::any;

    /// A record whose byte at plane `c`, pixel `i` is `first + 64 * c + i % 64`.
    fn record(label: u8, first: u8) -> Vec<u8> {
        let mut bytes = vec![label];
        for plane in 0..3 {
            bytes.extend((0..1024).map(|i| first + 64 * plane + (i % 64) as u8));
        }
        bytes
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn planes_become_interleaved_channels() {
        let folder = folder(&[
            ("data_batch_1.bin", [record(3, 0), record(9, 10)].concat()),
            ("data_batch_2.bin", record(1, 20)),
            ("test_batch.bin", record(5, 30)),
            ("notes.bin", vec![1, 2, 3]),
            (
                "batches.meta.txt",
                b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".to_vec(),
            ),
        ]);
        let collection = Collection::open(folder.path(), &any()).unwrap();
        assert_eq!(collection.train.labels(), [3, 9, 1]);
        assert_eq!(collection.train.image(1)[..6], [10, 74, 138, 11, 75, 139]);
        assert_eq!(collection.test.unwrap().labels(), [5]);
        assert_eq!(collection.classes.last().map(String::as_str), Some("j"));
    }

    #[test]
    fn one_file_of_any_name_is_a_data_set() {
        let folder = folder(&[("signs.bin", [record(0, 0), record(1, 0)].concat())]);
        let by_folder = Collection::open(folder.path(), &any()).unwrap();
        let by_file = Collection::open(&folder.path().join("signs.bin"), &any()).unwrap();
        assert_eq!(by_folder.train, by_file.train);
        assert_eq!((by_file.train.len(), by_file.test), (2, None));
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        let cut = folder(&[("data_batch_1.bin", record(3, 0)[..3000].to_vec())]);
        let error = Collection::open(cut.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(
                "data_batch_1.bin: 3000 bytes are not a whole number of CIFAR-10 records of 3073 bytes (truncated?)"
            ),
            "{error}"
        );
        let other = folder(&[("data_batch_1.bin", [record(3, 0), record(10, 0)].concat())]);
        let error = Collection::open(other.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error
                .ends_with("record 1 has label 10, but CIFAR-10 has 0 to 9: is it another format?"),
            "{error}"
        );
        let empty = folder(&[("data_batch_1.bin", Vec::new())]);
        let error = Collection::open(empty.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("data_batch_1.bin: there is no sample in it"),
            "{error}"
        );
    }
}
