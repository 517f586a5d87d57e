//! Which tensor goes where, and files that no program has written.

use std::path::Path;

use super::state_dict::Storages;
use super::*;
use crate::recipe::Recipe;

fn network(layers: &str) -> Graph {
    let text = format!("input = [1, 4, 4]\nlayers = [{layers}]");
    let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    recipe.graph
}

fn entry(name: &str, shape: &[usize]) -> Entry {
    Entry {
        name: name.to_owned(),
        shape: shape.to_vec(),
        dtype: Dtype::Float32,
        storage: 0,
        offset: 0,
        strides: vec![0; shape.len()],
    }
}

/// The layers and modules that are matched, or the problems.
fn matched(entries: &[Entry], network: &Graph) -> Result<Matching, String> {
    match matching::match_tensors(entries, network) {
        Ok((chosen, matching)) => {
            // Whatever is matched has the network's shapes, in its order.
            let shapes = chosen.iter().map(|entry| entry.shape.clone());
            let tensors = network.tensors();
            let right = tensors.iter().map(|t| t.pytorch_shape());
            assert!(shapes.eq(right));
            Ok(matching)
        }
        Err(mismatch) => Err(mismatch.to_string()),
    }
}

fn by_shape(pairs: &[(usize, &str)]) -> Result<Matching, String> {
    let pairs = pairs
        .iter()
        .map(|(layer, module)| (*layer, (*module).to_owned()));
    Ok(Matching::ByShape(pairs.collect()))
}

/// Three linear layers, of which the first two have the same shapes.
const MLP: &str =
    r#""Flatten()", "Linear(16, 16)", "ReLU()", "Linear(16, 16)", "ReLU()", "Linear(16, 2)""#;

/// The tensors of linear layers called so.
fn mlp(names: [&str; 3]) -> Vec<Entry> {
    let rows = [16, 16, 2];
    let layers = names.into_iter().zip(rows);
    layers
        .flat_map(|(name, rows)| {
            [
                entry(&format!("{name}.weight"), &[rows, 16]),
                entry(&format!("{name}.bias"), &[rows]),
            ]
        })
        .collect()
}

#[test]
fn names_of_the_recipe_decide() {
    let network = network(MLP);
    assert_eq!(
        matched(&mlp(["1", "3", "5"]), &network),
        Ok(Matching::ByName)
    );
    let mut other_order = mlp(["1", "3", "5"]);
    other_order.reverse();
    assert_eq!(matched(&other_order, &network), Ok(Matching::ByName));
}

#[test]
fn other_names_go_by_shapes_and_numbers() {
    let network = network(MLP);
    for names in [
        ["fc1", "fc2", "out"],
        ["l.9.a", "l.10.a", "l.11.b"],
        ["0", "2", "4"],
    ] {
        let right = by_shape(&[(1, names[0]), (3, names[1]), (5, names[2])]);
        assert_eq!(matched(&mlp(names), &network), right);
        let mut other_order = mlp(names);
        other_order.reverse();
        assert_eq!(matched(&other_order, &network), right);
    }
}

#[test]
fn what_numbers_do_not_tell_apart_is_not_guessed() {
    let network = network(MLP);
    for names in [
        ["hidden", "middle", "out"],
        ["fc1", "hidden2", "out"],
        ["fc1", "fc01", "out"],
    ] {
        let error = matched(&mlp(names), &network).unwrap_err();
        assert!(
            error.contains("the layers 1, 3 (bias [16], weight [16, 16]) their names do not say"),
            "{error}"
        );
    }
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let network = network(MLP);
    let mut entries = mlp(["1", "3", "5"]);
    entries[1].shape = vec![17];
    entries.remove(2);
    entries[4].dtype = Dtype::Integer(8);
    entries.push(entry("7.weight", &[2, 2]));
    assert_eq!(
        matched(&entries, &network).unwrap_err(),
        "these are not the weights of the recipe's network:\n  \
         1.bias is [17]; [16] is right\n  \
         3.weight [16, 16] is missing\n  \
         5.bias holds integers of 8 bytes; weights are float32, float64, float16 or bfloat16\n  \
         7.weight [2, 2] belongs to no layer"
    );

    let mut entries = mlp(["fc1", "fc2", "out"]);
    entries[4].shape = vec![3, 16];
    assert_eq!(
        matched(&entries, &network).unwrap_err(),
        "these are not the weights of the recipe's network:\n  \
         5.bias [2] is missing\n  \
         5.weight [2, 16] is missing\n  \
         out.bias [2] belongs to no layer\n  \
         out.weight [3, 16] belongs to no layer"
    );
    let error = matched(&mlp(["fc1", "fc2", "out"])[2..], &network).unwrap_err();
    assert!(
        error.contains(
            "the layers 1, 3 have bias [16], weight [16, 16], of which the file has 1 (fc2)"
        ),
        "{error}"
    );
}

