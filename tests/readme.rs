//! The code that README.md shows, word for word: it compiles and runs.

use std::error::Error;

use ::kinglet::Sgd;
use ::kinglet::kernels::Portable;

/// As README.md has it, with the sample of these tests in the place of its model.
mod kinglet {
    macro_rules! tiny {
        ($name:ident = "digits.kgl", $($rest:tt)*) => {
            ::kinglet::model!($name = "data/tiny.kgl", $($rest)*);
        };
    }
    pub(super) use tiny as model;
}

#[derive(Default)]
struct Flash(Vec<u8>);

impl Flash {
    fn write(&mut self, bytes: &[u8]) -> Result<(), std::convert::Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[test]
#[rustfmt::skip]
fn the_code_runs() -> Result<(), Box<dyn Error>> {
    let (pixels, class, mut flash) = ([128; 16], 1, Flash::default());

kinglet::model!(digits = "digits.kgl", optimizer: kinglet::Sgd); // not a model, or cut short: does not compile

let mut session = digits::session(Portable)?; // checks the file once, copies nothing; statics of just the right size
let found = session.run_image_u8(&pixels)?.argmax(); // normalized as the file says

let mut tuner = digits::fine_tuner(session, Sgd::new(0.002, 0.9))?;
tuner.set_image_u8(&pixels)?;
tuner.step(class)?; // learned; run() uses it at once
tuner.write_head(|bytes| flash.write(bytes))?; // bound to this model, closed by a CRC

    assert!(found.is_some_and(|found| found < digits::SIZES.output_len));
    assert_eq!(flash.0.len(), digits::SIZES.head);
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
