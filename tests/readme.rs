//! The code that README.md shows, word for word: it compiles and runs.

use std::error::Error;

use kinglet::{Aligned, Arena, FineTuner, Model, Session, Sgd, Sizes};
use kinglet_kernels::Portable;
use static_cell::ConstStaticCell;

/// As README.md has it, with the sample of these tests in the place of its model.
macro_rules! include_model {
    ("digits.kgl") => {
        kinglet::include_model!("data/tiny.kgl")
    };
}

#[test]
#[rustfmt::skip]
fn the_code_runs() -> Result<(), Box<dyn Error>> {
    let (pixels, class) = ([128; 16], 1);
    let mut flash_page = [0; SIZES.head];

static MODEL: &Aligned = include_model!("digits.kgl");
const SIZES: Sizes = Sizes::of(MODEL); // not a model, or one cut short: does not compile
static ARENA: ConstStaticCell<Arena<{ SIZES.arena }>> = ConstStaticCell::new(Arena::new()); // .bss, never the stack
static TRAINING: ConstStaticCell<Arena<{ SIZES.training::<Sgd>() }>> = ConstStaticCell::new(Arena::new());

let model = Model::load_with::<{ SIZES.operators }>(&MODEL.bytes)?; // checks everything once, copies nothing
let mut session = Session::<{ SIZES.operators }, _>::new(&model, ARENA.take(), Portable)?;
session.set_image_u8(&pixels)?; // normalized as the file says
let found = session.run().argmax(); // or the outputs themselves, real or of 8 bits

let mut tuner = FineTuner::new(session, TRAINING.take(), Sgd::new(0.002, 0.9))?;
tuner.set_image_u8(&pixels)?;
tuner.step(class)?; // learned; run() uses it at once
let len = tuner.save_head(&mut flash_page)?; // bytes bound to this model, closed by a CRC

    assert!(found.is_some_and(|found| found < SIZES.output_len));
    assert_eq!(len, SIZES.head);
    Ok(())
}

#[test]
fn the_code_is_what_the_readme_shows() {
    let (_, block) = include_str!("../README.md")
        .split_once("```rust\n")
        .expect("a block of code");
    let (block, others) = block.split_once("```").expect("its end");
    assert!(include_str!("readme.rs").contains(block), "{block}");
    assert!(!others.contains("```rust"), "more code than is tested");
}
