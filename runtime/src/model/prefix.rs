//! The first bytes of a model file: identity and sizes, in fixed places, so that a `const fn` reads them.

use kinglet_kernels::StaticKernels;

use super::LoadError;
use super::schema::{FORMAT_VERSION, MAGIC, PREFIX_LEN};
use crate::record::Record;
use crate::session::TotalWorkspace;
use crate::train::Optimizer;

/// CRC-32/ISO-HDLC (the one of zlib and Ethernet).
pub(crate) const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// What a model is called: 16 bytes of the SHA-256 over what it computes, its factory weights included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ModelId(pub [u8; 16]);

impl core::fmt::Display for ModelId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The prefix as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) id: ModelId,
    pub(crate) parent: Option<ModelId>,
    pub(crate) body_crc: u32,
    pub(crate) file_len: usize,
    pub(crate) weights_offset: usize,
    pub(crate) weights_len: usize,
    pub(crate) input_len: usize,
    pub(crate) output_len: usize,
    pub(crate) activation_bytes: usize,
    pub(crate) sum_terms: usize,
    pub(crate) records: usize,
    pub(crate) trainable_parameters: usize,
    pub(crate) suffix_values: usize,
    pub(crate) operators: u128,
}

/// Reads fixed-size fields one after the other. Reading past the end gives zeros; the caller has checked
/// the length.
struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Fields<'_> {
    const fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let mut i = 0;
        while i < N && self.position < self.bytes.len() {
            out[i] = self.bytes[self.position];
            self.position += 1;
            i += 1;
        }
        out
    }

    const fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    const fn size(&mut self) -> usize {
        self.u32() as usize
    }
}

impl Prefix {
    /// Reads and checks the prefix: length, magic, version, CRC.
    pub(crate) const fn read(file: &[u8]) -> Result<Self, LoadError> {
        let Some((prefix, _)) = file.split_at_checked(PREFIX_LEN) else {
            // Too short to be a model; what there is tells a cut model from another file.
            let mut i = 0;
            while i < file.len() && i < MAGIC.len() {
                if file[i] != MAGIC[i] {
                    return Err(LoadError::Magic);
                }
                i += 1;
            }
            return Err(LoadError::Truncated);
        };
        let mut fields = Fields {
            bytes: prefix,
            position: 0,
        };
        let magic: [u8; 8] = fields.array();
        if u64::from_le_bytes(magic) != u64::from_le_bytes(MAGIC) {
            return Err(LoadError::Magic);
        }
        let version = fields.u32();
        if version != FORMAT_VERSION {
            return Err(LoadError::Version { found: version });
        }
        let id = ModelId(fields.array());
        let parent: [u8; 16] = fields.array();
        let prefix_fields = Self {
            id,
            parent: if u128::from_le_bytes(parent) == 0 {
                None
            } else {
                Some(ModelId(parent))
            },
            body_crc: fields.u32(),
            file_len: fields.size(),
            weights_offset: fields.size(),
            weights_len: fields.size(),
            input_len: fields.size(),
            output_len: fields.size(),
            activation_bytes: fields.size(),
            sum_terms: fields.size(),
            records: fields.size(),
            trainable_parameters: fields.size(),
            suffix_values: fields.size(),
            operators: u128::from_le_bytes(fields.array()),
        };
        let Some((covered, _)) = prefix.split_at_checked(fields.position) else {
            return Err(LoadError::Truncated);
        };
        if CRC.checksum(covered) != fields.u32() {
            return Err(LoadError::PrefixCrc);
        }
        Ok(prefix_fields)
    }
}

/// Every size a firmware needs before it starts, read from the prefix of a model file in `const` context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sizes {
    /// Bytes of the arena of a session for one sample on a kernel set that asks for nothing more, as
    /// [`Portable`](kinglet_kernels::Portable): activations, and records on this target.
    pub arena: usize,
    /// Elements of one sample of the first input.
    pub input_len: usize,
    /// Elements of one sample of the first output.
    pub output_len: usize,
    /// Bytes of weights in the file.
    pub weights: usize,
    /// Operators in use, as [`Session`](crate::Session) takes them.
    pub operators: u128,
    /// Parameters of the trainable suffix; 0 if the model has none.
    pub trainable_parameters: usize,
    /// Bytes that `save_head` writes.
    pub head: usize,
    activation_bytes: usize,
    sum_terms: usize,
    records: usize,
    suffix_values: usize,
}

