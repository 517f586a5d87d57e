use std::fs;

use super::super::tests::any;
use super::*;
use crate::picture::encode;

/// A tree of files, from paths and contents.
fn tree(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

/// A grey PNG of 2 x 3 pixels that are all `level`.
fn png(level: u8) -> Vec<u8> {
    encode(Shape::new(2, 3, 1), &[level; 6]).unwrap()
}

fn sized(height: usize, width: usize) -> Vec<u8> {
    let shape = Shape::new(height, width, 1);
    encode(shape, &vec![50; shape.len()]).unwrap()
}

fn open(root: &tempfile::TempDir, options: &ReadOptions) -> Result<Collection, DatasetError> {
    Collection::open(root.path(), options)
}

/// The error's text, with paths as they are inside the tree.
fn error(root: &tempfile::TempDir, options: &ReadOptions) -> String {
    let text = open(root, options).unwrap_err().to_string();
    text.replace(&format!("{}/", root.path().display()), "")
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let root = tree(&[
        ("train/b/2.png", png(20)),
        ("train/b/1.PNG", png(10)),
        ("train/a/deep/x.png", png(30)),
        ("train/a/notes.txt", b"x".to_vec()),
        ("train/a/.DS_Store", b"x".to_vec()),
        ("train/.ipynb_checkpoints/z.png", png(0)),
        ("test/b/1.png", png(40)),
        ("classes.md", b"x".to_vec()),
    ]);
    let collection = open(&root, &any()).unwrap();
    assert_eq!(collection.classes, ["a", "b"]);
    assert_eq!(collection.train.labels(), [0, 1, 1]);
    assert_eq!(collection.train.shape(), Shape::new(2, 3, 1));
    assert_eq!(collection.train.image(0), [30; 6]);
    assert_eq!(collection.train.image(1), [10; 6]);
    assert_eq!(collection.train.file(0), Some("train/a/deep/x.png"));
    assert_eq!(collection.train.file(1), Some("train/b/1.PNG"));
    let test = collection.test.unwrap();
    assert_eq!(test.file(0), Some("test/b/1.png"));
    assert_eq!((test.labels(), test.image(0)), (&[1][..], &[40; 6][..]));
}

#[test]
fn without_train_and_test_there_is_one_part() {
    let files = [("a/1.png", png(1)), ("b/1.png", png(2))];
    let collection = open(&tree(&files), &any()).unwrap();
    assert_eq!(
        (collection.train.labels(), collection.test),
        (&[0, 1][..], None)
    );
    // One part alone may be trained on, as with IDX files.
    let files = [("val/a/1.png", png(1)), ("val/b/1.png", png(2))];
    let collection = open(&tree(&files), &any()).unwrap();
    assert_eq!((collection.train.len(), collection.test), (2, None));
}

#[test]
fn a_part_to_validate_with_is_one() {
    for name in ["val", "valid", "validation"] {
        let root = tree(&[
            ("train/a/1.png", png(1)),
            ("train/b/1.png", png(2)),
            (&format!("{name}/b/2.png"), png(3)),
            ("test/a/3.png", png(4)),
        ]);
        let collection = open(&root, &any()).unwrap();
        assert_eq!(collection.train.labels(), [0, 1, 1]);
        assert_eq!(collection.validation, Some(1));
        let file = format!("{name}/b/2.png");
        assert_eq!(collection.train.file(2), Some(file.as_str()));
        assert_eq!(collection.test.unwrap().len(), 1);
    }
    let root = tree(&[("train/a/1.png", png(1)), ("val/a/2.png", png(2))]);
    let collection = open(&root, &any()).unwrap();
    assert_eq!((collection.validation, collection.test), (Some(1), None));
    let root = tree(&[("train/a/1.png", png(1)), ("val/z/2.png", png(2))]);
    assert_eq!(
        error(&root, &any()),
        "val/z: there is no such class; the classes are a"
    );
}

#[test]
fn channels_are_those_that_the_network_takes() {
    let color = encode(Shape::new(1, 2, 3), &[255, 0, 0, 7, 7, 7]).unwrap();
    let root = tree(&[("a/1.png", color)]);
    let options = |channels| ReadOptions {
        input: Shape::new(1, 2, channels),
        ..any()
    };
    assert_eq!(open(&root, &options(1)).unwrap().train.image(0), [76, 7]);
    let three = open(&root, &options(3)).unwrap();
    assert_eq!(three.train.image(0), [255, 0, 0, 7, 7, 7]);
    assert_eq!(
        error(&root, &options(4)),
        "a/1.png: a picture has 1 or 3 channels, 4 are asked for; use .npy files"
    );
}

#[test]
fn the_networks_class_names_number_the_folders() {
    let root = tree(&[("cat/1.png", png(1)), ("ant/1.png", png(2))]);
    let options = |names: &[&str]| ReadOptions {
        classes: names.iter().map(|name| name.to_string()).collect(),
        ..any()
    };
    let collection = open(&root, &options(&["dog", "cat", "ant"])).unwrap();
    assert_eq!(collection.train.labels(), [2, 1]);
    assert_eq!(collection.classes, ["dog", "cat", "ant"]);
    assert_eq!(
        error(&root, &options(&["ant", "dog"])),
        "cat: there is no such class; the classes are ant, dog"
    );
}

#[test]
fn a_class_that_only_the_test_part_has_is_named() {
    let root = tree(&[
        ("train/a/1.png", png(1)),
        ("test/a/1.png", png(1)),
        ("test/new/1.png", png(1)),
    ]);
    assert_eq!(
        error(&root, &any()),
        "test/new: there is no such class; the classes are a"
    );
}

#[test]
fn mixed_sizes_are_refused_or_resized() {
    let root = tree(&[
        ("a/1.png", sized(4, 5)),
        ("a/2.png", sized(4, 5)),
        ("b/1.png", sized(8, 6)),
    ]);
    assert_eq!(
        error(&root, &any()),
        "pictures of different sizes (height x width): a/1.png is 4 x 5, b/1.png is 8 x 6; write resize = \
         [height, width] under [data] in the recipe, or give --resize where a model says the size"
    );
    let resized = ReadOptions {
        resize: Some([3, 2]),
        ..any()
    };
    let collection = open(&root, &resized).unwrap();
    assert_eq!(collection.train.shape(), Shape::new(3, 2, 1));
    assert_eq!(collection.train.image(2), [50; 6]);
}

#[test]
fn the_test_part_has_the_size_of_the_training_part() {
    let root = tree(&[
        ("train/a/1.png", sized(4, 5)),
        ("test/a/1.png", sized(5, 4)),
    ]);
    let text = error(&root, &any());
    assert!(
        text.contains("train/a/1.png is 4 x 5, test/a/1.png is 5 x 4"),
        "{text}"
    );
}

#[test]
fn empty_and_missing_class_folders_are_named() {
    let root = tree(&[("train/a/1.png", png(1)), ("train/b/notes.txt", vec![1])]);
    assert_eq!(
        error(&root, &any()),
        "train/b: no .png, .jpg or .jpeg file is in this class folder; remove it or fill it"
    );
    let root = tree(&[("train/1.png", png(1))]);
    assert_eq!(
        error(&root, &any()),
        "train: no class folder is here; pictures lie in a folder for each class"
    );
}

#[test]
fn folders_of_other_things_are_no_class_folders() {
    let root = tree(&[("ecg/1.csv", vec![1]), ("speech/x.wav", vec![1])]);
    let text = error(&root, &any());
    assert!(
        text.contains("no data set is in this folder; a data set is IDX"),
        "{text}"
    );
}

#[test]
fn other_picture_formats_are_not_left_out_in_silence() {
    let root = tree(&[("a/1.png", png(1)), ("a/2.WebP", b"RIFF".to_vec())]);
    assert_eq!(
        error(&root, &any()),
        "a/2.WebP: pictures of this format are not read; convert it to PNG or JPEG, or remove it"
    );
}

#[test]
fn of_several_damaged_pictures_the_first_is_named() {
    let mut damaged = png(1);
    let at = damaged.len() - 20;
    damaged[at] ^= 0xff;
    let mut files: Vec<(String, Vec<u8>)> =
        (0..60).map(|i| (format!("a/{i:02}.png"), png(i))).collect();
    files[31].1 = b"not a picture".to_vec();
    files[58].1 = damaged.clone();
    let borrowed: Vec<(&str, Vec<u8>)> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect();
    let root = tree(&borrowed);
    for _ in 0..5 {
        assert_eq!(
            error(&root, &any()),
            "a/31.png: this is no picture; a picture is a PNG or JPEG file"
        );
    }
    let root = tree(&[("a/1.png", png(1)), ("a/2.png", damaged)]);
    let text = error(&root, &any());
    assert!(
        text.starts_with("a/2.png: the picture is damaged or truncated: "),
        "{text}"
    );
}

#[test]
fn more_classes_than_a_label_tells_apart_are_refused() {
    let names: Vec<String> = (0..257).map(|i| format!("c{i:03}/1.png")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), png(1))).collect();
    let root = tree(&files);
    let text = error(&root, &any());
    assert!(
        text.ends_with("257 classes; at most 256 can be told apart"),
        "{text}"
    );
    fs::remove_dir_all(root.path().join("c256")).unwrap();
    let collection = open(&root, &any()).unwrap();
    assert_eq!(
        (collection.classes_in_use(), collection.train.label(255)),
        (256, 255)
    );
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_but_not_in_circles() {
        let elsewhere = tree(&[("1.png", png(9))]);
        let root = tree(&[("a/1.png", png(1))]);
        symlink(elsewhere.path(), root.path().join("b")).unwrap();
        let collection = open(&root, &any()).unwrap();
        assert_eq!(
            (collection.classes.as_slice(), collection.train.image(1)),
            (&["a".to_owned(), "b".to_owned()][..], &[9; 6][..])
        );
        symlink(root.path().join("a"), root.path().join("a/again")).unwrap();
        let text = open(&root, &any()).unwrap_err().to_string();
        let end = format!(
            "a/again: this link leads back to {}, in which it lies",
            root.path().join("a").display()
        );
        assert!(text.ends_with(&end), "{text}");
    }

    #[test]
    fn a_link_to_nothing_is_named() {
        let root = tree(&[("a/1.png", png(1))]);
        symlink("/does/not/exist", root.path().join("a/2.png")).unwrap();
        let text = open(&root, &any()).unwrap_err().to_string();
        assert!(
            text.starts_with("cannot read ") && text.contains("a/2.png"),
            "{text}"
        );
    }

    #[test]
    fn names_that_are_not_utf8_may_name_pictures_but_no_class() {
        let root = tree(&[("a/1.png", png(1))]);
        let odd = OsString::from_vec(b"\xff\xfe.png".to_vec());
        fs::write(root.path().join("a").join(odd), png(2)).unwrap();
        assert_eq!(open(&root, &any()).unwrap().train.len(), 2);
        let odd = root.path().join(OsString::from_vec(b"b\xff".to_vec()));
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join("1.png"), png(1)).unwrap();
        let text = error(&root, &any());
        assert!(
            text.ends_with("the folder's name is not UTF-8, so it cannot name a class; rename it"),
            "{text}"
        );
    }
}
