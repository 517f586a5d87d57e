//! Every transform against what torchvision makes of the same picture, and what its random numbers come to.

use std::path::Path;

use kinglet_kernels::Shape;
use ndarray::{Array3, Ix3, OwnedRepr};
use ndarray_npy::NpzReader;

use super::*;

type Arrays = NpzReader<std::fs::File>;

fn picture(arrays: &mut Arrays, name: &str) -> Canvas {
    let array: Array3<u8> = arrays.by_name::<OwnedRepr<u8>, Ix3>(name).unwrap();
    let (height, width, channels) = array.dim();
    let mut canvas = Canvas::new();
    let pixels: Vec<u8> = array.into_iter().collect();
    canvas.load(Shape::new(height, width, channels), &pixels);
    canvas
}

/// The `fill` of a case: one byte for each channel.
fn fill(case: &toml::Table, channels: usize) -> Vec<u8> {
    match case.get("fill") {
        Some(toml::Value::Array(bytes)) => bytes
            .iter()
            .map(|byte| byte.as_integer().unwrap() as u8)
            .collect(),
        Some(byte) => vec![byte.as_integer().unwrap() as u8; channels],
        None => vec![0; channels],
    }
}

fn integers(case: &toml::Table, key: &str) -> [usize; 4] {
    let values = case[key].as_array().unwrap();
    std::array::from_fn(|i| values[i].as_integer().unwrap() as usize)
}

fn apply(case: &toml::Table, canvas: &mut Canvas) {
    let factor = || case["factor"].as_float().unwrap() as f32;
    let fill = fill(case, canvas.shape().channels);
    match case["function"].as_str().unwrap() {
        "hflip" => flip::flip(FlipAxis::Horizontal, canvas),
        "vflip" => flip::flip(FlipAxis::Vertical, canvas),
        "rotate" => {
            let center = case.get("center").map(|center| {
                let center = center.as_array().unwrap();
                std::array::from_fn(|i| center[i].as_float().unwrap())
            });
            let degrees = [0.0; 2];
            let rotation = RandomRotation {
                degrees,
                center,
                fill,
            };
            rotation.rotate(case["angle"].as_float().unwrap(), canvas);
        }
        "crop" => {
            let [left, top, right, bottom] = integers(case, "padding");
            let [row, column, height, width] = integers(case, "window");
            let crop = RandomCrop {
                size: (height, width),
                padding: Margins {
                    left,
                    top,
                    right,
                    bottom,
                },
                fill,
            };
            crop.crop((row, column), canvas);
        }
        "adjust_brightness" => color::adjust_brightness(canvas, factor()),
        "adjust_contrast" => color::adjust_contrast(canvas, factor()),
        "adjust_saturation" => color::adjust_saturation(canvas, factor()),
        "adjust_hue" => color::adjust_hue(canvas, factor()),
        other => panic!("{other}"),
    }
}

