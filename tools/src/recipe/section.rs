//! Reads TOML tables and remembers on which line each value stands, so that every error can say so.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Problem, hint};
use super::keys::Key;

/// The keys that a section may have, in groups.
pub(super) type Keys = &'static [&'static [Key]];

/// A problem and the line where it is.
pub(super) type Located<T> = Result<T, (usize, Problem)>;

/// One table of a recipe. Keys are taken out one by one; [`Section::end`] refuses what nobody asked for.
pub(super) struct Section<'a> {
    /// `[train]`, or "the recipe" for the top level.
    name: &'static str,
    line: usize,
    text: &'a str,
    table: DeTable<'a>,
    /// What has a line in the reference.
    documented: Keys,
    /// What has been asked for.
    known: Vec<&'static str>,
}

/// A value, its key and its line.
pub(super) struct Entry<'a> {
    pub(super) key: String,
    pub(super) line: usize,
    value: DeValue<'a>,
    text: &'a str,
}

/// The line, from 1, of a position in the text.
fn line_of(text: &str, position: usize) -> usize {
    let before = text.as_bytes().iter().take(position);
    1 + before.filter(|&&byte| byte == b'\n').count()
}

impl<'a> Section<'a> {
    /// The top level of a TOML text, which may have the keys of `documented`.
    pub(super) fn parse(text: &'a str, documented: Keys) -> Located<Self> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let message = error.message().trim().replace('\n', ", ");
            (line, Problem::Syntax(message))
        })?;
        Ok(Self {
            name: "the recipe",
            line: 1,
            text,
            table: table.into_inner(),
            documented,
            known: Vec::new(),
        })
    }

    /// The value of a key, if it is there.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Entry<'a>> {
        debug_assert!(
            self.documented
                .iter()
                .copied()
                .flatten()
                .any(|k| k.name == key),
            "{key} in {} has no line in the table of keys",
            self.name
        );
        self.known.push(key);
        let (found, value) = self.table.remove_entry(key)?;
        let line = line_of(self.text, found.span().start);
        Some(Entry {
            key: key.to_owned(),
            line,
            value: value.into_inner(),
            text: self.text,
        })
    }

    /// The value of a key that has to be there; `example` is a line that would do.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        example: &'static str,
    ) -> Located<Entry<'a>> {
        let section = self.name.to_owned();
        let line = self.line;
        self.optional(key).ok_or((
            line,
            Problem::MissingKey {
                section,
                key,
                example,
            },
        ))
    }

    /// A table inside this one, or an empty one.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        name: &'static str,
        documented: Keys,
    ) -> Located<Self> {
        let text = self.text;
        let own_line = self.line;
        match self.optional(key) {
            None => Ok(Self {
                name,
                line: own_line,
                text,
                table: DeTable::new(),
                documented,
                known: Vec::new(),
            }),
            Some(entry) => entry.table(name, documented),
        }
    }

    /// Where the section begins.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// True when no key is left.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Refuses keys that nobody asked for.
    pub(super) fn end(self) -> Located<()> {
        let first = self.table.keys().min_by_key(|key| key.span().start);
        let Some(key) = first else { return Ok(()) };
        Err((
            line_of(self.text, key.span().start),
            Problem::UnknownKey {
                section: self.name.to_owned(),
                key: key.get_ref().to_string(),
                hint: hint(key.get_ref(), self.known.iter().copied()),
            },
        ))
    }
}

impl<'a> Entry<'a> {
    /// An error about this value.
    pub(super) fn wrong<T>(&self, right: impl Into<String>) -> Located<T> {
        Err((
            self.line,
            Problem::Value {
                key: self.key.clone(),
                found: describe(&self.value),
                right: right.into(),
            },
        ))
    }

    pub(super) fn table(self, name: &'static str, documented: Keys) -> Located<Section<'a>> {
        match self.value {
            DeValue::Table(table) => Ok(Section {
                name,
                line: self.line,
                text: self.text,
                table,
                documented,
                known: Vec::new(),
            }),
            _ => self.wrong("a table"),
        }
    }

    pub(super) fn string(self) -> Located<String> {
        match &self.value {
            DeValue::String(text) => Ok(text.to_string()),
            _ => self.wrong("a string"),
        }
    }

    /// Whether it is a string.
    pub(super) fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    pub(super) fn flag(self) -> Located<bool> {
        match &self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => self.wrong("true or false"),
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn count(self, least: u64) -> Located<u64> {
        let value = match &self.value {
            DeValue::Integer(value) => u64::from_str_radix(value.as_str(), value.radix()).ok(),
            _ => None,
        };
        match value {
            Some(value) if value >= least => Ok(value),
            _ => self.wrong(format!("a whole number of at least {least}")),
        }
    }

    /// A finite number that satisfies `valid`; `right` says which those are.
    pub(super) fn number(self, right: &str, valid: impl Fn(f64) -> bool) -> Located<f64> {
        let value = match &self.value {
            DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix())
                .ok()
                .map(|value| value as f64),
            DeValue::Float(value) => value.as_str().parse().ok(),
            _ => None,
        };
        match value {
            Some(value) if f64::is_finite(value) && valid(value) => Ok(value),
            _ => self.wrong(right),
        }
    }

    /// The entries of a list.
    pub(super) fn list(self, right: &str) -> Located<Vec<Entry<'a>>> {
        let text = self.text;
        let item = |(i, value): (usize, Spanned<DeValue<'a>>)| Entry {
            key: format!("{}[{i}]", self.key),
            line: line_of(text, value.span().start),
            value: value.into_inner(),
            text,
        };
        match self.value {
            DeValue::Array(values) => Ok(values.into_iter().enumerate().map(item).collect()),
            _ => self.wrong(right),
        }
    }
}

/// A value as the recipe has it, or its type where it is long.
fn describe(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(value) => value.to_string(),
        DeValue::Float(value) => value.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
