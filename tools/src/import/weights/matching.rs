//! Which tensor of a file belongs to which layer.
//!
//! 1. By name, where the file's names are the recipe's: those of an `nn.Sequential` with the same layers.
//! 2. By shape otherwise, for models with names of their own (`conv1.weight`). A module and a layer belong
//!    together if their tensors have the same shapes and those of nothing else. Several of the same shapes go by
//!    the numbers in their names (`conv3`, `conv4`), if these are all they differ in.
//!
//! Whatever else might be guessed is not: the order of definition, for example, need not be the order in which
//! layers are used, and safetensors files do not keep it.

use std::collections::BTreeMap;
use std::fmt;

use super::dtype::Dtype;
use super::state_dict::Entry;
use crate::graph::Graph;

/// How the tensors were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Each by its name.
    ByName,
    /// By shapes: for each layer that has tensors its number and the module whose tensors it took.
    ByShape(Vec<(usize, String)>),
}

/// All that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mismatch {
    /// The problems: of the network's tensors in their order, then of the file's.
    pub problems: Vec<MatchProblem>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "these are not the weights of the recipe's network:")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchProblem {
    /// A tensor of the network that the file does not have.
    #[error("{name} {shape:?} is missing")]
    Missing {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor of the file that the network does not have.
    #[error("{name} {shape:?} belongs to no layer")]
    Extra {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("{name} is {found:?}; {right:?} is right")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the network.
        right: Vec<usize>,
    },
    /// A tensor that cannot be weights.
    #[error("{name} holds {dtype}; weights are float32, float64, float16 or bfloat16")]
    Integers {
        /// The tensor.
        name: String,
        /// What its elements are.
        dtype: Dtype,
    },
    /// Layers of the same shapes that cannot be told apart.
    #[error(
        "which of {modules} is which of the layers {layers} ({shapes}) their names do not say; rename them as the recipe's layers, as in {layer}.weight"
    )]
    Ambiguous {
        /// The modules of the file.
        modules: String,
        /// The layers of the network.
        layers: String,
        /// The first of these.
        layer: usize,
        /// The shapes of their tensors.
        shapes: String,
    },
    /// More modules or fewer of the same shapes than layers.
    #[error("the layers {layers} have {shapes}, of which the file has {found} ({modules})")]
    Count {
        /// The layers.
        layers: String,
        /// The shapes of their tensors.
        shapes: String,
        /// Number of modules.
        found: usize,
        /// The modules.
        modules: String,
    },
}

/// For each tensor of `network`, in its order, the entry of the file that belongs to it.
///
/// # Errors
/// [`Mismatch`] lists everything that is missing, left over, or of another shape.
pub(super) fn match_tensors<'e>(
    entries: &'e [Entry],
    network: &Graph,
) -> Result<(Vec<&'e Entry>, Matching), Mismatch> {
    let entries: Vec<&Entry> = entries.iter().filter(|entry| !is_counter(entry)).collect();
    let by_name: BTreeMap<&str, &Entry> = entries.iter().map(|e| (e.name.as_str(), *e)).collect();
    let tensors = network.tensors();
    let known = tensors
        .iter()
        .filter(|t| by_name.contains_key(t.name.as_str()))
        .count();
    let (chosen, matching) = if known == tensors.len() && known == entries.len() {
        let chosen = tensors.iter().map(|tensor| by_name[tensor.name.as_str()]);
        (chosen.collect(), Matching::ByName)
    } else {
        match by_shape(&entries, network) {
            Ok((chosen, layers)) => (chosen, Matching::ByShape(layers)),
            // Names that are known say more about what is wrong.
            Err(_) if known > 0 => return Err(by_name_problems(&by_name, &entries, network)),
            Err(mismatch) => return Err(mismatch),
        }
    };
    let problems: Vec<MatchProblem> = tensors
        .iter()
        .zip(&chosen)
        .filter_map(|(tensor, entry)| tensor_problem(entry, tensor.pytorch_shape()))
        .collect();
    match problems.is_empty() {
        true => Ok((chosen, matching)),
        false => Err(Mismatch { problems }),
    }
}

/// True for what batch normalization counts its batches in, which evaluation does not need.
fn is_counter(entry: &Entry) -> bool {
    matches!(entry.dtype, Dtype::Integer(_)) && split(&entry.name).1 == "num_batches_tracked"
}

/// Module and tensor: `block.conv1` and `weight`.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

fn tensor_problem(entry: &Entry, right: Vec<usize>) -> Option<MatchProblem> {
    let name = entry.name.clone();
    if entry.shape != right {
        let found = entry.shape.clone();
        return Some(MatchProblem::Shape { name, found, right });
    }
    let dtype = entry.dtype;
    matches!(dtype, Dtype::Integer(_)).then_some(MatchProblem::Integers { name, dtype })
}

fn by_name_problems(
    by_name: &BTreeMap<&str, &Entry>,
    entries: &[&Entry],
    network: &Graph,
) -> Mismatch {
    let tensors = network.tensors();
    let mut problems = Vec::new();
    for tensor in &tensors {
        let right = tensor.pytorch_shape();
        match by_name.get(tensor.name.as_str()) {
            Some(entry) => problems.extend(tensor_problem(entry, right)),
            None => problems.push(MatchProblem::Missing {
                name: tensor.name.clone(),
                shape: right,
            }),
        }
    }
    for entry in entries {
        if !tensors.iter().any(|tensor| tensor.name == entry.name) {
            problems.push(extra(entry));
        }
    }
    Mismatch { problems }
}

fn extra(entry: &Entry) -> MatchProblem {
    MatchProblem::Extra {
        name: entry.name.clone(),
        shape: entry.shape.clone(),
    }
}

