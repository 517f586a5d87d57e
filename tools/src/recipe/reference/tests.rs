//! What the reference says is what the parser does.

use std::path::Path;

use kinglet_kernels::Shape;

use super::*;
use crate::recipe::call::Call;
use crate::recipe::shapes::Flow;
use crate::recipe::{Recipe, transform};

/// What the examples read.
const PHOTO: Shape = Shape::new(32, 32, 3);

/// Lines of a recipe that need something before them.
const BEFORE: &str = "input = [3, 32, 32]\nlayers = [\"Flatten()\", \"Linear(3072, 2)\"]\n";

#[test]
fn the_page_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes.md");
    if std::env::var_os("KINGLET_BLESS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == reference(),
        "docs/recipes.md is not what `kinglet recipes` prints: run this test with KINGLET_BLESS=1"
    );
}

#[test]
fn every_example_of_keys_is_a_recipe_and_has_them_all() {
    for group in GROUPS {
        let text = match group.example.contains("layers") {
            true => group.example.to_owned(),
            false => format!("{BEFORE}{}", group.example),
        };
        if let Err(error) = Recipe::parse(&text, Path::new("example.toml")) {
            panic!("{}: {error}", group.title);
        }
        for key in group.keys {
            let there = [format!("{} =", key.name), format!("[{}]", key.name)];
            assert!(
                there.iter().any(|text| group.example.contains(text)),
                "{}: {} is not in the example",
                group.title,
                key.name
            );
        }
    }
}

#[test]
fn the_example_of_branches_is_a_recipe() {
    let (_, example) = BRANCHES.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let recipe = Recipe::parse(example, Path::new("example.toml")).unwrap();
    assert_eq!(recipe.graph.tensors()[0].name, "1.weight");
}

/// A call with every default that it leaves out written down.
fn with_defaults(function: &Function, call: &str) -> String {
    let mut call = Call::parse(call).unwrap();
    let parameters = function.parameters.iter();
    let left_out = parameters
        .skip(call.positional.len())
        .filter(|p| !p.default.is_empty() && call.named.iter().all(|(name, _)| name != p.name));
    let texts = left_out.map(|p| format!("f({}={})", p.name, p.default));
    let named: Vec<_> = texts
        .flat_map(|text| Call::parse(&text).unwrap().named)
        .collect();
    call.named.extend(named);
    call.to_string()
}

#[test]
fn every_layer_s_defaults_are_those_of_the_parser() {
    for layer in LAYERS {
        let (last, before) = layer.example.split_last().unwrap();
        assert_eq!(Call::parse(last).unwrap().name, layer.name);
        let read = |call: &str| {
            let mut flow = Flow::new(PHOTO);
            for call in before {
                flow.next(call).unwrap();
            }
            flow.next(call)
                .unwrap_or_else(|error| panic!("{call}: {error}"))
        };
        assert_eq!(read(last), read(&with_defaults(layer, last)));
    }
}

#[test]
fn every_transform_s_defaults_are_those_of_the_parser() {
    for transform in TRANSFORMS {
        let [call] = transform.example else {
            panic!("{}", transform.name);
        };
        let read = |call: &str| match transform::read(call, PHOTO) {
            Ok(read) => read,
            Err(error) => panic!("{call}: {error}"),
        };
        assert_eq!(read(call), read(&with_defaults(transform, call)));
    }
}
