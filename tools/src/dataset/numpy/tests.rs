use ndarray::{Array1, Array2, Array3, Array4, array};
use ndarray_npy::{NpzWriter, WriteNpyExt};

use super::super::{Sample, tests::any};
use super::*;

fn npy(array: &impl WriteNpyExt) -> Vec<u8> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).unwrap();
    bytes
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn input(height: usize, width: usize, channels: usize) -> ReadOptions {
    ReadOptions {
        input: Shape::new(height, width, channels),
        ..any()
    }
}

fn open(files: &[(&str, Vec<u8>)], options: &ReadOptions) -> Result<Collection, DatasetError> {
    Collection::open(folder(files).path(), options)
}

/// The message about these two arrays, without the folder.
fn error(x: Vec<u8>, y: Vec<u8>) -> String {
    let folder = folder(&[("x.npy", x), ("y.npy", y)]);
    let error = Collection::open(folder.path(), &any())
        .unwrap_err()
        .to_string();
    error.replace(&format!("{}: ", folder.path().display()), "")
}

/// Two samples of 2 x 3 pixels.
fn grey() -> Vec<u8> {
    npy(&Array3::from_shape_fn((2, 2, 3), |(n, h, w)| {
        (n * 100 + h * 10 + w) as u8
    }))
}

#[test]
fn files_of_a_folder_are_its_parts() {
    let files = [
        ("x_train.npy", grey()),
        ("y_train.npy", npy(&array![3_i64, 1])),
        ("x_test.npy", grey()),
        ("y_test.npy", npy(&array![[0_u8], [2]])),
        ("classes.txt", b"a\nb\nc\nd\n".to_vec()),
    ];
    let collection = open(&files, &any()).unwrap();
    assert_eq!(collection.train.shape(), Shape::new(2, 3, 1));
    assert_eq!(collection.train.image(1), [100, 101, 102, 110, 111, 112]);
    assert_eq!(collection.train.labels(), [3, 1]);
    assert_eq!(collection.test.unwrap().labels(), [0, 2]);
    assert_eq!(collection.classes, ["a", "b", "c", "d"]);
}

#[test]
fn an_archive_is_read_by_its_own_path_and_in_its_folder() {
    for compressed in [false, true] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut npz = match compressed {
            true => NpzWriter::new_compressed(&mut bytes),
            false => NpzWriter::new(&mut bytes),
        };
        let x = Array3::from_shape_fn((2, 4, 1), |(n, h, _)| n as f32 - h as f32 / 4.0);
        npz.add_array("x", &x).unwrap();
        npz.add_array("y", &array![1_i64, 0]).unwrap();
        npz.add_array("speaker", &array![true, false]).unwrap();
        npz.finish().unwrap();
        let folder = folder(&[("speech.npz", bytes.into_inner())]);
        let collection = Collection::open(folder.path(), &any()).unwrap();
        let train = &collection.train;
        assert_eq!(
            (train.shape(), train.labels()),
            (Shape::new(4, 1, 1), &[1, 0][..])
        );
        assert_eq!(
            train.sample(0),
            Sample::Features(&[0.0, -0.25, -0.5, -0.75])
        );
        let by_file = Collection::open(&folder.path().join("speech.npz"), &any()).unwrap();
        assert_eq!(by_file.train, collection.train);
        std::fs::copy(
            folder.path().join("speech.npz"),
            folder.path().join("b.npz"),
        )
        .unwrap();
        let error = Collection::open(folder.path(), &any())
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("b.npz and speech.npz are both here; give the one that is meant"),
            "{error}"
        );
    }
}

#[test]
fn channels_first_and_channels_last_give_the_same() {
    let value = |n, h, w, c| (n * 60 + h * 20 + w * 5 + c) as u8;
    let nhwc = Array4::from_shape_fn((2, 3, 4, 2), |(n, h, w, c)| value(n, h, w, c));
    let nchw = Array4::from_shape_fn((2, 2, 3, 4), |(n, c, h, w)| value(n, h, w, c));
    let y = npy(&array![0_u8, 1]);
    let read = |x: &Array4<u8>| {
        open(&[("x.npy", npy(x)), ("y.npy", y.clone())], &input(3, 4, 2))
            .unwrap()
            .train
    };
    let train = read(&nhwc);
    assert_eq!(train.shape(), Shape::new(3, 4, 2));
    assert_eq!(train.image(0)[..5], [0, 1, 5, 6, 10]);
    assert_eq!(read(&nchw), train);
}