/// The names and shapes of a module's or a layer's tensors: what tells one kind from another.
type Signature = BTreeMap<String, Vec<usize>>;

/// The layers and the modules of one signature.
#[derive(Default)]
struct Alike<'a> {
    layers: Vec<usize>,
    modules: Vec<&'a str>,
}

type ByShape<'e> = (Vec<&'e Entry>, Vec<(usize, String)>);

/// Finds the module of each layer by the shapes of their tensors.
fn by_shape<'e>(entries: &[&'e Entry], network: &Graph) -> Result<ByShape<'e>, Mismatch> {
    let mut layers: BTreeMap<usize, Signature> = BTreeMap::new();
    for tensor in network.tensors() {
        let (_, name) = split(&tensor.name);
        let signature = layers.entry(tensor.node).or_default();
        signature.insert(name.to_owned(), tensor.pytorch_shape());
    }
    let mut modules: BTreeMap<&str, Signature> = BTreeMap::new();
    for entry in entries {
        let (module, name) = split(&entry.name);
        let signature = modules.entry(module).or_default();
        signature.insert(name.to_owned(), entry.shape.clone());
    }
    let mut alike: BTreeMap<&Signature, Alike<'_>> = BTreeMap::new();
    for (layer, signature) in &layers {
        alike.entry(signature).or_default().layers.push(*layer);
    }
    for (module, signature) in &modules {
        alike.entry(signature).or_default().modules.push(module);
    }
    // In the order of the layers; what has none comes last.
    let mut alike: Vec<_> = alike.into_iter().collect();
    alike.sort_by_key(|(_, alike)| alike.layers.first().copied().unwrap_or(usize::MAX));
    let mut pairs = BTreeMap::new();
    let mut problems = Vec::new();
    for (signature, alike) in alike {
        match alike.pairs(signature) {
            Ok(found) => pairs.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Mismatch { problems });
    }
    let entry_of = |layer: usize, name: &str| {
        let module = pairs.get(&layer)?;
        let belongs = |entry: &&&Entry| split(&entry.name) == (*module, split(name).1);
        entries.iter().find(belongs).copied()
    };
    let tensors = network.tensors();
    let tensors = tensors.iter();
    let chosen = tensors
        .filter_map(|tensor| entry_of(tensor.node, &tensor.name))
        .collect();
    let layers = pairs
        .iter()
        .map(|(layer, module)| (*layer, (*module).to_owned()));
    Ok((chosen, layers.collect()))
}

impl<'a> Alike<'a> {
    /// Each layer with its module; what is wrong if that is not certain.
    fn pairs(self, signature: &Signature) -> Result<Vec<(usize, &'a str)>, Vec<MatchProblem>> {
        let Self { layers, modules } = self;
        if layers.is_empty() {
            let tensors = |module: &&str| {
                let module = (*module).to_owned();
                signature
                    .iter()
                    .map(move |(name, shape)| MatchProblem::Extra {
                        name: joined(&module, name),
                        shape: shape.clone(),
                    })
            };
            return Err(modules.iter().flat_map(tensors).collect());
        }
        if modules.is_empty() {
            let tensors = |layer: &usize| {
                let layer = layer.to_string();
                signature
                    .iter()
                    .map(move |(name, shape)| MatchProblem::Missing {
                        name: joined(&layer, name),
                        shape: shape.clone(),
                    })
            };
            return Err(layers.iter().flat_map(tensors).collect());
        }
        let listed = |numbers: &[usize]| {
            let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
            numbers.join(", ")
        };
        if layers.len() != modules.len() {
            return Err(vec![MatchProblem::Count {
                layers: listed(&layers),
                shapes: shapes(signature),
                found: modules.len(),
                modules: modules.join(", "),
            }]);
        }
        match by_number(&modules) {
            Some(modules) => Ok(layers.into_iter().zip(modules).collect()),
            None => Err(vec![MatchProblem::Ambiguous {
                modules: modules.join(", "),
                layer: layers[0],
                layers: listed(&layers),
                shapes: shapes(signature),
            }]),
        }
    }
}

fn joined(module: &str, name: &str) -> String {
    match module {
        "" => name.to_owned(),
        _ => format!("{module}.{name}"),
    }
}

fn shapes(signature: &Signature) -> String {
    let shapes = signature
        .iter()
        .map(|(name, shape)| format!("{name} {shape:?}"));
    shapes.collect::<Vec<_>>().join(", ")
}

/// The modules in the order of the numbers in their names; None if they differ in anything else.
fn by_number<'a>(modules: &[&'a str]) -> Option<Vec<&'a str>> {
    let [first, others @ ..] = modules else {
        return None;
    };
    if others.is_empty() {
        return Some(vec![first]);
    }
    let alike = others
        .iter()
        .all(|other| template(other) == template(first));
    let numbered = modules.iter().map(|name| Some((numbers(name)?, *name)));
    let mut numbered = numbered.collect::<Option<Vec<_>>>()?;
    numbered.sort();
    let apart = numbered.windows(2).all(|pair| pair[0].0 != pair[1].0);
    (alike && apart).then(|| numbered.into_iter().map(|(_, name)| name).collect())
}

/// A name with a `#` for each number.
fn template(name: &str) -> String {
    let mut template = String::new();
    for c in name.chars() {
        match c.is_ascii_digit() {
            false => template.push(c),
            true if template.ends_with('#') => {}
            true => template.push('#'),
        }
    }
    template
}

/// The numbers in a name, in their order; None if one is larger than any count of layers.
fn numbers(name: &str) -> Option<Vec<u32>> {
    let digits = name.split(|c: char| !c.is_ascii_digit());
    let digits = digits.filter(|digits| !digits.is_empty());
    digits.map(|digits| digits.parse().ok()).collect()
}
