//! The functions that a recipe may call, as data: what the parser binds arguments by is what the reference prints, so
//! that no argument can be added without its line.

/// A layer or a transform.
#[derive(Debug)]
pub(super) struct Function {
    /// Its name in PyTorch or torchvision.
    pub(super) name: &'static str,
    /// What it is one of, in the plural: `activations`.
    pub(super) kind: &'static str,
    /// Its parameters in the order of PyTorch or torchvision.
    pub(super) parameters: &'static [Parameter],
    /// What it does, in a sentence without its subject.
    pub(super) meaning: &'static str,
    /// The shape of its output, or when and how it acts.
    pub(super) output: &'static str,
    /// The calls of an example, of which the last is this function's.
    pub(super) example: &'static [&'static str],
}

/// A parameter of a function.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name in PyTorch or torchvision.
    pub(super) name: &'static str,
    /// Its default as Python writes it; empty where there is none.
    pub(super) default: &'static str,
    /// What it may be, and what that means.
    pub(super) meaning: &'static str,
}

/// A parameter without a default.
pub(super) const fn required(name: &'static str, meaning: &'static str) -> Parameter {
    with_default(name, "", meaning)
}

/// A parameter with a default.
pub(super) const fn with_default(
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Parameter {
    Parameter {
        name,
        default,
        meaning,
    }
}

/// `inplace`, which PyTorch's functions have.
pub(super) const INPLACE: Parameter = with_default("inplace", "False", "means nothing here");

impl Function {
    /// The names of the parameters in their order.
    pub(super) fn parameter_names(&self) -> Vec<&'static str> {
        self.parameters.iter().map(|p| p.name).collect()
    }

    /// How it is called: `Linear(in_features, out_features, bias=True)`.
    pub(super) fn signature(&self) -> String {
        let parameters = self.parameters.iter().map(|p| match p.default {
            "" => p.name.to_owned(),
            default => format!("{}={default}", p.name),
        });
        let parameters: Vec<String> = parameters.collect();
        format!("{}({})", self.name, parameters.join(", "))
    }
}