impl Sizes {
    /// The sizes of an included model, for `const SIZES: Sizes = Sizes::of(MODEL);`.
    ///
    /// # Panics
    /// At compile time, where it is meant to be used: a file that is no kinglet model, of another
    /// version, with a damaged prefix or cut short does not compile. What is behind the prefix is checked when the
    /// model is loaded. Where the bytes are only known at run time use [`Sizes::read`].
    pub const fn of(model: &super::Aligned<[u8]>) -> Self {
        match Prefix::read(&model.bytes) {
            Ok(prefix) if prefix.file_len != model.bytes.len() => {
                panic!("the model file is not as long as its prefix says")
            }
            Ok(prefix) => Self::from_prefix(&prefix),
            Err(LoadError::Truncated) => panic!("the model file is shorter than its prefix"),
            Err(LoadError::Magic) => panic!("this is not a kinglet model file"),
            Err(LoadError::Version { .. }) => panic!("the model file has another format version"),
            Err(_) => panic!("the prefix of the model file is damaged"),
        }
    }

    /// The sizes of the model in `file`; only the prefix is read.
    ///
    /// # Errors
    /// [`LoadError`] if the prefix is cut short, damaged, or not one of this version.
    pub const fn read(file: &[u8]) -> Result<Self, LoadError> {
        match Prefix::read(file) {
            Ok(prefix) => Ok(Self::from_prefix(&prefix)),
            Err(e) => Err(e),
        }
    }

    pub(crate) const fn from_prefix(prefix: &Prefix) -> Self {
        let sizes = Self {
            arena: 0,
            input_len: prefix.input_len,
            output_len: prefix.output_len,
            weights: prefix.weights_len,
            operators: prefix.operators,
            trainable_parameters: prefix.trainable_parameters,
            head: crate::train::head_len(prefix.trainable_parameters),
            activation_bytes: prefix.activation_bytes,
            sum_terms: prefix.sum_terms,
            records: prefix.records,
            suffix_values: prefix.suffix_values,
        };
        Self {
            arena: sizes.arena_for_batch(1),
            ..sizes
        }
    }

    /// Bytes of the arena of a session for `batch` samples at once.
    pub const fn arena_for_batch(&self, batch: usize) -> usize {
        self.activation_bytes
            .saturating_mul(batch)
            .saturating_add(crate::arena::carve_len::<Record>(self.records))
    }

    /// Bytes of the arena of a session for one sample on a kernel set for microcontrollers, which may need scratch.
    pub const fn arena_for<K: StaticKernels>(&self) -> usize {
        let scratch = self.sum_terms.saturating_mul(K::SCRATCH_PER_TERM);
        let scratch = scratch.saturating_add(K::SCRATCH);
        TotalWorkspace::of_scratch(scratch).arena_len(self, 1)
    }

    /// Bytes of tensors at the plan's peak, for one sample.
    pub const fn activations(&self) -> usize {
        self.activation_bytes
    }

    /// The same of a fine-tuner with a shadow head: another copy of the trainable parameters.
    pub const fn training_with_shadow<O: Optimizer>(&self) -> usize {
        let shadow = self.trainable_parameters.saturating_mul(4);
        self.training::<O>().saturating_add(shadow)
    }

    /// Bytes of the arena of a [`FineTuner`](crate::FineTuner) with optimizer `O`: the trainable
    /// parameters, the optimizer's state for each, and the values and gradients of the suffix.
    pub const fn training<O: Optimizer>(&self) -> usize {
        let parameters = self.trainable_parameters.saturating_mul(1 + O::SLOTS);
        let values = self.suffix_values.saturating_mul(2);
        parameters.saturating_add(values).saturating_mul(4)
    }
}
