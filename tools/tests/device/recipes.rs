//! Every recipe's network, exported as it would be shipped, on the device and on the CPU.

use std::path::Path;

use kinglet::SessionMemory;
use kinglet::opencl::{Element, Session};
use kinglet_kernels::arch::detect;
use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::recipe::Recipe;

use crate::executor;

#[test]
fn every_recipes_network_agrees_with_the_cpu() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut recipes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        recipes += 1;
        let recipe = Recipe::load(&path).unwrap();
        let settings = ExportSettings {
            normalize: recipe.data.normalize.clone(),
            labels: Vec::new(),
            fine_tune_last: 0,
        };
        let (bytes, _) = export(recipe.graph.initialized(7), &settings).unwrap();
        let file = ModelFile::from_bytes(&bytes).unwrap();
        let model = file.model();
        let batch = 3;
        let len = batch * model.input().len();
        let input: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();

        let mut memory = SessionMemory::new(&model, &detect(), batch);
        let mut cpu = memory.session(&model, detect()).unwrap();
        cpu.set_input_f32(&input).unwrap();
        let expected = cpu.run().to_f32();
        let mut device = Session::new(&executor(), &model, batch, Element::F32).unwrap();
        device.set_input_f32(&input).unwrap();
        let found = device.run().unwrap();

        let largest = expected.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        let differences = found
            .iter()
            .zip(expected.iter())
            .map(|(f, e)| (f - e).abs());
        let worst = differences.fold(0.0, f32::max) / largest;
        println!("{}: {worst:e}", path.display());
        assert!(worst <= 1e-4, "{}: {worst:e}", path.display());
    }
    assert!(recipes > 5, "only {recipes} recipes were found");
}
