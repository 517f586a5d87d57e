//! Reads a layer or a transform as it is written in Python: `Conv2d(3, 16, kernel_size=(3, 3), padding='same')`.
//!
//! A call is a name (with or without `nn.`), positional arguments, then named ones. Values are numbers,
//! `True`, `False`, `None`, strings and tuples or lists of them: all that such arguments can be.

use std::fmt;

use super::error::{CallProblem, hint};

/// A value as Python writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Float(f64),
    Bool(bool),
    None,
    Text(String),
    Tuple(Vec<Value>),
}

impl Value {
    /// The number, if it is a finite one.
    pub(super) fn number(&self) -> Option<f64> {
        match *self {
            Self::Integer(value) => Some(value as f64),
            Self::Float(value) => Some(value).filter(|value| value.is_finite()),
            _ => None,
        }
    }

    /// The numbers of a tuple.
    pub(super) fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::Tuple(values) => values.iter().map(Self::number).collect(),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Bool(true) => write!(f, "True"),
            Self::Bool(false) => write!(f, "False"),
            Self::None => write!(f, "None"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Tuple(values) => {
                let texts: Vec<String> = values.iter().map(Self::to_string).collect();
                let comma = if values.len() == 1 { "," } else { "" };
                write!(f, "({}{comma})", texts.join(", "))
            }
        }
    }
}

/// A call: the function's name and its arguments, those without a name first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let positional = self.positional.iter().map(Value::to_string);
        let named = self
            .named
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let arguments: Vec<String> = positional.chain(named).collect();
        write!(f, "{}({})", self.name, arguments.join(", "))
    }
}

impl Call {
    pub(super) fn parse(text: &str) -> Result<Self, CallProblem> {
        let mut reader = Reader::new(text);
        let (name, _) = reader.path("a name")?;
        reader.expect("(", "\"(\"")?;
        let call = Self::arguments(name, &mut reader)?;
        reader.end()?;
        Ok(call)
    }

    /// Reads what follows `name(`, with its end.
    pub(super) fn arguments(name: String, reader: &mut Reader) -> Result<Self, CallProblem> {
        let mut call = Self {
            name,
            positional: Vec::new(),
            named: Vec::new(),
        };
        while !reader.take(")") {
            match reader.argument_name() {
                Some(name) => call.named.push((name, reader.value()?)),
                None => {
                    let value = reader.value()?;
                    if !call.named.is_empty() {
                        return Err(CallProblem::PositionalAfterNamed(value.to_string()));
                    }
                    call.positional.push(value);
                }
            }
            if !reader.take(",") {
                reader.expect(")", "\",\" or \")\"")?;
                break;
            }
        }
        Ok(call)
    }

    /// Gives each argument to the parameter it is for. `parameters` are those of the function in their
    /// order, and `signature` is how it is called; the result has one place for each parameter.
    pub(super) fn bind(
        &self,
        parameters: &[&'static str],
        signature: impl Fn() -> String,
    ) -> Result<Vec<Option<Value>>, CallProblem> {
        if self.positional.len() > parameters.len() {
            return Err(CallProblem::TooManyArguments {
                found: self.positional.len(),
                signature: format!("the call is {}", signature()),
            });
        }
        let mut bound: Vec<Option<Value>> = self.positional.iter().cloned().map(Some).collect();
        bound.resize(parameters.len(), None);
        for (name, value) in &self.named {
            let Some(place) = parameters.iter().position(|p| p == name) else {
                return Err(CallProblem::UnknownArgument {
                    name: name.clone(),
                    hint: hint(name, parameters.iter().copied()),
                });
            };
            if bound[place].replace(value.clone()).is_some() {
                return Err(CallProblem::ArgumentTwice(name.clone()));
            }
        }
        Ok(bound)
    }
}

impl Call {
    /// The same call with another first argument, that of parameter `name`.
    pub(super) fn with_first(&self, name: &str, value: usize) -> Self {
        let mut call = self.clone();
        let place = match call.positional.first_mut() {
            Some(first) => Some(first),
            None => call
                .named
                .iter_mut()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v),
        };
        if let Some(place) = place {
            *place = Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        }
        call
    }
}

