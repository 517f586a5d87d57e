//! What a folder may be, whole and otherwise.

use kinglet_kernels::Shape;

use super::*;

/// Options for a data set whose reading they do not change.
pub(super) fn any() -> ReadOptions {
    ReadOptions {
        input: Shape::new(1, 1, 1),
        arrays: None,
        layout: None,
        resize: None,
        classes: Vec::new(),
        answers: Answers::Classes,
    }
}

fn error(path: &Path) -> String {
    Collection::open(path, &any()).unwrap_err().to_string()
}

#[test]
fn an_empty_folder_says_what_belongs_there() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        error(folder.path()),
        format!(
            "{}: there is no file in this folder; a data set is IDX files (train-images-idx3-ubyte[.gz], \
             train-labels-idx1-ubyte[.gz]), NumPy arrays (x_train.npy, y_train.npy, or one .npz), CIFAR-10's \
             binary batches (data_batch_1.bin, ...) or a folder of PNG or JPEG files for each class \
             (train/CLASS/*.png)",
            folder.path().display()
        )
    );
}

#[test]
fn a_folder_or_file_of_other_things_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "x").unwrap();
    let error_text = error(folder.path());
    assert!(
        error_text.contains("no data set is in this folder; a data set is IDX files"),
        "{error_text}"
    );
    let error_text = error(&notes);
    assert!(
        error_text.ends_with(
            "notes.txt: one file can be a data set if it is .npz or a CIFAR-10 .bin; otherwise give the folder"
        ),
        "{error_text}"
    );
}

#[test]
fn a_data_set_further_inside_is_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("MNIST/raw");
    std::fs::create_dir_all(&raw).unwrap();
    std::fs::write(raw.join("t10k-images-idx3-ubyte.gz"), "x").unwrap();
    let found = error(folder.path());
    let end = format!("the data set is further inside, in {}", raw.display());
    assert!(found.ends_with(&end), "{found}");
}

#[test]
fn the_python_version_of_cifar_is_recognized() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data_batch_1"), "pickled").unwrap();
    let found = error(folder.path());
    assert!(found.contains("get its binary version"), "{found}");
}

#[test]
fn a_missing_folder_is_named() {
    let error = error(Path::new("/does/not/exist"));
    assert!(
        error.starts_with("cannot read /does/not/exist: "),
        "{error}"
    );
}

#[test]
fn resizing_applies_to_every_loader() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = vec![3];
    record.extend([40; 1024]);
    record.extend([80; 1024]);
    record.extend([120; 1024]);
    std::fs::write(folder.path().join("a.bin"), record).unwrap();
    let options = ReadOptions {
        resize: Some([16, 20]),
        ..any()
    };
    let collection = Collection::open(folder.path(), &options).unwrap();
    assert_eq!(collection.train.shape(), Shape::new(16, 20, 3));
    assert_eq!(collection.train.image(0), [40, 80, 120].repeat(16 * 20));
}
