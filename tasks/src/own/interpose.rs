//! The functions of libc's that this program defines itself, so that they know of tasks.
//!
//! A definition in the executable comes before libc's for std, for static C code and for shared libraries. In a
//! plain thread each does what libc's does. If the runtime is part of a library that was loaded
//! later, nobody calls these. [`in_place`] notices that, and tasks become threads.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};

use super::loading::loading;
use super::real::{self, DLCLOSE, DLOPEN, Destructor, GETADDRINFO, KEY_DELETE, real_atexit};
use super::{ending, facts, switch, template};
use crate::here;

/// Registers the destructor of a thread-local: of the task if the caller is one.
///
/// # Safety
/// As for libc's function, by the C++ ABI.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cxa_thread_atexit_impl(
    destructor: Destructor,
    object: *mut c_void,
    dso: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        if here::thread_of_task() != 0 {
            return ending::add(destructor, object);
        }
        real_atexit(destructor, object, dso)
    }
}

/// Makes a key, whose destructor runs at the end of tasks, too.
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_key_create(
    key: *mut libc::pthread_key_t,
    destructor: Option<Destructor>,
) -> c_int {
    // SAFETY: the caller's promise, handed on; on success the key is there.
    unsafe {
        let failed = real::__pthread_key_create(key, destructor);
        if failed == 0 {
            ending::key_created(*key, destructor);
        }
        failed
    }
}

/// Deletes a key.
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_key_delete(key: libc::pthread_key_t) -> c_int {
    ending::key_deleted(key);
    type Delete = unsafe extern "C" fn(libc::pthread_key_t) -> c_int;
    // SAFETY: libc's function of that name and type.
    unsafe { std::mem::transmute::<usize, Delete>(KEY_DELETE.get())(key) }
}

/// C11's name for [`pthread_key_create`].
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tss_create(key: *mut libc::pthread_key_t, destructor: Option<Destructor>) -> c_int {
    /// `thrd_error`; success is 0 in both.
    const ERROR: c_int = 2;
    // SAFETY: the caller's promise, handed on.
    if unsafe { pthread_key_create(key, destructor) } == 0 { 0 } else { ERROR }
}

/// C11's name for [`pthread_key_delete`].
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tss_delete(key: libc::pthread_key_t) {
    // SAFETY: the caller's promise, handed on.
    unsafe { pthread_key_delete(key) };
}

/// Sets the signal stack. It belongs to the kernel's thread: what a task sets is taken back when it
/// suspends.
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaltstack(new: *const libc::stack_t, old: *mut libc::stack_t) -> c_int {
    // SAFETY: the caller's promise, handed on to the kernel.
    unsafe {
        if !new.is_null() && here::thread_of_task() != 0 {
            here::note_signal_stack();
        }
        libc::syscall(libc::SYS_sigaltstack, new, old) as c_int
    }
}

/// Loads a library, and tells all tasks what it has brought.
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    let (library, refreshed) = loading(|| {
        // SAFETY: libc's function of that name and type; the caller's promise, handed on.
        let library = unsafe { std::mem::transmute::<usize, Open>(DLOPEN.get())(name, flags) };
        (library, if library.is_null() { Ok(()) } else { template::refresh() })
    });
    tell(refreshed);
    library
}

/// Another handle of a library that is loaded, by the name that the loader has for it. Null: it is not.
///
/// # Safety
/// A terminated string.
pub(super) unsafe fn open_again(name: *const c_char) -> *mut c_void {
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: libc's function of that name and type; the caller's promise.
    loading(|| unsafe { std::mem::transmute::<usize, Open>(DLOPEN.get())(name, flags) })
}

/// Not while it is being loaded: a logger is somebody's code.
fn tell(refreshed: Result<(), String>) {
    if let Err(why) = refreshed {
        // Only a library with static thread-locals would notice.
        crate::quietly_log!(
            error,
            "the thread-locals of a library that was loaded are not known to tasks: {why}"
        );
    }
}

/// Unloads a library. Its destructors run on the thread's own thread-locals.
///
/// # Safety
/// As for libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(library: *mut c_void) -> c_int {
    type Close = unsafe extern "C" fn(*mut c_void) -> c_int;
    loading(|| {
        // SAFETY: libc's function of that name and type; the caller's promise, handed on.
        let failed = unsafe { std::mem::transmute::<usize, Close>(DLCLOSE.get())(library) };
        template::forget_unloaded();
        failed
    })
}

// Weak: a program may have a `getaddrinfo` of its own, which then knows itself what it loads.
std::arch::global_asm!(
    ".pushsection .text.getaddrinfo,\"ax\",@progbits",
    ".weak getaddrinfo",
    ".type getaddrinfo, @function",
    "getaddrinfo:",
    "jmp {look_up}",
    ".size getaddrinfo, . - getaddrinfo",
    ".popsection",
    look_up = sym look_up,
);

/// `getaddrinfo`: libc loads libraries for that without asking `dlopen`.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn look_up(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    found: *mut *mut libc::addrinfo,
) -> c_int {
    type Look = unsafe extern "C" fn(
        *const c_char,
        *const c_char,
        *const libc::addrinfo,
        *mut *mut libc::addrinfo,
    ) -> c_int;
    // SAFETY: libc's function of that name and type; the caller's promise, handed on; errno is the thread's and
    // then the caller's.
    unsafe {
        let look = || {
            let failed = std::mem::transmute::<usize, Look>(GETADDRINFO.get())(node, service, hints, found);
            (failed, *libc::__errno_location())
        };
        let (failed, errno) = switch::on_thread(look);
        *libc::__errno_location() = errno;
        tell(template::refresh());
        failed
    }
}

/// Whether this process calls our functions and not libc's.
pub(super) fn in_place() -> Result<(), String> {
    let ours: [(&CStr, *const c_void); 8] = [
        (c"__cxa_thread_atexit_impl", __cxa_thread_atexit_impl as *const c_void),
        (c"pthread_key_create", pthread_key_create as *const c_void),
        (c"pthread_key_delete", pthread_key_delete as *const c_void),
        (c"tss_create", tss_create as *const c_void),
        (c"tss_delete", tss_delete as *const c_void),
        (c"sigaltstack", sigaltstack as *const c_void),
        (c"dlopen", dlopen as *const c_void),
        (c"dlclose", dlclose as *const c_void),
    ];
    for (name, address) in ours {
        if facts::symbol(name) != Some(address as usize) {
            let name = name.to_string_lossy();
            return Err(format!(
                "{name} is not the runtime's: is it in a library, or is another there twice?"
            ));
        }
    }
    // Now, or a thread that needs one of them waits for the loader's lock while another one runs a library's constructors.
    real::find_all();
    Ok(())
}
