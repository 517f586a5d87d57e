//! The settings of recipes, key by key, and those in which they differ.

use serde::Serialize;

use crate::base::{Base, Frozen};
use crate::model_file::ModelFile;
use crate::train::Checkpoint;

/// A setting in which runs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its key in the recipe, as in `optimizer.lr`.
    pub key: String,
    /// Its value in each run; none where the recipe does not have it, so that its default holds.
    pub values: Vec<Option<String>>,
}

/// A value of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// One thing.
    Single(String),
    /// Things in a row: layers, transforms.
    List(Vec<String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Single(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(", ")),
        }
    }
}

/// All settings of a run in the order of their keys: the recipe's, and those that the command line may have changed.
pub(super) fn of_run(checkpoint: &Checkpoint) -> Vec<(String, Value)> {
    // A checkpoint that was loaded has a recipe that can be read.
    let table: toml::Table = toml::from_str(&checkpoint.recipe).unwrap_or_default();
    let mut settings = Vec::new();
    flatten("", &table, &mut settings);
    let changed = [
        ("train.epochs", checkpoint.train.epochs.to_string()),
        ("train.seed", checkpoint.train.seed.to_string()),
    ];
    let base = checkpoint.base.iter().flat_map(of_base);
    for (key, value) in changed.into_iter().chain(base) {
        settings.retain(|(other, _)| other != key);
        settings.push((key.to_owned(), Value::Single(value)));
    }
    settings
}

/// What a trained network that was gone on from is, and what became of its layers, as the options of `kinglet train`.
fn of_base(base: &Base) -> Vec<(&'static str, String)> {
    // A checkpoint that was loaded has a model.
    let model = ModelFile::from_bytes(&base.model).map(|file| file.model().id().to_string());
    let mut settings = vec![("--from", model.unwrap_or_default())];
    settings.extend(
        base.classes
            .map(|classes| ("--classes", classes.to_string())),
    );
    settings.extend(match &base.frozen {
        Frozen::Nothing => None,
        Frozen::Until(name) => Some(("--freeze-until", name.clone())),
        Frozen::AllBut(count) => Some(("--last", count.to_string())),
    });
    settings
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        let item = |value: &toml::Value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        let value = match value {
            toml::Value::Table(inner) => {
                flatten(&format!("{key}."), inner, settings);
                continue;
            }
            toml::Value::Array(items) if items.iter().any(toml::Value::is_str) => {
                Value::List(items.iter().map(item).collect())
            }
            value => Value::Single(item(value)),
        };
        settings.push((key, value));
    }
}

/// The settings in which `runs` differ, in the order in which the runs have them.
pub(super) fn differences(runs: &[&[(String, Value)]]) -> Vec<Setting> {
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in runs.iter().copied().flatten() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut differences = Vec::new();
    for key in keys {
        let value = |run: &&[(String, Value)]| {
            let found = run.iter().find(|(other, _)| other == key);
            found.map(|(_, value)| value.clone())
        };
        let values: Vec<Option<Value>> = runs.iter().map(value).collect();
        if values.iter().any(|value| *value != values[0]) {
            let values = unequal_parts(&values);
            let key = key.clone();
            differences.push(Setting { key, values });
        }
    }
    differences
}

/// The values as text; of lists what stands between a beginning and an end that all have.
fn unequal_parts(values: &[Option<Value>]) -> Vec<Option<String>> {
    let lists: Vec<&Vec<String>> = values
        .iter()
        .flatten()
        .filter_map(|value| match value {
            Value::List(items) => Some(items),
            Value::Single(_) => None,
        })
        .collect();
    if lists.len() != values.len() {
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        return values.iter().map(text).collect();
    }
    let shortest = lists.iter().map(|list| list.len()).min().unwrap_or(0);
    let all_have = |at: &dyn Fn(&Vec<String>) -> String| {
        let first = at(lists[0]);
        lists.iter().all(|list| at(list) == first)
    };
    let start = (0..shortest).take_while(|i| all_have(&|list| list[*i].clone()));
    let start = start.count();
    let end = (0..shortest - start)
        .take_while(|i| all_have(&|list| list[list.len() - 1 - i].clone()))
        .count();
    let part = |list: &&Vec<String>| {
        let mut items = Vec::new();
        if start > 0 {
            items.push("…");
        }
        items.extend(list[start..list.len() - end].iter().map(String::as_str));
        if end > 0 {
            items.push("…");
        }
        Some(items.join(", "))
    };
    lists.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, Value)> {
        let mut settings = Vec::new();
        flatten("", &toml::from_str(text).unwrap(), &mut settings);
        settings
    }

    fn found(texts: &[&str]) -> Vec<(String, Vec<Option<String>>)> {
        let runs: Vec<_> = texts.iter().map(|text| settings(text)).collect();
        let runs: Vec<&[(String, Value)]> = runs.iter().map(Vec::as_slice).collect();
        let differences = differences(&runs).into_iter();
        differences.map(|d| (d.key, d.values)).collect()
    }

    fn row(key: &str, values: &[Option<&str>]) -> (String, Vec<Option<String>>) {
        let values = values.iter().map(|value| value.map(str::to_owned));
        (key.to_owned(), values.collect())
    }

    #[test]
    fn only_what_differs_is_told_key_by_key() {
        let a = "name = \"x\"\n[optimizer]\ntype = \"SGD\"\nlr = 0.1\n[data]\nnormalize = { mean = [0.5], std = [0.5] }";
        let b = "name = \"x\"\n[optimizer]\ntype = \"SGD\"\nlr = 0.01\nmomentum = 0.9\n[data]\nnormalize = { mean = [0.5], std = [0.25] }";
        assert_eq!(
            found(&[a, b, a]),
            [
                row(
                    "data.normalize.std",
                    &[Some("[0.5]"), Some("[0.25]"), Some("[0.5]")]
                ),
                row("optimizer.lr", &[Some("0.1"), Some("0.01"), Some("0.1")]),
                row("optimizer.momentum", &[None, Some("0.9"), None]),
            ]
        );
        assert_eq!(found(&[a, a]), []);
    }

    #[test]
    fn of_layers_only_the_unequal_ones_are_told() {
        let a = r#"layers = ["A(1)", "B", "C", "D"]"#;
        let b = r#"layers = ["A(1)", "B", "X", "Y", "D"]"#;
        let c = r#"layers = ["A(1)", "D"]"#;
        let difference = row("layers", &[Some("…, C, …"), Some("…, X, Y, …")]);
        assert_eq!(found(&[a, b]), [difference]);
        let difference = row("layers", &[Some("…, B, C, …"), Some("…, …")]);
        assert_eq!(found(&[a, c]), [difference]);
    }
}
