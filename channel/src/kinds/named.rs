//! What kinds that name files have in common: the call is made by whoever may block.
//!
//! The ring is not asked for them: if the thread that asked exits, what was under way may have to be asked for again, and most of these must
//! not be done twice.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::operation::{Blocking, Caller, Carry, Verdict};
use crate::sys;
use std::cell::UnsafeCell;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

/// Paths, and what else has a name, each with a NUL behind it.
pub(super) struct Names<const N: usize>([Box<[u8]>; N]);

impl<const N: usize> Names<N> {
    pub(super) fn new(names: [&OsStr; N]) -> Self {
        Names(names.map(|name| [name.as_bytes(), &[0]].concat().into_boxed_slice()))
    }

    /// Strings that end. Or why these names cannot be asked for: there is a NUL in one of them.
    pub(super) fn get(&self) -> Result<[*const c_char; N], i32> {
        match self.0.iter().all(|name| CStr::from_bytes_with_nul(name).is_ok()) {
            true => Ok(std::array::from_fn(|at| self.0[at].as_ptr().cast())),
            false => Err(libc::EINVAL),
        }
    }

    /// As they were given.
    pub(super) fn given(&self) -> Vec<&OsStr> {
        self.0.iter().map(|name| OsStr::from_bytes(name.strip_suffix(&[0]).unwrap_or(name))).collect()
    }
}

/// A request that makes `call`, once.
pub(super) fn request<const N: usize>(
    kind: EventKind,
    names: [&OsStr; N],
    call: impl Fn([*const c_char; N]) -> libc::c_int + Send + 'static,
) -> Request {
    request_with(kind, names, Vec::new(), move |names, _| call(names) as isize)
}

/// As [`request`]; `call` reads the bytes, or fills them.
pub(super) fn request_with<const N: usize>(
    kind: EventKind,
    names: [&OsStr; N],
    bytes: Vec<u8>,
    call: impl Fn([*const c_char; N], &mut Vec<u8>) -> isize + Send + 'static,
) -> Request {
    Request::of(Call { kind, names: Names::new(names), bytes: UnsafeCell::new(bytes), call })
}

/// The bytes that `call` writes to the capacity of `into`; an error leaves none.
///
/// # Safety
/// It writes as many bytes as it returns, if there is room for as many.
pub(super) unsafe fn fill(into: &mut Vec<u8>, call: impl FnOnce(*mut u8, usize) -> isize) -> isize {
    into.clear();
    let result = call(into.as_mut_ptr(), into.capacity());
    // SAFETY: by contract.
    unsafe { super::received(into, result.max(0) as i32) };
    result
}

/// One thread at a time has it: whoever posts and gets it, or who makes the call.
struct Call<const N: usize, F> {
    kind: EventKind,
    names: Names<N>,
    bytes: UnsafeCell<Vec<u8>>,
    call: F,
}

// SAFETY: it touches what it holds.
unsafe impl<const N: usize, F> Carry for Call<N, F>
where
    F: Fn([*const c_char; N], &mut Vec<u8>) -> isize + Send + 'static,
{
    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, _result: i32) -> Verdict {
        Verdict::Final
    }
}

// SAFETY: as above.
unsafe impl<const N: usize, F> Blocking for Call<N, F>
where
    F: Fn([*const c_char; N], &mut Vec<u8>) -> isize + Send + 'static,
{
    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        let names = match self.names.get() {
            Ok(names) => names,
            Err(errno) => return -errno,
        };
        // SAFETY: nobody else uses the operation meanwhile.
        let bytes = unsafe { &mut *self.bytes.get() };
        // (Once, also if a signal has ended it: nobody knows how far it got.)
        match (self.call)(names, bytes) {
            n if n >= 0 => n as i32,
            _ => -sys::errno(),
        }
    }
}

impl<const N: usize, F> Kept for Call<N, F>
where
    F: Fn([*const c_char; N], &mut Vec<u8>) -> isize + Send + 'static,
{
    fn kind(&self) -> u8 {
        self.kind as u8
    }

    fn names(&self) -> Vec<&OsStr> {
        self.names.given()
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const *self
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        // SAFETY: it is not in flight, for it is in its owner's hands.
        Some(unsafe { &*self.bytes.get() })
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        Some(self.bytes.get_mut())
    }
}
