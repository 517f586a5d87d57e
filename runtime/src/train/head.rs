//! A trained head as bytes: what `save_head` writes and `load_head` takes back.
//!
//! `"kgh1"`, model id (16 bytes), number of parameters and of steps taken (u32 each), the parameters (f32
//! each), CRC-32 of all before; little-endian. The head belongs to one model: the id covers its graph and
//! its factory weights.

use crate::model::{CRC, ModelId};

const MAGIC: [u8; 4] = *b"kgh1";
/// Bytes before the parameters.
const HEADER_LEN: usize = 4 + 16 + 4 + 4;
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
        }
    }
}

impl core::error::Error for HeadError {}

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

/// Writes a head to the front of `bytes` and returns its length.
pub(super) fn write(
    id: ModelId,
    steps: u32,
    weights: &[f32],
    bytes: &mut [u8],
) -> Result<usize, HeadError> {
    let needed = head_len(weights.len());
    let found = bytes.len();
    let too_small = HeadError::BufferTooSmall { needed, found };
    let head = bytes.get_mut(..needed).ok_or(too_small)?;
    let (covered, crc) = head
        .split_at_mut_checked(needed.saturating_sub(CRC_LEN))
        .ok_or(too_small)?;
    let header = MAGIC
        .into_iter()
        .chain(id.0)
        .chain((weights.len() as u32).to_le_bytes())
        .chain(steps.to_le_bytes());
    let content = header.chain(weights.iter().flat_map(|w| w.to_le_bytes()));
    covered.iter_mut().zip(content).for_each(|(t, b)| *t = b);
    let checksum = CRC.checksum(covered).to_le_bytes();
    crc.iter_mut().zip(checksum).for_each(|(t, b)| *t = b);
    Ok(needed)
}

/// Checks a head and returns the steps it was trained for and its parameters, still as bytes.
pub(super) fn read(
    id: ModelId,
    parameters: usize,
    bytes: &[u8],
) -> Result<(u32, &[[u8; 4]]), HeadError> {
    let head = bytes
        .get(..head_len(parameters))
        .filter(|head| head.starts_with(&MAGIC));
    // A head of another model may have another length: look at whose it is first.
    let found = bytes
        .strip_prefix(&MAGIC)
        .and_then(|rest| rest.first_chunk().copied())
        .map(ModelId)
        .ok_or(HeadError::NotAHead)?;
    if found != id {
        return Err(HeadError::OtherModel { found });
    }
    let (covered, crc) = head
        .and_then(|head| head.split_last_chunk())
        .ok_or(HeadError::NotAHead)?;
    if CRC.checksum(covered) != u32::from_le_bytes(*crc) {
        return Err(HeadError::Crc);
    }
    let (header, weights) = covered
        .split_at_checked(HEADER_LEN)
        .ok_or(HeadError::NotAHead)?;
    let (header, steps) = header.split_last_chunk().ok_or(HeadError::NotAHead)?;
    let (_, count) = header.split_last_chunk().ok_or(HeadError::NotAHead)?;
    if u32::from_le_bytes(*count) as usize != parameters {
        return Err(HeadError::NotAHead);
    }
    Ok((u32::from_le_bytes(*steps), weights.as_chunks().0))
}
