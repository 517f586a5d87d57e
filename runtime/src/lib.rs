//! Runs small convolutional networks from one postcard file, in buffers whose sizes are known before the
//! program starts, and keeps training their last layers on the device.
//!
//! The data flows through the modules in this order:
//! [`model`] (the file, checked and borrowed) -> [`plan`] (where each tensor lies; solved on a host) ->
//! [`arena`](Arena) (the one block of memory) -> [`session`] (run) -> [`train`] (fine-tune, save and load the
//! head). [`probe`] looks at a run from outside.
//!
//! On a microcontroller everything is known at compile time:
//!
//! ```text
//! static MODEL: &Aligned = include_model!("digits.kgl");
//! const SIZES: Sizes = Sizes::of(MODEL); // not a model, or one cut short: does not compile
//! static ARENA: ConstStaticCell<Arena<{ SIZES.arena }>> = ConstStaticCell::new(Arena::new());
//!
//! let model = Model::load_with::<{ SIZES.operators }>(&MODEL.bytes)?; // `load` would link every operator's check
//! let mut session = Session::<{ SIZES.operators }, _>::new(&model, ARENA.take(), Portable)?;
//! session.set_image_u8(&pixels)?; // normalized as the file says
//! let class = session.run().argmax();
//! ```
//!
//! A host program can embed a model just so; its kernel set is found at run time, and may ask for a workspace:
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kinglet::{Aligned, Arena, Model, Session, Sizes, include_model, workspace_len};
//! use kinglet_kernels::arch;
//! use static_cell::ConstStaticCell;
//!
//! static MODEL: &Aligned =
//!     include_model!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl"));
//! const SIZES: Sizes = Sizes::of(MODEL);
//! static ARENA: ConstStaticCell<Arena<{ SIZES.arena }>> = ConstStaticCell::new(Arena::new());
//!
//! let model = Model::load(&MODEL.bytes)?;
//! let kernels = arch::detect();
//! let mut workspace = vec![0.0; workspace_len(&model, &kernels)];
//! let mut session = Session::<{ SIZES.operators }, _>::with_workspace(
//!     &model,
//!     ARENA.take(),
//!     kernels,
//!     1, // sample at a time
//!     &mut workspace,
//! )?;
//! session.set_image_u8(&[128; 16])?;
//! assert_eq!(session.run().len(), model.labels().len());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
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

#[cfg(any(feature = "std", test))]
extern crate std;

mod arena;
pub mod model;
#[cfg(feature = "opencl")]
pub mod opencl;
pub mod operator;
#[cfg(feature = "std")]
pub mod plan;
pub mod probe;
mod record;
pub mod session;
pub mod train;
mod values;

pub use arena::{ARENA_ALIGN, Arena, ArenaMut};
#[cfg(feature = "std")]
pub use arena::{AlignedBytes, HeapArena};
pub use kinglet_kernels as kernels;
pub use model::{Aligned, LoadError, Model, ModelId, Sizes};
pub use probe::Probe;
#[cfg(feature = "std")]
pub use session::SessionMemory;
pub use session::{AnySession, InputError, Session, SessionError, workspace_len};
pub use train::{Adam, FineTuneError, FineTuner, HeadError, Optimizer, Sgd, Step};
pub use values::{Values, ValuesMut};
