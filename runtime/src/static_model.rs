//! A model that is built into the program, and statics of just the sizes that it needs.

/// Includes a model file, and makes a module of what goes with it.
///
/// ```
/// # #[cfg(feature = "std")]
/// # fn main() -> Result<(), kinglet::Error> {
/// use kinglet::Sgd;
/// use kinglet::kernels::Portable;
///
/// kinglet::model!(
///     pub tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl"),
///     optimizer: kinglet::Sgd
/// );
///
/// assert_eq!(tiny::SIZES.input_len, 16);
/// let mut session: tiny::Session = tiny::session(Portable)?;
/// let class = session.run_image_u8(&[128; 16])?.argmax();
/// # assert!(class.is_some());
/// let mut tuner: tiny::FineTuner = tiny::fine_tuner(session, Sgd::new(0.01, 0.9))?;
/// tuner.set_image_u8(&[128; 16])?;
/// tuner.step(1)?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "std"))]
/// # fn main() {}
/// ```
///
/// The path is one that `include_bytes!` takes: relative to the source file, or made by `concat!` and `env!`. A file that is
/// no model, of another version, or cut short does not compile.
///
/// | in the module | |
/// |---|---|
/// | `FILE` | the bytes of the file, in flash |
/// | `SIZES` | [`Sizes`](crate::Sizes) of the model |
/// | `Session` | the type of its sessions, which borrow nothing but statics |
/// | `load()` | the checked model |
/// | `session(kernels)` | a session in a static arena. The second call is refused |
/// | `FineTuner` | with `optimizer`: the type of its fine-tuners |
/// | `fine_tuner(session, optimizer)` | with `optimizer`: one in a static arena |
///
/// - `kernels: TYPE`, a [`StaticKernels`](crate::kernels::StaticKernels), is the kernel set;
///   [`Portable`](crate::kernels::Portable) without it.
/// - `optimizer: TYPE`, an [`Optimizer`](crate::Optimizer), makes memory for fine-tuning; a model that was exported without
///   trainable layers is refused when the tuner is made.
/// - `shadow: true` after it makes room for a shadow head, too.
///
/// Types are named as from within the module: in full, as above.
#[macro_export]
macro_rules! model {
    ($vis:vis $name:ident = $path:expr $(,)?) => {
        $crate::model!($vis $name = $path, kernels: $crate::kernels::Portable);
    };
    ($vis:vis $name:ident = $path:expr, optimizer: $Optimizer:ty $(, shadow: $shadow:tt)? $(,)?) => {
        $crate::model!(
            $vis $name = $path,
            kernels: $crate::kernels::Portable,
            optimizer: $Optimizer
            $(, shadow: $shadow)?
        );
    };
    (
        $vis:vis $name:ident = $path:expr,
        kernels: $Kernels:ty
        $(, optimizer: $Optimizer:ty $(, shadow: $shadow:tt)?)?
        $(,)?
    ) => {
        #[doc = concat!("The model `", stringify!($name), "`, and memory for it.")]
        #[allow(dead_code)]
        $vis mod $name {
            /// The file.
            pub static FILE: &$crate::Aligned = $crate::include_model!($path);

            /// What it needs.
            pub const SIZES: $crate::Sizes = $crate::Sizes::of(FILE);

            /// Its sessions.
            pub type Session = $crate::Session<'static, { SIZES.operators }, $Kernels>;

            static ARENA: $crate::StaticArena<{ SIZES.arena_for::<$Kernels>() }> =
                $crate::StaticArena::new();

            /// Checks the file.
            ///
            /// # Errors
            /// If it is damaged behind its prefix.
            pub fn load() -> Result<$crate::Model<'static>, $crate::LoadError> {
                $crate::Model::load_with::<{ SIZES.operators }>(&FILE.bytes)
            }

            /// The session, in static memory.
            ///
            /// # Errors
            /// If the file is damaged, or the memory was taken before.
            pub fn session(kernels: $Kernels) -> Result<Session, $crate::Error> {
                let model = load()?;
                let arena = ARENA.take().ok_or($crate::Error::Taken)?;
                Ok(Session::new(&model, arena, kernels)?)
            }

            $($crate::model!(@training $Kernels, $Optimizer $(, $shadow)?);)?
        }
    };
    (@training $Kernels:ty, $Optimizer:ty) => {
        $crate::model!(@training $Kernels, $Optimizer, training, new);
    };
    (@training $Kernels:ty, $Optimizer:ty, false) => {
        $crate::model!(@training $Kernels, $Optimizer, training, new);
    };
    (@training $Kernels:ty, $Optimizer:ty, true) => {
        $crate::model!(@training $Kernels, $Optimizer, training_with_shadow, with_shadow);
    };
    (@training $Kernels:ty, $Optimizer:ty, $bytes:ident, $new:ident) => {
        /// Its fine-tuners.
        pub type FineTuner =
            $crate::FineTuner<'static, { SIZES.operators }, $Kernels, $Optimizer>;

        static TRAINING: $crate::StaticArena<{ SIZES.$bytes::<$Optimizer>() }> =
            $crate::StaticArena::new();

        /// A fine-tuner that takes over the session, in static memory.
        ///
        /// # Errors
        /// If the model has no trainable layers, or the memory was taken before.
        pub fn fine_tuner(
            session: Session,
            optimizer: $Optimizer,
        ) -> Result<FineTuner, $crate::Error> {
            let arena = TRAINING.take().ok_or($crate::Error::Taken)?;
            Ok(FineTuner::$new(session, arena, optimizer)?)
        }
    };
}
