//! What `torch.save` writes since PyTorch 1.6: a ZIP archive with a pickle and a file for each storage.
//!
//! `NAME/data.pkl` is the pickle, `NAME/data/KEY` the bytes of a storage, `NAME/byteorder` says in which order
//! (little-endian where it is absent). Nothing is compressed, unless someone has packed the archive again.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::dtype::ByteOrder;
use super::error::FileProblem;
use super::pickle::Pickle;
use super::state_dict::{StateDict, Storages, of_pickle};
use crate::file::crc32;

/// Most bytes that are unpacked from one compressed file: deflate can claim a thousand times what it takes, and
/// networks for small devices have far fewer weights.
const MAX_INFLATED: u64 = 256 << 20;

/// Bytes of the header in front of each file, up to the name.
const LOCAL_HEADER_LEN: usize = 30;

/// An archive in memory.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// What the files' names start with.
    folder: String,
    /// The order of the bytes in every storage.
    pub(super) order: ByteOrder,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, FileProblem> {
        // No directory is taken for longer than its place in `bytes`, whatever it says.
        let zip = ZipArchive::new(Cursor::new(bytes))?;
        let folders = zip
            .file_names()
            .filter_map(|name| name.strip_suffix("data.pkl"));
        let folders: Vec<&str> = folders.filter(|folder| folder.ends_with('/')).collect();
        let &[folder] = folders.as_slice() else {
            let found = folders.len();
            return Err(FileProblem::NotTorch { found });
        };
        let mut archive = Self {
            bytes,
            folder: folder.to_owned(),
            order: ByteOrder::Little,
            zip,
        };
        let name = archive.path("byteorder");
        if archive.zip.index_for_name(&name).is_some() {
            archive.order = match &*archive.read(&name)? {
                b"little" => ByteOrder::Little,
                b"big" => ByteOrder::Big,
                _ => {
                    let what = "it says neither little nor big";
                    return Err(FileProblem::Entry { name, what });
                }
            };
        }
        Ok(archive)
    }

    /// The state dict in the archive.
    pub(super) fn state_dict(self) -> Result<StateDict<'a>, FileProblem> {
        let data = self.read(&self.path("data.pkl"))?;
        let (pickle, _) = Pickle::read(&data)?;
        let (entries, keys) = of_pickle(&pickle)?;
        Ok(StateDict {
            entries,
            wrapper: String::new(),
            storages: Storages::Archive(self, keys),
        })
    }

    /// The bytes of a storage.
    pub(super) fn storage(&self, key: &str) -> Result<Cow<'a, [u8]>, FileProblem> {
        self.read(&self.path(&format!("data/{key}")))
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// A file of the archive, as the archive's checksum has it. (A checksum of 0 is none: PyTorch can be told
    /// not to compute it.)
    fn read(&self, name: &str) -> Result<Cow<'a, [u8]>, FileProblem> {
        let damaged = |what| FileProblem::Entry {
            name: name.to_owned(),
            what,
        };
        let index = self.zip.index_for_name(name);
        let index = index.ok_or_else(|| FileProblem::NoEntry {
            name: name.to_owned(),
        })?;
        // A clone of the archive is a clone of a pointer.
        let mut zip = self.zip.clone();
        let file = zip.by_index_raw(index)?;
        let (size, checksum) = (file.size(), file.crc32());
        let start = usize::try_from(file.data_start()).ok();
        let len = usize::try_from(file.compressed_size()).ok();
        let range = start
            .zip(len)
            .and_then(|(start, len)| Some(start..start.checked_add(len)?));
        let packed = range.and_then(|range| self.bytes.get(range));
        // Checksums do not cover names, but each name is in the archive twice.
        let header = usize::try_from(file.header_start()).ok();
        let header = header.and_then(|start| self.bytes.get(start..)?.get(LOCAL_HEADER_LEN..));
        if !header.is_some_and(|rest| rest.starts_with(name.as_bytes())) {
            return Err(damaged("it has another name where it stands"));
        }
        let packed = packed.ok_or_else(|| damaged("it does not lie in the archive"))?;
        let content = match file.compression() {
            CompressionMethod::Stored => Cow::Borrowed(packed),
            CompressionMethod::Deflated if size <= MAX_INFLATED => {
                let mut content = Vec::new();
                let mut decoder = DeflateDecoder::new(packed).take(size + 1);
                let inflated = decoder.read_to_end(&mut content);
                inflated.map_err(|_| damaged("it cannot be unpacked"))?;
                Cow::Owned(content)
            }
            CompressionMethod::Deflated => {
                return Err(FileProblem::Inflated {
                    name: name.to_owned(),
                    size,
                    most: MAX_INFLATED,
                });
            }
            _ => return Err(damaged("it is neither stored nor deflated")),
        };
        if content.len() as u64 != size {
            return Err(damaged("it is of another size"));
        }
        if checksum != 0 && checksum != crc32(&content) {
            return Err(damaged("its checksum is wrong"));
        }
        Ok(content)
    }
}
