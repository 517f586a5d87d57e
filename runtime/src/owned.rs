//! A model and sessions that own what they use: for handles of other languages, and whatever outlives the function that
//! made it.

use alloc::boxed::Box;
use alloc::sync::Arc;

use kinglet_kernels::Kernels;
use self_cell::{MutBorrow, self_cell};

use crate::model::{LoadError, Model};
use crate::session::{AnySession, InputError, SessionError, SessionMemory};
use crate::values::Values;

/// Bytes that stay where they are while they are borrowed: in memory, or a file that is mapped into it.
type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

self_cell! {
    struct ModelCell {
        owner: Bytes,
        #[covariant]
        dependent: Model,
    }
}

/// A checked model and its file. Clones share both.
#[derive(Clone)]
pub struct OwnedModel(Arc<ModelCell>);

impl OwnedModel {
    /// Checks `file`, as [`Model::load`] does, and keeps it: [`AlignedBytes`](crate::AlignedBytes), a mapped file, or
    /// anything else whose bytes lie at a multiple of 4.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file.
    pub fn load(file: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, LoadError> {
        let file: Bytes = Box::new(file);
        let cell = ModelCell::try_new(file, |file| Model::load((**file).as_ref()))?;
        Ok(Self(Arc::new(cell)))
    }

    /// The model.
    pub fn get(&self) -> &Model<'_> {
        self.0.borrow_dependent()
    }
}

impl core::fmt::Debug for OwnedModel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("OwnedModel").field(&self.get().id()).finish()
    }
}

/// A session's kernel set, found at run time.
type Set = &'static dyn Kernels;

/// A session over any model, with a kernel set found at run time.
type DynSession<'a> = AnySession<'a, Set>;

struct Owner {
    model: OwnedModel,
    memory: MutBorrow<SessionMemory>,
}

self_cell! {
    struct SessionCell {
        owner: Owner,
        #[not_covariant]
        dependent: DynSession,
    }
}

/// A session that owns its memory and shares its model. It can be kept anywhere, and sent to another thread.
///
/// ```
/// # #[cfg(feature = "std")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kinglet::{AlignedBytes, OwnedModel, OwnedSession};
///
/// let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl"))?;
/// let model = OwnedModel::load(AlignedBytes::from(&file[..]))?;
/// let kernels = kinglet::kernels::arch::detect();
/// let mut session = OwnedSession::new(&model, kernels, 1)?;
/// let class = session.run_image_u8(&[128; 16])?.argmax();
/// # assert!(class.is_some());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "std"))]
/// # fn main() {}
/// ```
pub struct OwnedSession(SessionCell);

impl OwnedSession {
    /// A session for `batch` samples at a time of `model` on `kernels`, in memory that it allocates now.
    ///
    /// # Errors
    /// [`SessionError::EmptyBatch`] if the batch is 0.
    pub fn new(model: &OwnedModel, kernels: Set, batch: usize) -> Result<Self, SessionError> {
        let owner = Owner {
            model: model.clone(),
            memory: MutBorrow::new(SessionMemory::new(model.get(), &kernels, batch)),
        };
        let cell = SessionCell::try_new(owner, |owner| {
            owner
                .memory
                .borrow_mut()
                .session(owner.model.get(), kernels)
        })?;
        Ok(Self(cell))
    }

    /// The model that it shares.
    pub fn model(&self) -> &OwnedModel {
        &self.0.borrow_owner().model
    }

    /// Calls `use_it` with the session.
    pub fn with<'s, R>(&'s mut self, use_it: impl FnOnce(&'s mut DynSession<'_>) -> R) -> R {
        self.0.with_dependent_mut(|_, session| use_it(session))
    }

    /// See [`Session::set_input_f32`](crate::Session::set_input_f32).
    ///
    /// # Errors
    /// [`InputError`] if the length is wrong.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        self.with(|session| session.set_input_f32(input))
    }

    /// See [`Session::set_image_u8`](crate::Session::set_image_u8).
    ///
    /// # Errors
    /// [`InputError`] if the number of pixels is wrong.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        self.with(|session| session.set_image_u8(pixels))
    }

    /// See [`Session::run`](crate::Session::run).
    pub fn run(&mut self) -> Values<'_> {
        self.with(|session| session.run())
    }

    /// See [`Session::run_image_u8`](crate::Session::run_image_u8).
    ///
    /// # Errors
    /// [`InputError`] if the number of pixels is wrong.
    pub fn run_image_u8(&mut self, pixels: &[u8]) -> Result<Values<'_>, InputError> {
        self.with(|session| session.run_image_u8(pixels))
    }

    /// See [`Session::output`](crate::Session::output).
    pub fn output(&mut self, index: usize) -> Option<Values<'_>> {
        self.with(|session| session.output(index))
    }
}

impl core::fmt::Debug for OwnedSession {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("OwnedSession").field(self.model()).finish()
    }
}