/// What is left of the text.
pub(super) struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes a name with or without modules before it, `nn.` say; returns its last part, and whether that is all.
    pub(super) fn path(&mut self, expected: &'static str) -> Result<(String, bool), CallProblem> {
        let mut name = self.name(expected)?;
        let mut is_alone = true;
        while self.take(".") {
            name = self.name("a name")?;
            is_alone = false;
        }
        Ok((name, is_alone))
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `token` if it comes next.
    pub(super) fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn expect(
        &mut self,
        token: &str,
        expected: &'static str,
    ) -> Result<(), CallProblem> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.syntax(expected))
        }
    }

    pub(super) fn end(&mut self) -> Result<(), CallProblem> {
        self.skip_space();
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.syntax("the end"))
        }
    }

    pub(super) fn syntax(&self, expected: &'static str) -> CallProblem {
        CallProblem::Syntax {
            expected,
            found: if self.rest.is_empty() {
                "the end".to_owned()
            } else {
                format!("\"{}\"", self.rest)
            },
        }
    }

    /// Takes the characters that satisfy `of`.
    fn word(&mut self, of: impl Fn(char) -> bool) -> &str {
        self.skip_space();
        let length = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }

    fn name(&mut self, expected: &'static str) -> Result<String, CallProblem> {
        self.skip_space();
        if !self
            .rest
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            return Err(self.syntax(expected));
        }
        Ok(self.word(|c| c.is_alphanumeric() || c == '_').to_owned())
    }

    /// Takes `name =` if that comes next.
    pub(super) fn argument_name(&mut self) -> Option<String> {
        let before = self.rest;
        if let Ok(name) = self.name("")
            && self.take("=")
        {
            return Some(name);
        }
        self.rest = before;
        None
    }

    fn value(&mut self) -> Result<Value, CallProblem> {
        const EXPECTED: &str = "a number, True, False, None, a string or a tuple";
        self.skip_space();
        let before = self.rest;
        match self.rest.chars().next() {
            Some('(') => self.tuple("(", ")"),
            Some('[') => self.tuple("[", "]"),
            Some(quote @ ('\'' | '"')) => {
                let (text, rest) = self.rest[1..]
                    .split_once(quote)
                    .ok_or_else(|| self.syntax("a string that ends"))?;
                let text = text.to_owned();
                self.rest = rest;
                Ok(Value::Text(text))
            }
            Some(c) if c.is_alphabetic() => match self.word(char::is_alphanumeric) {
                "True" => Ok(Value::Bool(true)),
                "False" => Ok(Value::Bool(false)),
                "None" => Ok(Value::None),
                _ => {
                    self.rest = before;
                    Err(self.syntax(EXPECTED))
                }
            },
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
                let value = number(self.number_text());
                value.ok_or_else(|| {
                    self.rest = before;
                    self.syntax(EXPECTED)
                })
            }
            _ => Err(self.syntax(EXPECTED)),
        }
    }

    /// Takes what may belong to a number: digits, a point, an exponent with its sign.
    fn number_text(&mut self) -> &str {
        let bytes = self.rest.as_bytes();
        let belongs = |i: usize, b: u8| match b {
            b'-' | b'+' => i == 0 || matches!(bytes[i - 1], b'e' | b'E'),
            _ => b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'e' | b'E'),
        };
        let end = bytes.iter().enumerate().find(|&(i, &b)| !belongs(i, b));
        let (text, rest) = self.rest.split_at(end.map_or(bytes.len(), |(i, _)| i));
        self.rest = rest;
        text
    }

    fn tuple(&mut self, open: &str, close: &str) -> Result<Value, CallProblem> {
        self.expect(open, "a tuple")?;
        let mut values = Vec::new();
        let mut comma = true;
        while !self.take(close) {
            if !comma {
                return Err(self.syntax("\",\" or the end of the tuple"));
            }
            // No argument is a tuple of tuples.
            if self.rest.starts_with(['(', '[']) {
                return Err(self.syntax("a number in the tuple"));
            }
            values.push(self.value()?);
            comma = self.take(",");
        }
        // Python: (3) is 3, (3,) is a tuple.
        if open == "(" && values.len() == 1 && !comma {
            return Ok(values.remove(0));
        }
        Ok(Value::Tuple(values))
    }
}

