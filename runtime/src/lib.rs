//! Runs small convolutional networks from one postcard file, in buffers whose sizes are known before the
//! program starts, and keeps training their last layers on the device.
//!
//! The data flows through the modules in this order:
//! [`mod@model`] (the file, checked and borrowed) -> [`plan`] (where each tensor lies; solved on a host) ->
//! [`arena`](Arena) (the one block of memory) -> [`session`] (run) -> [`train`] (fine-tune, save and load the
//! head). [`probe`] looks at a run from outside.
//!
//! On a microcontroller everything is known at compile time, the model included:
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), kinglet::Error> {
//! use kinglet::kernels::Portable;
//!
//! kinglet::model!(digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl"));
//!
//! # let pixels = [128; 16];
//! let mut session = digits::session(Portable)?; // in a static of just the size that it needs
//! let class = session.run_image_u8(&pixels)?.argmax(); // normalized as the file says
//! # assert!(class.is_some());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! [`model!`] says what it makes, and how a model is used without it. Hosts find their kernel set and the sizes at run
//! time: [`OwnedSession`], or for models that are borrowed [`SessionMemory`].
//!
//! With a model made on the spot:
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kinglet::model::{GraphSpec, InputSpec, NodeSpec, OutputSpec, encode};
//! use kinglet::operator::{Layer, Linear};
//! use kinglet::{FineTuner, HeapArena, Model, SessionMemory, Sgd};
//! use kinglet_kernels::{Activation, Portable, Shape};
//!
//! // Two pixels in, two classes out: which of them is brighter?
//! let brightness = Linear {
//!     activation: Activation::Identity,
//!     layer: Layer {
//!         weights: vec![1.0, -1.0, -1.0, 1.0],
//!         bias: Some(vec![0.0, 0.0]),
//!     },
//! };
//! let spec = GraphSpec {
//!     name: "brighter".into(),
//!     inputs: vec![InputSpec::new("pixels", Shape::new(1, 2, 1))],
//!     nodes: vec![NodeSpec {
//!         operator: brightness.into(),
//!         inputs: vec![0],
//!         output: Shape::vector(2).into(),
//!     }],
//!     outputs: vec![OutputSpec {
//!         labels: vec!["left".into(), "right".into()],
//!         ..OutputSpec::new("side", 1)
//!     }],
//!     trainable_nodes: 1,
//! };
//! let (file, _plan) = encode(&spec)?;
//! let file = kinglet::AlignedBytes::from(file.as_slice());
//!
//! let model = Model::load(&file)?;
//! let mut memory = SessionMemory::new(&model, &Portable, 1);
//! let mut session = memory.session(&model, Portable)?;
//! session.set_image_u8(&[200, 10])?;
//! let found = session.run();
//! assert_eq!(found.argmax(), Some(0));
//! assert_eq!(found.as_f32(), Some(&[190.0 / 255.0, -190.0 / 255.0][..]));
//!
//! // Teach it the opposite.
//! let mut training = HeapArena::new(model.sizes().training::<Sgd>());
//! let mut tuner = FineTuner::new(session, &mut training, Sgd::new(0.5, 0.9))?;
//! for _ in 0..20 {
//!     tuner.set_image_u8(&[200, 10])?;
//!     tuner.step(1)?;
//! }
//! tuner.set_image_u8(&[200, 10])?;
//! let logits = tuner.run();
//! assert!(logits[1] > logits[0]);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!(
    "kinglet uses weights where they lie in the model file, which is little-endian: this target is not"
);

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod arena;
mod error;
pub mod model;
#[cfg(feature = "opencl")]
pub mod opencl;
pub mod operator;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod owned;
#[cfg(feature = "std")]
pub mod plan;
pub mod probe;
mod record;
pub mod session;
mod static_model;
pub mod train;
mod values;

pub use arena::{ARENA_ALIGN, Arena, ArenaMut, StaticArena};
#[cfg(feature = "alloc")]
pub use arena::{AlignedBytes, HeapArena};
pub use error::Error;
pub use kinglet_kernels as kernels;
pub use model::{Aligned, LoadError, Model, ModelId, Sizes};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use owned::{OwnedModel, OwnedSession};
pub use probe::Probe;
#[cfg(feature = "alloc")]
pub use session::SessionMemory;
pub use session::{AnySession, InputError, Session, SessionError, arena_len};
pub use train::{
    Adam, AdamW, Bounds, FineTuneError, FineTuner, HeadError, HeadInfo, Optimizer, Sgd, Step,
    StoreError,
};
pub use values::{Values, ValuesMut};
