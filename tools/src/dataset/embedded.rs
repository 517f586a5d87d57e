//! A part of Fashion-MNIST inside the program, so that it can train without a download: the 10,000
//! pictures of the original test set. The first 8,000 are for training and validation, the last 2,000 for
//! the test alone. (MIT licence, beside the files.)

use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{Collection, DatasetError, idx};

const IMAGES: &[u8] = include_bytes!("../../data/fashion-mnist/t10k-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("../../data/fashion-mnist/t10k-labels-idx1-ubyte.gz");

/// What the embedded data set is called.
pub const BUILT_IN: &str = "embedded part of Fashion-MNIST";

/// Pictures that may be trained on; no choice may depend on those after them.
const TRAIN: usize = 8_000;

/// Fashion-MNIST's classes, in the order of their labels.
const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// The embedded part of Fashion-MNIST.
///
/// # Errors
/// [`DatasetError`] only if the program itself is damaged.
pub fn embedded() -> Result<Collection, DatasetError> {
    let all = idx::read_pair(
        Path::new("embedded t10k-images-idx3-ubyte.gz"),
        MultiGzDecoder::new(IMAGES),
        Path::new("embedded t10k-labels-idx1-ubyte.gz"),
        MultiGzDecoder::new(LABELS),
    )?;
    let (train, test) = all.split_at(TRAIN);
    Collection {
        source: BUILT_IN.to_owned(),
        train,
        validation: None,
        test: Some(test),
        classes: CLASSES.map(str::to_owned).to_vec(),
    }
    .check()
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::Shape;

    use super::*;

    #[test]
    fn has_8000_to_train_on_and_2000_to_test_with() {
        let collection = embedded().unwrap();
        let test = collection.test.as_ref().unwrap();
        assert_eq!((collection.train.len(), test.len()), (8000, 2000));
        assert_eq!(collection.train.shape(), Shape::new(28, 28, 1));
        assert_eq!(
            (collection.classes_in_use(), collection.classes.len()),
            (10, 10)
        );
        // Every class is there often enough in both parts.
        for class in 0..10 {
            let count = |set: &super::super::Dataset| {
                set.labels().iter().filter(|&&label| label == class).count()
            };
            assert!(count(&collection.train) > 700 && count(test) > 150);
        }
    }
}