fn number(text: &str) -> Option<Value> {
    let text = text.replace('_', "");
    if let Ok(value) = text.parse() {
        return Some(Value::Integer(value));
    }
    text.parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Call::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_what_python_writes() {
        let call = Call::parse(
            " nn.Conv2d( 3, 16, kernel_size=(3, 5), padding='same', bias=False, x=[1,], y=(2), z=None, w=-1e-05, ) ",
        )
        .unwrap();
        assert_eq!(call.name, "Conv2d");
        assert_eq!(call.positional, [Value::Integer(3), Value::Integer(16)]);
        let named: Vec<String> = call.named.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            named,
            [
                "kernel_size=(3, 5)",
                "padding='same'",
                "bias=False",
                "x=(1,)",
                "y=2",
                "z=None",
                "w=-0.00001"
            ]
        );
        assert_eq!(Call::parse("torch.nn.ReLU()").unwrap().name, "ReLU");
    }

    #[test]
    fn what_is_not_a_call_is_refused() {
        assert_eq!(error(""), "expected a name but found the end");
        assert_eq!(error("ReLU"), "expected \"(\" but found the end");
        assert_eq!(
            error("ReLU("),
            "expected a number, True, False, None, a string or a tuple but found the end"
        );
        assert_eq!(error("ReLU() x"), "expected the end but found \"x\"");
        assert_eq!(
            error("Linear(3 4)"),
            "expected \",\" or \")\" but found \"4)\""
        );
        assert_eq!(
            error("Conv2d(3, (3, 4)"),
            "expected \",\" or \")\" but found the end"
        );
        assert_eq!(
            error("Conv2d(((3, 4)))"),
            "expected a number in the tuple but found \"(3, 4)))\""
        );
        assert_eq!(
            error("Conv2d((3 4))"),
            "expected \",\" or the end of the tuple but found \"4))\""
        );
        assert_eq!(
            error("Dropout(p='0.5)"),
            "expected a string that ends but found \"'0.5)\""
        );
        assert_eq!(
            error("Linear(true)"),
            "expected a number, True, False, None, a string or a tuple but found \"true)\""
        );
        assert_eq!(
            error("Linear(1.2.3)"),
            "expected a number, True, False, None, a string or a tuple but found \"1.2.3)\""
        );
        assert_eq!(
            error("Linear(a=1, 2)"),
            "the argument 2 has no name but follows one that has"
        );
        assert_eq!(error("Größe…"), "expected \"(\" but found \"…\"");
    }

    #[test]
    fn arguments_find_their_parameters() {
        let bind = |text| {
            Call::parse(text)
                .unwrap()
                .bind(&["in_features", "out_features"], || {
                    "Linear(in_features, out_features)".to_owned()
                })
        };
        assert_eq!(
            bind("Linear(3, out_features=4)").unwrap(),
            [Some(Value::Integer(3)), Some(Value::Integer(4))]
        );
        let error = |text| bind(text).unwrap_err().to_string();
        assert_eq!(
            error("Linear(1, 2, 3)"),
            "3 arguments are too many; the call is Linear(in_features, out_features)"
        );
        assert_eq!(
            error("Linear(1, output_features=2)"),
            "there is no argument \"output_features\"; did you mean out_features?"
        );
        assert_eq!(
            error("Linear(1, in_features=2)"),
            "the argument in_features is given twice"
        );
        assert_eq!(
            error("Linear(1, q=2)"),
            "there is no argument \"q\"; known are in_features, out_features"
        );
    }
}
