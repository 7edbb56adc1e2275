//! libc's own functions, behind those that stand in front of them ([`interpose`](super::interpose)).

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pictures;

/// Of a thread-local, or of a value of `pthread_setspecific`.
pub(super) type Destructor = unsafe extern "C" fn(*mut c_void);

/// libc's own function behind one of ours.
pub(super) struct Real {
    name: &'static CStr,
    address: AtomicUsize,
}

impl Real {
    const fn new(name: &'static CStr) -> Real {
        Real { name, address: AtomicUsize::new(0) }
    }

    /// Its address; ends the process if there is none, as the call would have failed to link.
    pub(super) fn get(&self) -> usize {
        let known = self.address.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        // SAFETY: a terminated name.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) } as usize;
        if found == 0 {
            // SAFETY: ends the process.
            unsafe { libc::abort() };
        }
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

static ATEXIT: Real = Real::new(c"__cxa_thread_atexit_impl");
pub(super) static KEY_DELETE: Real = Real::new(c"pthread_key_delete");
pub(super) static DLOPEN: Real = Real::new(c"dlopen");
pub(super) static DLCLOSE: Real = Real::new(c"dlclose");
pub(super) static GETADDRINFO: Real = Real::new(c"getaddrinfo");

unsafe extern "C" {
    /// libc's other name for `pthread_key_create`.
    pub(super) fn __pthread_key_create(
        key: *mut libc::pthread_key_t,
        destructor: Option<Destructor>,
    ) -> c_int;
    static __dso_handle: c_void;
}

/// Now, or a thread that needs one of them waits for the loader's lock while another one runs a library's constructors.
pub(super) fn find_all() {
    [&ATEXIT, &KEY_DELETE, &DLOPEN, &DLCLOSE, &GETADDRINFO].into_iter().for_each(|real| _ = real.get());
}

/// # Safety
/// As for libc's function.
pub(super) unsafe fn real_atexit(destructor: Destructor, object: *mut c_void, dso: *mut c_void) -> c_int {
    type Atexit = unsafe extern "C" fn(Destructor, *mut c_void, *mut c_void) -> c_int;
    // SAFETY: libc's function of that name and type.
    unsafe { std::mem::transmute::<usize, Atexit>(ATEXIT.get())(destructor, object, dso) }
}

/// Makes libc's list of destructors change, for [`super::helper`].
///
/// # Safety
/// On a thread that ends soon.
pub(super) unsafe fn register_nothing_with_libc() {
    unsafe extern "C" fn nothing(_: *mut c_void) {}
    // SAFETY: a destructor that may be called with anything.
    unsafe { real_atexit(nothing, ptr::null_mut(), (&raw const __dso_handle).cast_mut()) };
}

/// A key whose value is kept in a table of the second level (keys from 32 on), for [`super::helper`].
pub(super) struct SecondLevelKey {
    keys: Vec<libc::pthread_key_t>,
}

static SECOND_LEVEL_KEY: AtomicUsize = AtomicUsize::new(usize::MAX);

impl SecondLevelKey {
    pub(super) fn new() -> Result<SecondLevelKey, String> {
        let mut all = SecondLevelKey { keys: Vec::new() };
        loop {
            let mut key = 0;
            // SAFETY: a place for the key.
            let failed = unsafe { __pthread_key_create(&mut key, None) };
            if failed != 0 {
                let why = std::io::Error::from_raw_os_error(failed);
                return Err(format!("no key for pthread_setspecific: {why}"));
            }
            all.keys.push(key);
            if key >= 32 {
                SECOND_LEVEL_KEY.store(key as usize, Ordering::Release);
                return Ok(all);
            }
        }
    }

    /// Which word of the caller's descriptor points at the table, and the key.
    ///
    /// # Safety
    /// `descriptor` is the calling thread's, which has used no key yet.
    pub(super) unsafe fn find_in(descriptor: &Range<usize>) -> Option<(usize, usize)> {
        let key = SECOND_LEVEL_KEY.load(Ordering::Acquire);
        // SAFETY: the caller's own descriptor; the key exists.
        let places = unsafe {
            let set = |value| _ = libc::pthread_setspecific(key as libc::pthread_key_t, value);
            let places = pictures::pointers_set_by(descriptor, || set(ptr::dangling::<u8>().cast()));
            set(ptr::null());
            places?
        };
        match places.as_slice() {
            &[place] => Some((place, key)),
            _ => None,
        }
    }
}

impl Drop for SecondLevelKey {
    fn drop(&mut self) {
        for &key in &self.keys {
            // SAFETY: made by us, and nobody else knows it.
            unsafe { libc::pthread_key_delete(key) };
        }
    }
}