#[test]
fn the_order_of_axes_is_told_by_the_networks_input() {
    let order = |axes: &[usize], h, w, c| layout(axes, &input(h, w, c));
    let (last, first) = (ArrayLayout::channels_last, ArrayLayout::channels_first);
    assert_eq!(
        order(&[9, 32, 30, 3], 1, 1, 3),
        Ok(last(Shape::new(32, 30, 3)))
    );
    assert_eq!(
        order(&[9, 3, 32, 30], 1, 1, 3),
        Ok(first(Shape::new(32, 30, 3)))
    );
    // Both ends have the channels: height and width decide, if they can.
    assert_eq!(order(&[9, 3, 5, 3], 3, 5, 3), Ok(last(Shape::new(3, 5, 3))));
    assert_eq!(
        order(&[9, 3, 5, 3], 5, 3, 3),
        Ok(first(Shape::new(5, 3, 3)))
    );
    assert_eq!(order(&[9, 1, 1, 1], 2, 2, 1), Ok(last(Shape::new(1, 1, 1))));
    for axes in [[9, 3, 5, 3], [9, 3, 3, 3]] {
        assert_eq!(
            order(&axes, 7, 7, 3),
            Err(ArrayProblem::Ambiguous(axes.to_vec()))
        );
    }
    assert_eq!(
        order(&[9, 3, 3, 3], 3, 3, 3),
        Err(ArrayProblem::Ambiguous(vec![9, 3, 3, 3]))
    );
    assert!(matches!(
        order(&[9, 4, 5, 6], 4, 5, 3),
        Err(ArrayProblem::Channels { .. })
    ));
    assert_eq!(order(&[9, 7], 1, 1, 7), Ok(last(Shape::vector(7))));
    assert_eq!(order(&[9], 1, 1, 7), Err(ArrayProblem::Axes(vec![9])));
}

#[test]
fn a_model_s_arrays_lie_as_its_source_has_them() {
    let shape = Shape::new(3, 3, 3);
    let layout_of = |own: ArrayLayout, layout, axes: &[usize]| {
        let options = ReadOptions {
            arrays: Some(own),
            layout,
            ..input(3, 3, 3)
        };
        super::layout(axes, &options)
    };
    // What is told by nothing else.
    for own in [
        ArrayLayout::channels_first(shape),
        ArrayLayout::channels_last(shape),
    ] {
        let found = layout_of(own.clone(), None, &[9, 3, 3, 3]);
        assert_eq!(found, Ok(own));
    }
    let series = ArrayLayout::channels_first_as(Shape::new(1, 128, 9), &[9, 128]);
    let found = layout_of(series.clone(), None, &[5, 9, 128]);
    assert_eq!(found, Ok(series));
    // Other pictures are told apart as without a model, unless an order is asked for.
    let own = ArrayLayout::channels_first(Shape::new(4, 5, 3));
    let other = [9, 4, 5, 3];
    let found = layout_of(own.clone(), None, &other);
    assert_eq!(found, Ok(ArrayLayout::channels_last(Shape::new(4, 5, 3))));
    let refused = layout_of(own, Some(Layout::Nchw), &other).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the shape is [9, 4, 5, 3]; with --layout nchw the model takes (batch, 3, 4, 5)"
    );
}

#[test]
fn wrong_labels_are_named_with_what_would_be_right() {
    let y = |array: Vec<u8>| error(grey(), array);
    assert_eq!(
        y(npy(&array![0_i32, 1, 2])),
        "y: 3 labels for 2 samples; there must be one for each"
    );
    assert_eq!(
        y(npy(&array![0_i64, -1])),
        "y: label -1 of sample 1 is not a class number: those go from 0 to 255"
    );
    assert_eq!(
        y(npy(&array![256_u16, 1])),
        "y: label 256 of sample 0 is not a class number: those go from 0 to 255"
    );
    assert_eq!(
        y(npy(&array![0.0_f32, 1.0])),
        "y: labels are integers, these are floats: y.astype(\"int64\"), or loss = \"MSELoss\" under [train] if they \
         are what the outputs ought to be"
    );
    assert_eq!(
        y(npy(&Array2::<u8>::zeros((2, 10)))),
        "y: the shape is [2, 10], but labels are one number for each sample, [n]; of one-hot rows take y.argmax(1)"
    );
}

