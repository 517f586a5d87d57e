//! Reads a line of `layers` as it is written in Python: a layer, what it is applied to, and what its result is called.
//!
//! ```text
//! ReLU()                                  of what the line before computes
//! x = ReLU()                              the same, called x
//! Conv2d(16, 32, 1, stride=2)(x)          of x
//! relu(x + y)                             sums, differences, products and functions of values
//! torch.cat([x, y], dim=1)                one after the other along the channels
//! ```

use kinglet_kernels::BinaryFunction;

use super::call::{Call, Reader};
use super::error::CallProblem;
use super::layers::{LAYERS, Otherwise, written_otherwise};

/// A line of `layers`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// What the result is called.
    pub(super) name: Option<String>,
    pub(super) expression: Expression,
}

/// What computes a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// What the line before computes.
    Before,
    /// A value by its name.
    Value(String),
    Layer(Call, Box<Expression>),
    Binary(BinaryFunction, Box<[Expression; 2]>),
    /// With `dim`.
    Concat(Vec<Expression>, i64),
}

/// Functions of two values by their names in `torch`.
const BINARY: [(&str, BinaryFunction); 10] = [
    ("add", BinaryFunction::Add),
    ("sub", BinaryFunction::Subtract),
    ("subtract", BinaryFunction::Subtract),
    ("mul", BinaryFunction::Multiply),
    ("multiply", BinaryFunction::Multiply),
    ("div", BinaryFunction::Divide),
    ("divide", BinaryFunction::Divide),
    ("true_divide", BinaryFunction::Divide),
    ("minimum", BinaryFunction::Minimum),
    ("maximum", BinaryFunction::Maximum),
];

const VALUE: &str = "a layer, or the name of a value";

impl Statement {
    pub(super) fn parse(text: &str) -> Result<Self, CallProblem> {
        let mut reader = Reader::new(text);
        let name = reader.argument_name();
        let expression = sum(&mut reader)?;
        reader.end()?;
        Ok(Self { name, expression })
    }
}

fn sum(reader: &mut Reader) -> Result<Expression, CallProblem> {
    let mut left = product(reader)?;
    loop {
        let function = match () {
            () if reader.take("+") => BinaryFunction::Add,
            () if reader.take("-") => BinaryFunction::Subtract,
            () => return Ok(left),
        };
        left = Expression::Binary(function, Box::new([left, product(reader)?]));
    }
}

fn product(reader: &mut Reader) -> Result<Expression, CallProblem> {
    let mut left = factor(reader)?;
    loop {
        let function = match () {
            () if reader.take("*") => BinaryFunction::Multiply,
            () if reader.take("/") => BinaryFunction::Divide,
            () => return Ok(left),
        };
        left = Expression::Binary(function, Box::new([left, factor(reader)?]));
    }
}

fn factor(reader: &mut Reader) -> Result<Expression, CallProblem> {
    if reader.take("(") {
        let inner = sum(reader)?;
        reader.expect(")", "\")\"")?;
        return Ok(inner);
    }
    let (name, is_alone) = reader.path(VALUE)?;
    if let Some(Otherwise { example, .. }) = written_otherwise(&name) {
        return Err(CallProblem::WrittenOtherwise { name, example });
    }
    if !reader.take("(") {
        return match is_alone {
            true if name == "_" => Ok(Expression::Before),
            true => Ok(Expression::Value(name)),
            false => Err(reader.syntax("\"(\"")),
        };
    }
    if let Some((_, function)) = BINARY.iter().find(|(known, _)| *known == name) {
        let left = sum(reader)?;
        reader.expect(",", "\",\" and another value")?;
        let right = sum(reader)?;
        reader.expect(")", "\")\"")?;
        return Ok(Expression::Binary(*function, Box::new([left, right])));
    }
    if let "cat" | "concat" | "concatenate" = name.as_str() {
        return concat(reader);
    }
    if let Some(layer) = layer_of(&name) {
        let of = Box::new(sum(reader)?);
        reader.take(",");
        return Ok(Expression::Layer(
            Call::arguments(layer.to_owned(), reader)?,
            of,
        ));
    }
    let call = Call::arguments(name, reader)?;
    let of = match reader.take("(") {
        true => {
            let of = sum(reader)?;
            reader.expect(")", "\")\"")?;
            of
        }
        false => Expression::Before,
    };
    Ok(Expression::Layer(call, Box::new(of)))
}

