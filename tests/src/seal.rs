//! Taking a model file apart and closing it again, so that a test can change one thing and leave the rest
//! of the file in order: CRCs, lengths and the place of the weights are put right, the meaning is not.
//!
//! [`honest_prefix`] is written from `FORMAT.md`, not from the exporter: two who read the same page should
//! write the same bytes.

use kinglet::model::GraphSpec;
use kinglet::model::schema::{
    FORMAT_VERSION, File, Graph, MAGIC, Node, Operator, PREFIX_LEN, Prefix, Tensor, WEIGHTS_ALIGN,
};
use kinglet::operator::{Element, Layer};
use kinglet_kernels::{Shape, Unary, Window};

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
    ("sum_terms", 72, 4),
    ("records", 76, 4),
    ("trainable_parameters", 80, 4),
    ("suffix_values", 84, 4),
    ("operators", 88, 16),
    ("prefix_crc", 104, 4),
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
/// If an extent has more than 32 bits: whatever else the schema can hold can be written.
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

/// The bit of what `operator` computes of elements of one type, from the table of `FORMAT.md`; none if there is no
/// such row.
pub fn bit(operator: &Operator, element: Element) -> Option<u32> {
    use Element::{F32, I8};
    Some(match (operator, element) {
        (Operator::Conv2d(_), F32) => 0,
        (Operator::Linear(_), F32) => 1,
        (Operator::Conv2dMaxPool2d(_), F32) => 2,
        (Operator::MaxPool2d(_), F32) => 3,
        (Operator::AvgPool2d(_), F32) => 4,
        (Operator::Unary(function), F32) => match function {
            Unary::Relu => 5,
            Unary::Relu6 => 6,
            Unary::LeakyRelu { .. } => 7,
            Unary::Sigmoid => 8,
            Unary::Tanh => 9,
            Unary::Clip { .. } => 10,
            Unary::Elu { .. } => 11,
            Unary::HardSigmoid { .. } => 12,
            Unary::HardSwish => 13,
            Unary::Selu { .. } => 40,
            Unary::Swish { .. } => 41,
            Unary::Softplus => 42,
            Unary::Softsign => 43,
            Unary::Mish => 44,
            Unary::Gelu => 45,
            Unary::GeluTanh => 46,
            Unary::Erf => 47,
            Unary::Abs => 48,
            Unary::Exp => 49,
            Unary::Log => 50,
            Unary::Sqrt => 51,
            Unary::Power { .. } => 52,
        },
        (Operator::Softmax(_), F32) => 14,
        (Operator::LogSoftmax(_), F32) => 15,
        (Operator::Binary(_), F32) => 16,
        (Operator::BinaryConstant(_), F32) => 17,
        (Operator::ChannelAffine(_), F32) => 18,
        (Operator::Concat(_), F32) => 19,
        (Operator::Slice(_), F32) => 20,
        (Operator::Pad(_), F32) => 21,
        (Operator::Upsample(_), F32) => 22,
        (Operator::Transpose(_), F32) => 23,
        (Operator::Reshape(_), F32) => 24,
        (Operator::Quantize(_), F32) => 25,
        (Operator::Dequantize(_), I8) => 26,
        (Operator::Requantize(_), I8) => 27,
        (Operator::MaxPool2d(_), I8) => 28,
        (Operator::AvgPool2d(_), I8) => 29,
        (Operator::Softmax(_), I8) => 30,
        (Operator::Concat(_), I8) => 31,
        (Operator::Slice(_), I8) => 32,
        (Operator::Pad(_), I8) => 33,
        (Operator::Upsample(_), I8) => 34,
        (Operator::Transpose(_), I8) => 35,
        (Operator::Reshape(_), I8) => 36,
        (Operator::QuantizedConv2d(_), I8) => 37,
        (Operator::QuantizedLinear(_), I8) => 38,
        (Operator::QuantizedAdd(_), I8) => 39,
        (Operator::Table(_), I8) => 53,
        (Operator::QuantizedBinary(_), I8) => 54,
        _ => return None,
    })
}

/// Products of one sum that `operator` computes of `input`.
fn terms(operator: &Operator, input: Shape) -> usize {
    let taps = |window: &Window, groups: u32| {
        let channels = input.channels / (groups as usize).max(1);
        window
            .kernel_h
            .saturating_mul(window.kernel_w)
            .saturating_mul(channels)
    };
    match operator {
        Operator::Conv2d(conv) => taps(&conv.window, conv.groups),
        Operator::Conv2dMaxPool2d(joined) => taps(&joined.conv.window, joined.conv.groups),
        Operator::QuantizedConv2d(conv) => taps(&conv.window, conv.groups),
        Operator::Linear(_) | Operator::QuantizedLinear(_) => input.len(),
        _ => 0,
    }
}

/// Parameters of a linear layer from `input` to `output`, in elements.
fn parameters(layer: &Layer, input: Shape, output: Shape) -> usize {
    let row = input.len().saturating_add(layer.bias.iter().count());
    output.len().saturating_mul(row)
}

/// The prefix that tells the truth about `graph`, however senseless that is. Ids, and what [`seal`] fills
/// in, are zeros.
pub fn honest_prefix(graph: &Graph<'_>) -> Prefix {
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let tensor = |number: usize| graph.tensors.get(number);
    let len = |tensor: Option<&Tensor>| word(tensor.map_or(0, |tensor| tensor.shape.len()));
    let ends = graph.tensors.iter().map(|tensor| {
        let end = u64::from(tensor.offset).saturating_add(tensor.bytes() as u64);
        usize::try_from(end).unwrap_or(usize::MAX)
    });
    let activation_bytes = ends
        .map(|end| end.saturating_add(15) / 16 * 16)
        .max()
        .unwrap_or(0);

    let (mut trainable, mut values) = (0usize, 0usize);
    let (mut sum_terms, mut operators) = (0, 0u128);
    let trainable_nodes = usize::from(graph.trainable_nodes);
    let first = graph.nodes.len().saturating_sub(trainable_nodes);
    for (index, node) in graph.nodes.iter().enumerate() {
        let input = node.inputs.first();
        let input = input.and_then(|input| tensor(usize::from(*input)));
        let output = tensor(graph.inputs.len() + index);
        let (Some(input), Some(output)) = (input, output) else {
            continue;
        };
        let bit = bit(&node.operator, input.dtype.element());
        operators |= bit.map_or(0, |bit| 1 << bit);
        sum_terms = sum_terms.max(terms(&node.operator, input.shape));
        if index < first {
            continue;
        }
        values = values.saturating_add(output.shape.len());
        if let Operator::Linear(linear) = &node.operator {
            let parameters = parameters(&linear.layer, input.shape, output.shape);
            trainable = trainable.saturating_add(parameters);
        }
    }
    let output = graph.outputs.first();
    Prefix {
        magic: MAGIC,
        format_version: FORMAT_VERSION.to_le_bytes(),
        model_id: [0; 16],
        parent_id: [0; 16],
        body_crc: [0; 4],
        file_len: [0; 4],
        weights_offset: [0; 4],
        weights_len: [0; 4],
        input_len: len(tensor(0)),
        output_len: len(output.and_then(|output| tensor(usize::from(output.tensor)))),
        activation_bytes: word(activation_bytes),
        sum_terms: word(sum_terms),
        records: word(graph.nodes.len()),
        trainable_parameters: word(trainable),
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
                operator: Unary::Relu.into(),
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
        file.graph.inputs[0].normalization = &[];
        file.graph.outputs[0].labels = "";
        file.graph.outputs[0].tensor = nodes as u16;
        file.graph.trainable_nodes = 0;
        change(file);
    })
}
