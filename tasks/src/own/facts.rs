//! What [`measure`](super::measure) finds out about this libc, and how one looks for it.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::ptr;

/// What can be falsified, by the names of the fields.
pub(crate) const NAMES: &[&str] = &[
    "below", "above", "align", "tid", "list", "specific", "dtv", "rseq", "libc", "errno", "locale",
    "dlerror", "carried", "freed", "here",
];

/// See the module. Offsets are in bytes from the thread pointer.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Bytes of thread-local storage below the thread pointer, with what is spare for libraries.
    pub(crate) below: usize,
    /// Bytes of descriptor from the thread pointer up.
    pub(crate) above: usize,
    /// What the thread pointer is a multiple of.
    pub(crate) align: usize,
    /// The kernel's thread id, 4 bytes.
    pub(crate) tid: usize,
    /// The node (next, previous) of libc's list of threads.
    pub(crate) list: usize,
    /// The 32 pointers to the values of `pthread_setspecific`.
    pub(crate) specific: usize,
    /// The pointer to the dynamic thread vector.
    pub(crate) dtv: usize,
    /// The area registered for restartable sequences, if there is one.
    pub(crate) rseq: Option<isize>,
    /// libc's own thread-locals.
    pub(crate) libc: (isize, isize),
    /// errno, which the task keeps.
    pub(crate) errno: isize,
    /// What of libc's segment the task keeps: errno, locale, character tables, list of destructors, texts.
    pub(crate) kept: Vec<(isize, usize)>,
    /// One of these: the pointer to the text of `dlerror`, which must be freed.
    pub(crate) dlerror: Option<isize>,
    /// Words of the descriptor that go with the thread: the state of getrandom.
    pub(crate) carried: Vec<usize>,
    /// Words of the descriptor that are malloc's and freed at the end of a thread: texts of strerror, strsignal.
    pub(crate) freed: Vec<usize>,
    /// Where the runtime's own thread-local lies, by which its worker finds it in a block.
    pub(crate) here: isize,
}

/// A symbol's address in this process, whoever defines it.
pub(super) fn symbol(name: &CStr) -> Option<usize> {
    // SAFETY: a terminated name; asking changes nothing.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found as usize)
}

/// # Safety
/// `address` can be read.
pub(super) unsafe fn word(address: usize) -> usize {
    // SAFETY: the caller's promise; all that is read this way is aligned.
    unsafe { ptr::read_volatile(address as *const usize) }
}

/// The size of a thread's static part as the loader tells libc.
pub(super) fn static_tls_size() -> Option<usize> {
    let info = symbol(c"_dl_get_tls_static_info")?;
    let (mut size, mut align) = (0usize, 0usize);
    // SAFETY: `void (size_t *, size_t *)` since it exists; private, so what it says is checked.
    unsafe {
        let info = std::mem::transmute::<usize, unsafe extern "C" fn(*mut usize, *mut usize)>(info);
        info(&mut size, &mut align);
    }
    Some(size)
}
