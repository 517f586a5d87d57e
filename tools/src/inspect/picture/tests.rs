//! Drawings of whole models.

use super::*;
use crate::export::{ExportSettings, export};
use crate::model_file::ModelFile;
use crate::recipe::Recipe;

fn file(name: &str, fine_tune_last: usize) -> ModelFile {
    let text = format!(
        "name = {name:?}\ninput = [1, 8, 8]\nlayers = [\"Conv2d(1, 4, 3, padding=1)\", \"ReLU()\", \"MaxPool2d(2)\", \
         \"Flatten()\", \"Linear(64, 3)\"]"
    );
    let recipe = Recipe::parse(&text, "x.toml".as_ref()).unwrap();
    let settings = ExportSettings {
        normalize: recipe.data.normalize,
        labels: Vec::new(),
        fine_tune_last,
    };
    let graph = recipe.graph.initialized(1);
    ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap()
}

fn drawn(file: &ModelFile) -> String {
    picture(&file.model(), file.bytes().len())
}

#[test]
fn a_box_says_what_a_node_computes_and_how_large_its_output_is() {
    let text = drawn(&file("net", 1));
    for line in [
        ">Conv2d 3x3</text>",
        ">padding 1 +\u{a0}ReLU</text>",
        ">+\u{a0}MaxPool2d 2x2 stride 2</text>",
        ">1 → 4 channels</text>",
        ">4×4×4 f32, 256 bytes</text>",
        ">64 → 3</text>",
        ">trainable</text>",
        "reads the input\n",
        "<title>node 1 to node 2: 4×4×4</title>",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert_eq!(text.matches("<g class=\"node\">").count(), 3);
    assert_eq!(text.matches("<g class=\"wire\">").count(), 2);
    assert_eq!(text, drawn(&file("net", 1)));
}

#[test]
fn names_are_escaped_and_every_tag_is_closed() {
    let text = drawn(&file("<script>\"&'日本", 0));
    assert!(text.contains(">&lt;script&gt;&quot;&amp;&#39;日本</text>"));
    assert!(!text.contains("<script"));
    let opened = |tag: &str| text.matches(&format!("<{tag}")).count();
    for tag in ["g ", "text ", "title", "svg ", "style"] {
        let closed = text.matches(&format!("</{}>", tag.trim())).count();
        assert_eq!(opened(tag), closed, "{tag}");
    }
}

#[test]
fn headings_are_operators_with_their_kernels() {
    assert_eq!(heading("Conv2d 3x3 stride 2"), ("Conv2d 3x3", "stride 2"));
    assert_eq!(heading("Linear + ReLU"), ("Linear", "+ ReLU"));
    assert_eq!(heading("Softmax"), ("Softmax", ""));
    assert_eq!(heading("Upsample 2x2"), ("Upsample 2x2", ""));
}