#[test]
fn numbers_of_samples_are_targets_where_they_are_asked_for() {
    let read = |y: Vec<u8>, answers: Answers| {
        let options = ReadOptions { answers, ..any() };
        let collection = open(&[("x.npy", grey()), ("y.npy", y)], &options)?;
        let target = |index| collection.train.target(index).map(<[f32]>::to_vec);
        Ok::<_, DatasetError>([target(0), target(1)])
    };
    let values = |values: &[f32]| Some(values.to_vec());
    let floats = || npy(&array![[0.5_f32, -1.0], [2.0, 3.0]]);
    for answers in [Answers::Values, Answers::Either] {
        let found = read(floats(), answers).unwrap();
        assert_eq!(found, [values(&[0.5, -1.0]), values(&[2.0, 3.0])]);
    }
    let integers = || npy(&array![7_i64, -2]);
    let found = read(integers(), Answers::Values).unwrap();
    assert_eq!(found, [values(&[7.0]), values(&[-2.0])]);
    let found = read(npy(&array![7_i64, 2]), Answers::Either).unwrap();
    assert_eq!(found, [None, None]);
    // NCHW, two channels of two pixels.
    let picture = Array4::from_shape_fn((2, 2, 1, 2), |(n, c, _, w)| (n * 100 + c * 10 + w) as f32);
    let found = read(npy(&picture), Answers::Values).unwrap();
    assert_eq!(found[1], values(&[100.0, 110.0, 101.0, 111.0]));
    let problem = |y| read(y, Answers::Values).unwrap_err().to_string();
    let three = problem(npy(&array![0.5_f32, 1.0, 2.0]));
    assert!(
        three.ends_with(
            "y: the shape is [3], but there are 2 samples; targets are [n], [n, values] or [n, channels, height, width]"
        ),
        "{three}"
    );
    let nan = problem(npy(&array![0.5_f32, f32::NAN]));
    assert!(
        nan.ends_with("y: sample 1 has a target that is NaN"),
        "{nan}"
    );
}

#[test]
fn wrong_samples_are_named_with_what_would_be_right() {
    let x = |array: Vec<u8>| error(array, npy(&array![0_u8, 1]));
    assert_eq!(
        x(npy(&Array3::<i32>::zeros((2, 2, 3)))),
        "x: pictures are uint8 and features float32, these are other integers: x.astype(\"uint8\")"
    );
    let mut features = Array3::<f32>::zeros((2, 2, 3));
    features[[1, 0, 2]] = f32::NAN;
    assert_eq!(x(npy(&features)), "x: sample 1 has a feature that is NaN");
    assert_eq!(
        x(npy(&Array3::<u8>::zeros((0, 2, 3)))),
        "x: there is no sample in it"
    );
    let cut = &grey()[..grey().len() - 1];
    assert_eq!(
        x(cut.to_vec()),
        "x: the array is truncated: 11 bytes of 12 are there"
    );
    let text = x(b"text".to_vec());
    assert!(text.starts_with("x: this is no NPY array"), "{text}");
    let text = x(npy(&Array1::<u8>::zeros(2)));
    assert!(
        text.starts_with("x: the shape is [2]; samples are [n, height"),
        "{text}"
    );
}

#[test]
fn half_a_pair_and_foreign_archives_are_refused() {
    let text = open(&[("x_train.npy", grey())], &any())
        .unwrap_err()
        .to_string();
    assert!(
        text.ends_with("the array x_train is here, but y_train is not"),
        "{text}"
    );
    let text = open(&[("a.npz", b"no archive".to_vec())], &any())
        .unwrap_err()
        .to_string();
    assert!(text.contains("a.npz: cannot be read: "), "{text}");
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut npz = NpzWriter::new(&mut bytes);
    npz.add_array("weights", &array![1_u8]).unwrap();
    npz.finish().unwrap();
    let bytes = bytes.into_inner();
    let text = open(&[("a.npz", bytes.clone())], &any())
        .unwrap_err()
        .to_string();
    assert!(
        text.ends_with("a data set has the arrays x_train, y_train, x_test, y_test, or x and y; here are weights"),
        "{text}"
    );
    let text = open(&[("a.npz", bytes[..bytes.len() / 2].to_vec())], &any())
        .unwrap_err()
        .to_string();
    assert!(text.contains("cannot be read"), "{text}");
}

#[test]
fn features_cannot_be_resized() {
    let files = [
        ("x.npy", npy(&Array3::<f32>::zeros((1, 2, 3)))),
        ("y.npy", npy(&array![0_u8])),
    ];
    let options = ReadOptions {
        resize: Some([4, 4]),
        ..any()
    };
    let text = open(&files, &options).unwrap_err().to_string();
    assert!(text.ends_with("only pictures can be resized"), "{text}");
}