#[test]
fn counters_of_batch_normalization_are_left_out() {
    let network = network(r#""BatchNorm2d(1)""#);
    let names = ["weight", "bias", "running_mean", "running_var"];
    let mut entries: Vec<Entry> = names
        .iter()
        .map(|n| entry(&format!("bn.{n}"), &[1]))
        .collect();
    entries.push(Entry {
        dtype: Dtype::Integer(8),
        ..entry("bn.num_batches_tracked", &[])
    });
    assert_eq!(matched(&entries, &network), by_shape(&[(0, "bn")]));
}

#[test]
fn a_shape_does_not_decide_how_much_is_allocated() {
    let bytes: Vec<u8> = (0..6_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let file = StateDict {
        entries: Vec::new(),
        wrapper: String::new(),
        storages: Storages::Slices(vec![&bytes]),
    };
    let values = |shape: &[usize], strides: &[usize], offset| {
        file.values(&Entry {
            strides: strides.to_vec(),
            offset,
            ..entry("x", shape)
        })
    };
    assert_eq!(
        values(&[2, 3], &[3, 1], 0).unwrap(),
        [0., 1., 2., 3., 4., 5.]
    );
    assert_eq!(
        values(&[3, 2], &[1, 3], 0).unwrap(),
        [0., 3., 1., 4., 2., 5.]
    );
    assert_eq!(values(&[2], &[2], 3).unwrap(), [3., 5.]);
    assert_eq!(values(&[], &[], 4).unwrap(), [4.]);
    assert!(values(&[0, 5], &[5, 1], 9).unwrap().is_empty());
    let most = usize::MAX;
    for (shape, strides, offset) in [
        (&[7][..], &[1][..], 0),
        (&[2], &[2], 4),
        (&[1 << 40], &[0], 0),
        (&[most, most], &[0, 0], 0),
        (&[2, 2], &[most, 1], 0),
        (&[2], &[1], most),
        (&[], &[], 6),
    ] {
        assert!(values(shape, strides, offset).is_err(), "{shape:?}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let error = |bytes: &[u8]| StateDict::parse(bytes).unwrap_err().to_string();
    let other = "it is neither what torch.save writes nor a safetensors file";
    for bytes in [
        &b""[..],
        b"hello",
        b"\x80",
        b"\x80\x02N.",
        b"\x08\x07\x12\x07pytorch",
        &[0; 100],
    ] {
        assert_eq!(error(bytes), other);
    }
    assert!(error(b"PK\x03\x04").starts_with("the ZIP archive is damaged"));
    assert!(error(b"\xff\xff\xff\xff\xff\xff\xff\x7f{}").starts_with("it is no sound safetensors"));
    assert!(error(b"\x80\x02cos\nsystem\n.").starts_with("refuses to call os.system"));
}

/// A state dict whose storage takes a thousand times its place in the file, and says so or not.
#[test]
fn what_is_packed_does_not_decide_how_much_is_allocated() {
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;

    let pickle = b"\x80\x02}U\x01xctorch._utils\n_rebuild_tensor_v2\n\
        ((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ\0\0\0\x05tQK\0K\x02\x85K\x01\x85\x89Ntq\0Rs.";
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let packed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("x/data.pkl", packed).unwrap();
    zip.write_all(pickle).unwrap();
    zip.start_file("x/data/0", packed).unwrap();
    for _ in 0..257 {
        zip.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let read = |bytes: &[u8]| {
        let file = StateDict::parse(bytes).unwrap();
        file.values(&file.entries[0]).unwrap_err().to_string()
    };
    assert!(
        read(&bytes).contains("would take 269484032 bytes uncompressed"),
        "{}",
        read(&bytes)
    );
    // The size in the central directory says 8 bytes instead.
    let size = (257_u32 << 20).to_le_bytes();
    let place = bytes.windows(4).rposition(|w| w == size).unwrap();
    bytes[place..place + 4].copy_from_slice(&8_u32.to_le_bytes());
    assert!(
        read(&bytes).contains("it is of another size"),
        "{}",
        read(&bytes)
    );
}

/// A ZIP64 directory may claim any number of files at any place: the reader takes no memory for more of them than
/// the archive has bytes for.
#[test]
fn the_number_of_files_does_not_decide_how_much_is_allocated() {
    let archive = |files: u64, directory: u64| {
        let mut bytes = b"PK\x03\x04".to_vec();
        let end = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes()); // bytes that follow
        bytes.extend([45, 0, 45, 0]); // versions
        bytes.extend([0; 8]); // disks
        for number in [files, files, files.saturating_mul(46), directory] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(end.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes()); // disks
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([0xff; 12]); // "see the ZIP64 directory"
        bytes.extend([0; 2]); // comment
        bytes
    };
    let error = |files, directory| StateDict::parse(&archive(files, directory)).unwrap_err();
    let none = error(0, 4).to_string();
    assert!(none.contains("it has 0 files called data.pkl"), "{none}");
    for directory in [4, 1 << 50, u64::MAX] {
        for files in [1, 1 << 40, u64::MAX] {
            let error = error(files, directory);
            assert!(matches!(error, FileProblem::Zip(_)), "{error}");
        }
    }
}
