//! The part of Python's pickle format that a state dict is made of, read without running anything.
//!
//! A pickle is a program for a stack machine: most opcodes put values together, and a few call what the file
//! names, which may be anything. Here a name has to be one of the few that a state dict needs ([`Callee`] and
//! the storage classes), and what it would compute is written out in this file. Any other name, and any other
//! opcode, ends the reading.
//!
//! 1. Values stand in one list and refer to each other by their places in it. A value fetched from the memo a
//!    million times costs a million places, not copies; a cycle is harmless, since nothing here follows
//!    references.
//! 2. An opcode makes one value at most, and there may be [`MAX_VALUES`]. Strings stay where they are in the file.

use std::collections::HashMap;

use super::dtype::Dtype;
use super::error::PickleProblem;

/// Most values of a pickle. A tensor of a state dict takes about 20, so this is far beyond any network here.
const MAX_VALUES: usize = 1 << 20;

/// Most extents of a tensor: those of a three-dimensional convolution are 5.
const MAX_RANK: usize = 8;

/// The place of a value in [`Pickle::values`].
pub(super) type Id = usize;

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

/// A value of a pickle, as far as state dicts need it.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// `None`, `True`, `False` or a float: they occur, but nothing depends on them.
    Scalar,
    Integer(i64),
    /// An integer of more than 8 bytes, little-endian.
    Long(&'a [u8]),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callee(Callee),
    StorageClass(Dtype),
    Storage(Storage<'a>),
    Tensor(Tensor<'a>),
}

/// What may be called.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callee {
    /// `collections.OrderedDict()`: an empty dict, which other opcodes fill.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, ...)`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter(tensor, ...)`: the tensor.
    RebuildParameter,
}

/// A storage that the pickle refers to. Its bytes are elsewhere in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    /// Number of elements.
    pub(super) len: usize,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone)]
