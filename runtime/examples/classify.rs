//! The smallest program for a host: names the class of a picture.
//!
//! ```sh
//! cargo run --release -p kinglet --features std --example classify -- model.kgl < pixels
//! ```
//!
//! The pixels are 8-bit numbers, height by width by channels, as many as the model's input has.

use std::error::Error;
use std::io::Read;

use kinglet::{AlignedBytes, OwnedModel, OwnedSession};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1);
    let path = path.ok_or("usage: classify MODEL.kgl < PIXELS")?;
    let file = AlignedBytes::from(&std::fs::read(path)?[..]);
    let model = OwnedModel::load(file)?;
    let mut session = OwnedSession::new(&model, kinglet::kernels::arch::detect(), 1)?;

    let mut pixels = Vec::new();
    std::io::stdin().read_to_end(&mut pixels)?;
    let class = session.run_image_u8(&pixels)?.argmax();
    let class = class.ok_or("the model's output is no number")?;
    match model.get().label(class) {
        Some(name) => println!("{name}"),
        None => println!("class {class}"),
    }
    Ok(())
}