/// What follows `cat(`.
fn concat(reader: &mut Reader) -> Result<Expression, CallProblem> {
    let close = match reader.take("(") {
        true => ")",
        false => {
            reader.expect("[", "\"[\" and the values: torch.cat([x, y], dim=1)")?;
            "]"
        }
    };
    let mut values = vec![sum(reader)?];
    while !reader.take(close) {
        reader.expect(",", "\",\" or the end of the list")?;
        if reader.take(close) {
            break;
        }
        values.push(sum(reader)?);
    }
    reader.take(",");
    let call = Call::arguments("cat".to_owned(), reader)?;
    let bound = call.bind(&["dim"], || "torch.cat([x, y], dim=1)".to_owned())?;
    // Without it torch joins the samples of a batch, which is never meant here.
    match &bound[0] {
        Some(super::call::Value::Integer(dim)) => Ok(Expression::Concat(values, *dim)),
        Some(found) => Err(CallProblem::Argument {
            name: "dim",
            found: found.to_string(),
            right: "1 (the channels)",
        }),
        None => Err(CallProblem::MissingArgument {
            name: "dim",
            signature: "write torch.cat([x, y], dim=1)".to_owned(),
        }),
    }
}

/// The layer that a function of `torch` or `torch.nn.functional` computes, which is called by its name in small letters;
/// none of those with parameters.
fn layer_of(function: &str) -> Option<&'static str> {
    let is_function = function.starts_with(|c: char| c.is_lowercase());
    let small = function.replace('_', "");
    let layers = LAYERS.iter().map(|layer| layer.name);
    let mut layers = layers.filter(|name| !["Conv2d", "Linear", "BatchNorm2d"].contains(name));
    layers.find(|name| is_function && name.to_lowercase() == small)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Statement {
        Statement::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    fn value(name: &str) -> Expression {
        Expression::Value(name.to_owned())
    }

    #[test]
    fn what_python_writes_in_several_ways_is_the_same() {
        for texts in [
            &["ReLU()", "nn.ReLU()(_)", "F.relu(_)", "torch.relu(_)"][..],
            &["x + y", "torch.add(x, y)", "( x+y )"],
            &[
                "torch.cat([x, y], dim=1)",
                "cat((x, y), 1)",
                "torch.cat([x, y,], dim=1)",
            ],
            &[
                "relu(x)",
                "F.relu(x)",
                "ReLU()(x)",
                "nn.ReLU()(x)",
                "torch.relu(x)",
            ],
            &["F.leaky_relu(x, 0.2)", "LeakyReLU(0.2)(x)"],
            &["Flatten(1)(x)", "torch.flatten(x, 1)"],
        ] {
            for text in texts {
                assert_eq!(parsed(text), parsed(texts[0]), "{text}");
            }
        }
        assert_eq!(parsed("s = x").name.as_deref(), Some("s"));
        let sum = |function, left, right| Expression::Binary(function, Box::new([left, right]));
        let product = sum(BinaryFunction::Multiply, value("y"), value("z"));
        assert_eq!(
            parsed("x - y * z").expression,
            sum(BinaryFunction::Subtract, value("x"), product)
        );
    }

    #[test]
    fn what_is_no_line_says_what_is_missing() {
        let error = |text: &str| Statement::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("x +"),
            "expected a layer, or the name of a value but found the end"
        );
        assert_eq!(
            error("torch.cat([x, y])"),
            "the argument dim is missing; write torch.cat([x, y], dim=1)"
        );
        assert_eq!(
            error("torch.cat(x, y)"),
            "expected \"[\" and the values: torch.cat([x, y], dim=1) but found \"x, y)\""
        );
        for name in [
            "Residual",
            "BasicBlock",
            "SEBlock",
            "Sequential",
            "Add",
            "Concat",
        ] {
            let text = error(&format!("{name}(Conv2d(3, 3, 3), ReLU())"));
            let start = format!("branches are not written as {name}(...), but line by line: ");
            assert!(text.starts_with(&start), "{text}");
        }
    }
}
