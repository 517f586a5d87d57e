//! A trained head as bytes: what `write_head` writes and `read_head` takes back.
//!
//! `"kgh1"`, model id (16 bytes), number of parameters and of steps taken (u32 each), the parameters (f32
//! each), CRC-32 of all before; little-endian. The head belongs to one model: the id covers its graph and
//! its factory weights.

use crate::model::{CRC, ModelId};

const MAGIC: [u8; 4] = *b"kgh1";
/// Bytes that say what it is, and of which model.
const OWNER_LEN: usize = 4 + 16;
/// Bytes before the parameters.
const HEADER_LEN: usize = OWNER_LEN + 4 + 4;
/// Bytes after them.
const CRC_LEN: usize = 4;

/// Why a head was not written or not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeadError {
    /// The buffer to write to is too short.
    BufferTooSmall {
        /// Bytes it takes.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// These bytes are not a saved head, or are cut short.
    NotAHead,
    /// The head belongs to another model.
    OtherModel {
        /// The model it was trained from.
        found: ModelId,
    },
    /// The bytes are damaged.
    Crc,
    /// A parameter is not a number, or infinite.
    NotFinite,
}

impl core::fmt::Display for HeadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::BufferTooSmall { needed, found } => {
                write!(f, "the buffer has {found} bytes, the head takes {needed}")
            }
            Self::NotAHead => write!(f, "not a saved head, or cut short"),
            Self::OtherModel { found } => write!(f, "the head belongs to another model, {found}"),
            Self::Crc => write!(f, "the head is damaged (CRC mismatch)"),
            Self::NotFinite => write!(f, "the head has a parameter that is not a finite number"),
        }
    }
}

impl core::error::Error for HeadError {}

/// Why a head was not written to where it is stored, or not taken from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StoreError<E> {
    /// It is refused.
    Head(HeadError),
    /// The store failed.
    Store(E),
}

impl StoreError<HeadError> {
    /// The reason, wherever it lies.
    pub(super) fn into_inner(self) -> HeadError {
        match self {
            Self::Head(e) | Self::Store(e) => e,
        }
    }
}

impl<E> From<HeadError> for StoreError<E> {
    fn from(e: HeadError) -> Self {
        Self::Head(e)
    }
}

impl<E: core::fmt::Display> core::fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Head(e) => e.fmt(f),
            Self::Store(e) => write!(f, "where the head is stored: {e}"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for StoreError<E> {}

/// What a saved head says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HeadInfo {
    /// The model it was trained from.
    pub model: ModelId,
    /// Number of parameters.
    pub parameters: usize,
    /// Steps it was trained for.
    pub steps: u32,
}

impl HeadInfo {
    /// Reads what a whole saved head says, whatever model it belongs to.
    ///
    /// # Errors
    /// [`HeadError`] if the bytes are no head, or a damaged one.
    pub fn of(bytes: &[u8]) -> Result<Self, HeadError> {
        let not_a_head = HeadError::NotAHead;
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(not_a_head)?;
        let model = header.strip_prefix(&MAGIC).and_then(<[u8]>::first_chunk);
        let model = ModelId(*model.ok_or(not_a_head)?);
        let (counted, _) = header.get(OWNER_LEN..).unwrap_or_default().as_chunks();
        let parameters = counted
            .first()
            .map_or(0, |count| u32::from_le_bytes(*count)) as usize;
        if head_len(parameters) != bytes.len() {
            return Err(not_a_head);
        }
        let mut source = |offset: usize, target: &mut [u8]| copy_part(bytes, offset, target);
        let steps = read(model, parameters, &mut source, |_| ()).map_err(StoreError::into_inner)?;
        Ok(Self {
            model,
            parameters,
            steps,
        })
    }
}

/// Fills `target` from `bytes`, `offset` bytes behind their beginning.
pub(super) fn copy_part(bytes: &[u8], offset: usize, target: &mut [u8]) -> Result<(), HeadError> {
    let end = offset.saturating_add(target.len());
    let source = bytes.get(offset..end).ok_or(HeadError::NotAHead)?;
    target.iter_mut().zip(source).for_each(|(t, b)| *t = *b);
    Ok(())
}

/// Bytes of a head of `parameters`; 0 if there are none.
pub(crate) const fn head_len(parameters: usize) -> usize {
    if parameters == 0 {
        0
    } else {
        parameters
            .saturating_mul(4)
            .saturating_add(HEADER_LEN + CRC_LEN)
    }
}

/// Bytes that are written or read at once.
const PIECE: usize = 64;

/// Writes a head in pieces of at most [`PIECE`] bytes.
pub(super) fn write<E>(
    id: ModelId,
    steps: u32,
    weights: &[f32],
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), StoreError<E>> {
    let mut crc = CRC.digest();
    let mut put = |bytes: &[u8]| {
        crc.update(bytes);
        write(bytes).map_err(StoreError::Store)
    };
    let mut header = [0; HEADER_LEN];
    let fields = MAGIC
        .into_iter()
        .chain(id.0)
        .chain((weights.len() as u32).to_le_bytes())
        .chain(steps.to_le_bytes());
    header.iter_mut().zip(fields).for_each(|(t, b)| *t = b);
    put(&header)?;
    // As they lie in memory: this crate is for little-endian machines.
    for piece in bytemuck::cast_slice(weights).chunks(PIECE) {
        put(piece)?;
    }
    let crc = crc.finalize();
    write(&crc.to_le_bytes()).map_err(StoreError::Store)
}

/// Reads a head, checks it, calls `weight` with each parameter, and returns the steps it was trained for.
pub(super) fn read<E>(
    id: ModelId,
    parameters: usize,
    read: &mut impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    mut weight: impl FnMut(f32),
) -> Result<u32, StoreError<E>> {
    let mut header = [0; HEADER_LEN];
    // A head of another model may be shorter: look at whose it is first.
    let (named, counted) = header.split_at_mut(OWNER_LEN);
    read(0, named).map_err(StoreError::Store)?;
    let found = named.strip_prefix(&MAGIC).and_then(<[u8]>::first_chunk);
    let found = ModelId(*found.ok_or(HeadError::NotAHead)?);
    if found != id {
        return Err(HeadError::OtherModel { found }.into());
    }
    read(OWNER_LEN, counted).map_err(StoreError::Store)?;
    let ([count, steps], _) = counted.as_chunks::<4>() else {
        return Err(HeadError::NotAHead.into());
    };
    let (count, steps) = (u32::from_le_bytes(*count), u32::from_le_bytes(*steps));
    let mut crc = CRC.digest();
    crc.update(&header);
    let (mut offset, mut left, mut finite) = (HEADER_LEN, parameters.saturating_mul(4), true);
    let mut piece = [0; PIECE];
    while left > 0 {
        let len = left.min(PIECE);
        let piece = piece.get_mut(..len).unwrap_or_default();
        read(offset, piece).map_err(StoreError::Store)?;
        crc.update(piece);
        for word in piece.as_chunks().0 {
            let value = f32::from_le_bytes(*word);
            finite &= value.is_finite();
            weight(value);
        }
        offset = offset.saturating_add(len);
        left = left.saturating_sub(len);
    }
    let mut stored = [0; CRC_LEN];
    read(offset, &mut stored).map_err(StoreError::Store)?;
    if crc.finalize() != u32::from_le_bytes(stored) {
        return Err(HeadError::Crc.into());
    }
    if count as usize != parameters {
        return Err(HeadError::NotAHead.into());
    }
    match finite {
        true => Ok(steps),
        false => Err(HeadError::NotFinite.into()),
    }
}