#[test]
fn every_byte_is_the_one_that_torchvision_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let manifest = std::fs::read_to_string(folder.join("transforms.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let file = std::fs::File::open(folder.join("transforms.npz")).unwrap();
    let mut arrays = Arrays::new(file).unwrap();
    let cases = manifest["cases"].as_array().unwrap();
    assert!(cases.len() > 70);
    for case in cases {
        let case = case.as_table().unwrap();
        let name = format!("picture/{}", case["picture"].as_str().unwrap());
        let mut canvas = picture(&mut arrays, &name);
        apply(case, &mut canvas);
        let right = picture(&mut arrays, case["name"].as_str().unwrap());
        assert_eq!(canvas.shape(), right.shape(), "{case}");
        let pixels = canvas.pixels().iter().zip(right.pixels());
        let wrong = pixels.filter(|(found, right)| found != right).count();
        assert_eq!(wrong, 0, "{wrong} of {} in {case}", right.pixels().len());
    }
}

const SHAPE: Shape = Shape::new(5, 4, 3);

/// A picture in which no two bytes are the same.
fn numbered() -> Canvas {
    let mut canvas = Canvas::new();
    let pixels: Vec<u8> = (1..=SHAPE.len() as u8).collect();
    canvas.load(SHAPE, &pixels);
    canvas
}

fn key(sample: usize) -> PictureKey {
    PictureKey {
        seed: 1,
        epoch: 2,
        sample,
    }
}

fn transformed(transforms: &Transforms, key: PictureKey) -> Vec<u8> {
    let mut canvas = numbered();
    transforms.apply(key, &mut canvas);
    canvas.pixels().to_vec()
}

fn shift_by_two() -> Transform {
    Transform::Crop(RandomCrop {
        size: (5, 4),
        padding: Margins {
            left: 2,
            top: 2,
            right: 2,
            bottom: 2,
        },
        fill: vec![0; 3],
    })
}

#[test]
fn seed_epoch_and_sample_decide() {
    let transforms = Transforms::new(vec![
        Transform::Flip(RandomFlip {
            axis: FlipAxis::Horizontal,
            probability: 0.5,
        }),
        Transform::Rotation(RandomRotation {
            degrees: [-40.0, 40.0],
            center: None,
            fill: vec![0; 3],
        }),
        shift_by_two(),
        Transform::ColorJitter(ColorJitter {
            brightness: Some([0.5, 1.5]),
            contrast: Some([0.5, 1.5]),
            saturation: Some([0.5, 1.5]),
            hue: Some([-0.5, 0.5]),
        }),
    ]);
    let base = transformed(&transforms, key(3));
    assert_eq!(base, transformed(&transforms, key(3)));
    assert_ne!(base, transformed(&transforms, key(4)));
    let other = |seed, epoch| {
        let sample = 3;
        transformed(
            &transforms,
            PictureKey {
                seed,
                epoch,
                sample,
            },
        )
    };
    assert_ne!(base, other(2, 2));
    assert_ne!(base, other(1, 3));
}

#[test]
fn a_flip_happens_as_often_as_its_probability() {
    for (probability, expected) in [(0.0, 0..=0), (0.25, 440..=560), (1.0, 2000..=2000)] {
        let axis = FlipAxis::Vertical;
        let transforms = Transforms::new(vec![Transform::Flip(RandomFlip { axis, probability })]);
        let unchanged = numbered();
        let flipped = (0..2000)
            .filter(|&sample| transformed(&transforms, key(sample)) != unchanged.pixels())
            .count();
        assert!(expected.contains(&flipped), "{probability}: {flipped}");
    }
}

#[test]
fn a_crop_is_as_likely_at_each_place() {
    let transforms = Transforms::new(vec![shift_by_two()]);
    // Where the byte of the picture's middle comes to lie: 25 places, 200 expected at each, deviation 14.
    let middle = numbered().pixels()[(2 * 4 + 2) * 3];
    let mut counts = std::collections::BTreeMap::<Option<usize>, usize>::new();
    for sample in 0..5000 {
        let pixels = transformed(&transforms, key(sample));
        let place = pixels.iter().position(|&byte| byte == middle);
        *counts.entry(place).or_default() += 1;
    }
    // Of the 25 shifts, 4 of 5 columns keep the middle in sight.
    assert_eq!(counts.len(), 21, "{counts:?}");
    assert!((900..1100).contains(&counts[&None]), "{counts:?}");
    let seen = counts.iter().filter(|(place, _)| place.is_some());
    assert!(
        seen.clone().all(|(_, n)| (130..280).contains(n)),
        "{counts:?}"
    );
}

#[test]
fn erasing_writes_one_rectangle_of_a_size_within_its_range() {
    let shape = Shape::new(20, 16, 2);
    let erasing = RandomErasing {
        probability: 0.5,
        scale: [0.1, 0.3],
        ratio: [0.5, 2.0],
        value: vec![7.0, 9.0],
    };
    let transforms = Transforms::new(vec![Transform::Erasing(erasing)]);
    let mut erased = 0;
    for sample in 0..500 {
        let mut values = vec![0.0; shape.len()];
        transforms.apply_normalized(key(sample), shape, &mut values);
        let hit = |pixel: usize| values[2 * pixel..][..2] == [7.0, 9.0];
        let pixels: Vec<usize> = (0..320).filter(|&pixel| hit(pixel)).collect();
        let untouched = values.iter().filter(|&&x| x == 0.0).count();
        assert_eq!(untouched, shape.len() - 2 * pixels.len());
        let rows: Vec<usize> = pixels.iter().map(|pixel| pixel / 16).collect();
        let columns: Vec<usize> = pixels.iter().map(|pixel| pixel % 16).collect();
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            erased += 1;
            let height = last - first + 1;
            let width = columns.iter().max().unwrap() - columns.iter().min().unwrap() + 1;
            assert_eq!(height * width, pixels.len());
            // Rounding the sides moves the area a little.
            assert!((25..=106).contains(&pixels.len()), "{}", pixels.len());
        }
    }
    assert!((200..300).contains(&erased), "{erased}");
}