pub(super) struct Tensor<'a> {
    pub(super) storage: Storage<'a>,
    /// The first element, in elements from the start of the storage.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Distance of neighbors along each extent, in elements.
    pub(super) strides: Vec<usize>,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`; returns what follows it too.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), PickleProblem> {
        let mut machine = Machine {
            bytes,
            position: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while !machine.step()? {}
        let root = machine.pop()?;
        let values = machine.values;
        Ok((Self { values, root }, &bytes[machine.position..]))
    }

    /// The value that the pickle is.
    pub(super) fn root(&self) -> &Value<'a> {
        self.value(self.root)
    }

    pub(super) fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// The text with this id, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match *self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The storages that the pickle refers to, a storage as often as it is referred to.
    pub(super) fn storages(&self) -> impl Iterator<Item = Storage<'a>> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(*storage),
            _ => None,
        })
    }
}

/// The opcodes of a state dict, from protocol 2, which `torch.save` writes, to protocol 5.
mod opcode {
    pub(super) const MARK: u8 = b'(';
    pub(super) const STOP: u8 = b'.';
    pub(super) const NONE: u8 = b'N';
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const SHORT_BINSTRING: u8 = b'U';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BUILD: u8 = b'b';
    pub(super) const BINPERSID: u8 = b'Q';
    pub(super) const BINGET: u8 = b'h';
    pub(super) const LONG_BINGET: u8 = b'j';
    pub(super) const BINPUT: u8 = b'q';
    pub(super) const LONG_BINPUT: u8 = b'r';
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const LONG1: u8 = 0x8a;
    pub(super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(super) const STACK_GLOBAL: u8 = 0x93;
    pub(super) const MEMOIZE: u8 = 0x94;
    pub(super) const FRAME: u8 = 0x95;
}

/// The stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

type Step<T = ()> = Result<T, PickleProblem>;

impl<'a> Machine<'a> {
    /// Does what the next opcode says; true if it was the last one.
    fn step(&mut self) -> Step<bool> {
        let position = self.position;
        match self.byte()? {
            opcode::STOP => return Ok(true),
            opcode::PROTO => drop(self.take(1)?),
            opcode::FRAME => drop(self.take(8)?),
            opcode::MARK => self.marks.push(self.stack.len()),
            opcode::NONE | opcode::NEWTRUE | opcode::NEWFALSE => self.push(Value::Scalar)?,
            opcode::BINFLOAT => {
                self.take(8)?;
                self.push(Value::Scalar)?;
            }
            opcode::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()))?;
            }
            opcode::BININT1 => {
                let value = self.byte()?;
                self.push(Value::Integer(value.into()))?;
            }
            opcode::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()))?;
            }
            opcode::LONG1 => {
                let len = self.byte()?;
                let value = long(self.take(len.into())?);
                self.push(value)?;
            }
            opcode::BINUNICODE => {
                let len = u32::from_le_bytes(self.array()?);
                self.push_text(len)?;
            }
            opcode::SHORT_BINUNICODE | opcode::SHORT_BINSTRING => {
                let len = self.byte()?;
                self.push_text(len.into())?;
            }
            opcode::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new()))?,
            opcode::EMPTY_LIST => self.push(Value::List(Vec::new()))?,
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new()))?,
            opcode::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            opcode @ opcode::TUPLE1..=opcode::TUPLE3 => {
                let mut items = vec![0; usize::from(opcode - opcode::TUPLE1) + 1];
                for item in items.iter_mut().rev() {
                    *item = self.pop()?;
                }
                self.push(Value::Tuple(items))?;
            }
            opcode::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            opcode::APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            opcode::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            opcode::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            opcode::GLOBAL => {
                let module = self.line()?;
                let name = self.line()?;
                self.push_global(module, name)?;
            }
            opcode::STACK_GLOBAL => {
                let name = self.pop_text()?;
                let module = self.pop_text()?;
                self.push_global(module, name)?;
            }
            opcode::REDUCE => self.call()?,
            opcode::BUILD => {
                // The attributes of a state dict (`_metadata`) say nothing about its tensors.
                self.pop()?;
                if !matches!(self.top()?, Value::Dict(_)) {
                    return self.malformed("only a dict may be given attributes");
                }
            }
            opcode::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Value::Storage(storage))?;
            }
            opcode::BINGET => {
                let key = self.byte()?;
                self.fetch(key.into())?;
            }
            opcode::LONG_BINGET => {
                let key = u32::from_le_bytes(self.array()?);
                self.fetch(key)?;
            }
            opcode::BINPUT => {
                let key = self.byte()?;
                self.memoize(key.into())?;
            }
            opcode::LONG_BINPUT => {
                let key = u32::from_le_bytes(self.array()?);
                self.memoize(key)?;
            }
            opcode::MEMOIZE => {
                let key = u32::try_from(self.memo.len());
                let Ok(key) = key else {
                    return self.malformed("the memo is full");
                };
                self.memoize(key)?;
            }
            opcode => return Err(PickleProblem::Opcode { opcode, position }),
        }
        Ok(false)
    }

    fn malformed<T>(&self, what: &'static str) -> Step<T> {
        let position = self.position;
        Err(PickleProblem::Malformed { what, position })
    }

    fn take(&mut self, len: usize) -> Step<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some((taken, _)) = rest.split_at_checked(len) else {
            return Err(PickleProblem::Truncated);
        };
        self.position += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| PickleProblem::Truncated)
    }

    fn byte(&mut self) -> Step<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The text up to the end of the line.
    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.position..];
        let len = rest.iter().position(|b| *b == b'\n');
        let line = self.take(len.ok_or(PickleProblem::Truncated)?)?;
        self.position += 1;
        self.utf8(line)
    }

    fn utf8(&self, bytes: &'a [u8]) -> Step<&'a str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.malformed("a text is not UTF-8"),
        }
    }

    fn push(&mut self, value: Value<'a>) -> Step {
        if self.values.len() == MAX_VALUES {
            return Err(PickleProblem::TooManyValues { most: MAX_VALUES });
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn push_text(&mut self, len: u32) -> Step {
        let bytes = self.take(len as usize)?;
        let text = self.utf8(bytes)?;
        self.push(Value::Text(text))
    }

    fn pop(&mut self) -> Step<Id> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= bottom => Ok(id),
            _ => self.malformed("a value is missing"),
        }
    }

    fn pop_text(&mut self) -> Step<&'a str> {
        let id = self.pop()?;
        match self.values[id] {
            Value::Text(text) => Ok(text),
            _ => self.malformed("a name is not a text"),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.malformed("a mark is missing"),
        }
    }

    fn top(&mut self) -> Step<&mut Value<'a>> {
        match self.stack.last() {
            Some(id) => Ok(&mut self.values[*id]),
            None => self.malformed("a value is missing"),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Step {
        match self.top()? {
            Value::List(list) => list.extend(items),
            _ => return self.malformed("only a list may be appended to"),
        }
        Ok(())
    }

    /// Sets items of the dict on top: a key, its value, a key, ...
    fn set_items(&mut self, items: &[Id]) -> Step {
        let (pairs, []) = items.as_chunks() else {
            return self.malformed("a key has no value");
        };
        match self.top()? {
            Value::Dict(dict) => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return self.malformed("only a dict may have keys"),
        }
        Ok(())
    }

    fn fetch(&mut self, key: u32) -> Step {
        match self.memo.get(&key) {
            Some(id) => self.stack.push(*id),
            None => return self.malformed("the memo has no such value"),
        }
        Ok(())
    }

    fn memoize(&mut self, key: u32) -> Step {
        match self.stack.last() {
            Some(id) => self.memo.insert(key, *id),
            None => return self.malformed("there is no value to memoize"),
        };
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Step {
        let storage = Dtype::of_storage(name).map(Value::StorageClass);
        let value = match (module, name) {
            ("collections", "OrderedDict") => Value::Callee(Callee::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Value::Callee(Callee::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Value::Callee(Callee::RebuildParameter),
            ("torch" | "torch.storage", _) if let Some(class) = storage => class,
            _ => return Err(PickleProblem::refused(module, name)),
        };
        self.push(value)
    }

    /// Replaces a callee and its arguments by what the callee would return.
    fn call(&mut self) -> Step {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return self.malformed("arguments must be a tuple");
        };
        let Value::Callee(callee) = self.values[callee] else {
            return self.malformed("this value cannot be called");
        };
        match (callee, arguments.as_slice()) {
            (Callee::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Callee::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let tensor = self.tensor(storage, offset, shape, strides)?;
                self.push(Value::Tensor(tensor))
            }
            (Callee::RebuildParameter, &[tensor, ..])
                if matches!(self.values[tensor], Value::Tensor(_)) =>
            {
                self.stack.push(tensor);
                Ok(())
            }
            _ => self.malformed("these arguments are not possible"),
        }
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Step<Tensor<'a>> {
        let Value::Storage(storage) = self.values[storage] else {
            return self.malformed("a tensor without a storage");
        };
        let (shape, strides) = (self.extents(shape)?, self.extents(strides)?);
        if shape.len() != strides.len() {
            return self.malformed("a tensor with another number of strides than extents");
        }
        Ok(Tensor {
            storage,
            offset: self.count(offset)?,
            shape,
            strides,
        })
    }

    fn extents(&self, id: Id) -> Step<Vec<usize>> {
        match &self.values[id] {
            Value::Tuple(items) if items.len() <= MAX_RANK => {
                items.iter().map(|item| self.count(*item)).collect()
            }
            Value::Tuple(_) => self.malformed("a tensor with more than 8 extents"),
            _ => self.malformed("extents must be a tuple"),
        }
    }

    fn count(&self, id: Id) -> Step<usize> {
        match self.values[id] {
            Value::Integer(value) if let Ok(count) = usize::try_from(value) => Ok(count),
            _ => self.malformed("a number of elements must be a whole number of at least 0"),
        }
    }

    /// The storage that a persistent id stands for: `("storage", class, key, device, len)`.
    fn storage(&self, id: Id) -> Step<Storage<'a>> {
        let Value::Tuple(parts) = &self.values[id] else {
            return self.malformed("a reference must be a tuple");
        };
        // Before PyTorch 0.4 a sixth part could say that the storage is a view of another one.
        let (&[kind, class, key, _device, len], rest) =
            parts.split_first_chunk().unwrap_or((&[0; 5], &[]));
        let whole = rest
            .iter()
            .all(|id| matches!(self.values[*id], Value::Scalar));
        match (&self.values[kind], &self.values[class], &self.values[key]) {
            (Value::Text("storage"), &Value::StorageClass(dtype), &Value::Text(key)) if whole => {
                let len = self.count(len)?;
                Ok(Storage { key, dtype, len })
            }
            _ => self.malformed("a reference to something else than a whole storage"),
        }
    }
}

/// A signed little-endian integer.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Integer(i64::from_le_bytes(whole))
}

#[cfg(test)]
mod tests;
