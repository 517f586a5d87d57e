//! Taking a model file apart and closing it again, so that a test can change one thing and leave the rest
//! of the file in order: CRCs, lengths and the place of the weights are put right, the meaning is not.
//!
//! [`honest_prefix`] is written from `FORMAT.md`, not from the exporter: two who read the same page should
//! write the same bytes.

use kinglet::model::GraphSpec;
use kinglet::model::schema::{
    FORMAT_VERSION, File, Graph, MAGIC, Node, Operator, PREFIX_LEN, Prefix, Tensor, WEIGHTS_ALIGN,
};
use kinglet_kernels::Shape;

use crate::graphs::{file, tiny};

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// Where the prefix's fields lie in the file: name, offset and length, in order.
pub const PREFIX_FIELDS: [(&str, usize, usize); 17] = [
    ("magic", 0, 8),
    ("format_version", 8, 4),
    ("model_id", 12, 16),
    ("parent_id", 28, 16),
    ("body_crc", 44, 4),
    ("file_len", 48, 4),
    ("weights_offset", 52, 4),
    ("weights_len", 56, 4),
    ("input_len", 60, 4),
    ("output_len", 64, 4),
    ("activation_bytes", 68, 4),
    ("scratch_bytes", 72, 4),
    ("records", 76, 4),
    ("trainable_parameters", 80, 4),
    ("suffix_values", 84, 4),
    ("operators", 88, 8),
    ("prefix_crc", 96, 4),
];

/// The file as the schema has it.
///
/// # Panics
/// If it is not of the format.
pub fn open(bytes: &[u8]) -> File<'_> {
    postcard::from_bytes(bytes).expect("a sample file is of the format")
}

/// Writes `file` with its weights in an aligned place and with the lengths, offsets and CRCs that follow.
/// Whatever else its prefix says is left as it is.
///
/// # Panics
/// Never: whatever the schema can hold can be written.
pub fn seal(file: &File<'_>) -> Vec<u8> {
    let encoded = "the schema can be written";
    let graph = postcard::to_stdvec(&file.graph).expect(encoded);
    let weights = postcard::to_stdvec(file.weights).expect(encoded);
    // The length of fewer than 128 bytes of padding is one byte.
    let before = PREFIX_LEN + graph.len() + 1 + weights.len() - file.weights.len();
    let padding = before.next_multiple_of(WEIGHTS_ALIGN) - before;

    let mut prefix = file.prefix.clone();
    let word = |number: usize| (number as u32).to_le_bytes();
    prefix.weights_offset = word(before + padding);
    prefix.weights_len = word(file.weights.len());
    prefix.file_len = word(before + padding + file.weights.len());

    let mut bytes = postcard::to_stdvec(&prefix).expect(encoded);
    bytes.extend(graph);
    bytes.push(padding as u8);
    bytes.resize(bytes.len() + padding, 0);
    bytes.extend(weights);
    repair_crcs(&mut bytes);
    bytes
}

/// Puts both CRCs right, so that only the checks behind them can refuse the file.
pub fn repair_crcs(bytes: &mut [u8]) {
    let Some((prefix, body)) = bytes.split_at_mut_checked(PREFIX_LEN) else {
        return;
    };
    prefix[44..48].copy_from_slice(&CRC.checksum(body).to_le_bytes());
    let (covered, crc) = prefix.split_at_mut(PREFIX_LEN - 4);
    crc.copy_from_slice(&CRC.checksum(covered).to_le_bytes());
}

/// The prefix that tells the truth about `graph`, however senseless that is. Ids, and what [`seal`] fills
/// in, are zeros.
pub fn honest_prefix(graph: &Graph<'_>) -> Prefix {
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let len = |tensor: Option<&kinglet::model::schema::Tensor>| {
        word(tensor.map_or(0, |tensor| tensor.shape.len()))
    };
    let ends = graph.tensors.iter().map(|tensor| {
        let end = u64::from(tensor.offset).saturating_add(tensor.bytes() as u64);
        usize::try_from(end).unwrap_or(usize::MAX)
    });
    let activation_bytes = ends
        .map(|end| end.saturating_add(15) / 16 * 16)
        .max()
        .unwrap_or(0);

    let mut parameters = 0usize;
    let mut values = 0usize;
    let first = graph
        .nodes
        .len()
        .saturating_sub(usize::from(graph.trainable_nodes));
    for (index, node) in graph.nodes.iter().enumerate().skip(first) {
        let input = node.inputs.first();
        let input = input.and_then(|input| graph.tensors.get(usize::from(*input)));
        let (Some(input), Some(output)) = (input, graph.tensors.get(index + 1)) else {
            continue;
        };
        values = values.saturating_add(output.shape.len());
        if let Operator::LinearF32 { bias, .. } = node.operator {
            let rows = output.shape.len();
            let row = input.shape.len() + usize::from(bias.is_some());
            parameters = parameters.saturating_add(rows.saturating_mul(row));
        }
    }
    let operators = graph
        .nodes
        .iter()
        .fold(0, |all, node| all | node.operator.bit());
    Prefix {
        magic: MAGIC,
        format_version: FORMAT_VERSION.to_le_bytes(),
        model_id: [0; 16],
        parent_id: [0; 16],
        body_crc: [0; 4],
        file_len: [0; 4],
        weights_offset: [0; 4],
        weights_len: [0; 4],
        input_len: len(graph.tensors.first()),
        output_len: len(graph.tensors.last()),
        activation_bytes: word(activation_bytes),
        scratch_bytes: word(0),
        records: word(graph.nodes.len()),
        trainable_parameters: word(parameters),
        suffix_values: word(values),
        operators: operators.to_le_bytes(),
        prefix_crc: [0; 4],
    }
}

/// `spec`'s file with a change to its graph or weights, closed again under a prefix that tells the truth.
pub fn changed(spec: &GraphSpec, change: impl FnOnce(&mut File<'_>)) -> Vec<u8> {
    let bytes = file(spec);
    let mut file = open(&bytes);
    change(&mut file);
    file.prefix = honest_prefix(&file.graph);
    seal(&file)
}

/// The tiny file with a change to its bytes, under right CRCs.
pub fn patched(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = file(&tiny()).to_vec();
    change(&mut bytes);
    repair_crcs(&mut bytes);
    bytes
}

/// The tiny file with another body behind its prefix.
pub fn with_body(body: &[u8]) -> Vec<u8> {
    patched(|bytes| {
        bytes.truncate(PREFIX_LEN);
        bytes.extend_from_slice(body);
        set_file_len(bytes);
    })
}

/// Writes the length of `bytes` into their prefix.
pub fn set_file_len(bytes: &mut [u8]) {
    let len = (bytes.len() as u32).to_le_bytes();
    bytes[48..52].copy_from_slice(&len);
}

/// A chain of `nodes` ReLUs in place over eight elements, with a change.
pub fn unaries(nodes: usize, change: impl FnOnce(&mut File<'_>)) -> Vec<u8> {
    changed(&tiny(), |file| {
        file.graph.nodes = (0..nodes)
            .map(|index| Node {
                operator: Operator::ReluF32,
                inputs: [index as u16].into_iter().collect(),
            })
            .collect();
        file.graph.tensors = (0..=nodes)
            .map(|number| Tensor {
                shape: Shape::vector(8),
                offset: 0,
                last_use: number.min(nodes - 1) as u16,
                ..file.graph.tensors[0]
            })
            .collect();
        file.graph.mean.clear();
        file.graph.std.clear();
        file.graph.labels.clear();
        file.graph.trainable_nodes = 0;
        change(file);
    })
}
