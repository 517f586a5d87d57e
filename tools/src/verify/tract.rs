//! The second opinion: what tract computes for each value of an ONNX file.

use std::collections::HashMap;
use std::path::Path;

use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::import::onnx::Door;

/// tract could not compute a network.
#[derive(Debug, thiserror::Error)]
#[error("{file}: tract cannot run this network, so there is no second opinion: {reason}")]
pub struct Refused {
    file: String,
    reason: String,
}

impl Refused {
    fn new(file: &str, error: &TractError) -> Self {
        Self {
            file: file.to_owned(),
            // With its causes.
            reason: format!("{error:#}"),
        }
    }
}

/// What a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Real numbers.
    Real,
    /// 8-bit numbers with a sign.
    Signed,
    /// 8-bit numbers without one: 128 more.
    Unsigned,
}

/// A tensor that tract computed, in the file's order.
pub(super) struct Values {
    pub(super) kind: Kind,
    pub(super) elements: Vec<f32>,
}

/// An ONNX file made ready to compute the values of some of its nodes.
pub(super) struct Tract {
    file: String,
    plan: Arc<TypedRunnableModel>,
    /// What each input is made of, and its dimensions.
    inputs: Vec<(DatumType, Vec<usize>)>,
    /// The nodes whose outputs are computed, in the order tract gives them, and the outputs' names.
    nodes: Vec<(String, String)>,
}

impl Tract {
    /// The file in `bytes` with these inputs, and those outputs of its nodes that `wants` names, by what computes them here
    /// and by their own name.
    pub(super) fn new(
        bytes: &[u8],
        path: &Path,
        doors: &[Door],
        wants: impl Fn(&str, &str) -> bool,
    ) -> Result<Self, Refused> {
        let file = path.display().to_string();
        let refused = |error| Refused::new(&file, &error);
        let proto = ModelProto::decode(bytes).map_err(|error| refused(error.into()))?;
        let folder = path.parent().and_then(Path::to_str);
        // Shapes that a file states may be those of another batch.
        let framework = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .with_ignore_output_shapes(true);
        let parsed = framework.parse(&proto, folder).map_err(refused)?;
        let mut model = parsed.model;
        let outlets = doors.iter().map(|door| {
            let outlet = parsed.outlets_by_name.get(&door.name).copied();
            outlet.ok_or_else(|| TractError::msg(format!("it has no input {}", door.name)))
        });
        let outlets: Vec<OutletId> = outlets.collect::<Result<_, _>>().map_err(refused)?;
        model.set_input_outlets(&outlets).map_err(refused)?;
        let mut inputs = Vec::with_capacity(doors.len());
        for (index, (outlet, door)) in outlets.iter().zip(doors).enumerate() {
            let fact = model.outlet_fact(*outlet).map_err(refused)?;
            let datum = fact.datum_type.concretize().unwrap_or(f32::datum_type());
            let fact = InferenceFact::dt_shape(datum, &door.dims);
            model.set_input_fact(index, fact).map_err(refused)?;
            inputs.push((datum, door.dims.clone()));
        }
        let (mut nodes, mut outlets) = (Vec::new(), Vec::new());
        for node in proto.graph.iter().flat_map(|graph| &graph.node) {
            for (place, output) in node.output.iter().enumerate() {
                // As the importer calls what computes it: by the node, but for its further outputs.
                let name = match node.name.as_str() {
                    name if !name.is_empty() && place == 0 => name,
                    _ => output,
                };
                if let Some(outlet) = parsed.outlets_by_name.get(output)
                    && wants(name, output)
                {
                    nodes.push((name.to_owned(), output.to_owned()));
                    outlets.push(*outlet);
                }
            }
        }
        model.select_output_outlets(&outlets).map_err(refused)?;
        let plan = model.into_typed().and_then(|model| model.into_runnable());
        Ok(Self {
            plan: plan.map_err(refused)?,
            file,
            inputs,
            nodes,
        })
    }

    /// What each input is made of.
    pub(super) fn inputs(&self) -> impl Iterator<Item = Kind> {
        self.inputs.iter().map(|(datum, _)| kind(*datum))
    }

    /// The node that computes a wanted value.
    pub(super) fn node(&self, value: &str) -> Option<&str> {
        let found = self.nodes.iter().find(|(_, output)| output == value);
        found.map(|(node, _)| node.as_str())
    }

    /// The wanted values for one sample of each input, by node; elements in the file's order.
    pub(super) fn run(&self, samples: &[Vec<f32>]) -> Result<HashMap<&str, Values>, Refused> {
        let compute = || -> TractResult<HashMap<&str, Values>> {
            let mut inputs = TVec::new();
            for (sample, (datum, dims)) in samples.iter().zip(&self.inputs) {
                let input = Tensor::from_shape(dims, sample)?;
                inputs.push(input.cast_to_dt(*datum)?.into_owned().into());
            }
            let outputs = self.plan.run(inputs)?;
            let outputs = self.nodes.iter().zip(outputs).map(|((name, _), output)| {
                let real = output.cast_to::<f32>()?;
                let elements = real.to_plain_array_view::<f32>()?;
                let values = Values {
                    kind: kind(output.datum_type()),
                    elements: elements.iter().copied().collect(),
                };
                Ok((name.as_str(), values))
            });
            outputs.collect()
        };
        compute().map_err(|error| Refused::new(&self.file, &error))
    }
}

fn kind(datum: DatumType) -> Kind {
    match datum.unquantized() {
        DatumType::I8 => Kind::Signed,
        DatumType::U8 => Kind::Unsigned,
        _ => Kind::Real,
    }
}
