//! Helper threads: genuine threads of libc's, on stacks of ours, which look at themselves.
//!
//! ```text
//!   starter                            helper
//!   create, wait            ─►         writes down where its things are (touching none of them)
//!   (may take its picture)  ◄─ looked, waits
//!   go_on                   ─►         calls into libc and notes what changes
//!                           ◄─ looked, waits
//!   drop                    ─►         ends, is joined
//! ```

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

use super::facts;
use super::pictures::{pointers_set_by, words_changed_by};
use super::{plain, real};
use crate::here;

/// Bytes of a helper's stack that nobody may touch, and those for its frames.
const GUARD: usize = 64 << 10;
const STACK: usize = 1 << 20;

/// A helper and its stack, at whose top its descriptor lies. When this is dropped the helper ends.
pub(super) struct Helper {
    low: usize,
    size: usize,
    thread: libc::pthread_t,
    shared: Box<Shared>,
}

/// What a helper and its starter share. The helper touches nothing else before the picture is taken.
struct Shared {
    /// Posted by the helper when it has looked, and again after its second look.
    looked: Signal,
    /// Posted by the starter: to look for the second time, to end.
    go_on: Signal,
    /// Where its descriptor ends.
    top: usize,
    /// The second look is at everything, not at the modules alone.
    measure: bool,
    seen: MaybeUninit<Seen>,
}

/// A semaphore of libc's: waiting for it leaves no trace in thread-locals.
struct Signal(UnsafeCell<libc::sem_t>);

impl Signal {
    fn new() -> Signal {
        let mut semaphore = MaybeUninit::uninit();
        // SAFETY: a place for a semaphore, which does not depend on its address before it is used.
        unsafe {
            libc::sem_init(semaphore.as_mut_ptr(), 0, 0);
            Signal(UnsafeCell::new(semaphore.assume_init()))
        }
    }

    fn post(&self) {
        // SAFETY: initialised.
        unsafe { libc::sem_post(self.0.get()) };
    }

    fn wait(&self) {
        // SAFETY: initialised. A handler of the program's may interrupt the starter.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {}
    }
}

/// What one thread tells of itself.
pub(super) struct Seen {
    pub(super) thread_pointer: usize,
    pub(super) stack_pointer: usize,
    pub(super) tid: i32,
    pub(super) errno: usize,
    pub(super) h_errno: usize,
    pub(super) tables: [usize; 3],
    pub(super) here: usize,
    /// The words of its memory that change when it uses another locale, or registers a destructor.
    pub(super) changed: Vec<usize>,
    /// The word that refers to the text of `dlerror`, if it is one of libc's.
    pub(super) dlerror: Option<usize>,
    /// Where `inet_ntoa` writes.
    pub(super) address_text: usize,
    /// Which word of its descriptor changes when it uses a key of the second level, and its index.
    pub(super) second_level: Option<(usize, usize)>,
    pub(super) carried: Vec<usize>,
    pub(super) freed: Vec<usize>,
    pub(super) modules: Vec<Module>,
}

/// A module (program or library) with thread-locals in the static part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) id: usize,
    /// Where it is loaded.
    pub(super) base: usize,
    /// Its thread-locals: offset from the thread pointer, bytes, and the alignment asked for.
    pub(super) offset: isize,
    pub(super) size: usize,
    pub(super) align: usize,
    /// The initial values and how many bytes of them there are; the rest is zero.
    pub(super) image: (usize, usize),
}

impl Helper {
    /// Starts a helper and waits until it has looked at itself for the first time. One that does not `measure` asks
    /// the loader for nothing that is locked while it runs a library's constructors.
    pub(super) fn start(measure: bool) -> Result<Helper, String> {
        // A program may have megabytes of thread-locals, which lie on the stack.
        let mut size = (GUARD + STACK + facts::static_tls_size().unwrap_or(0)).next_multiple_of(1 << 16);
        loop {
            let mut helper = Helper::mapped(size, measure)?;
            match helper.create() {
                0 if helper.seen().stack_pointer - helper.low < STACK / 2 && size < 1 << 30 => size *= 8,
                0 => return Ok(helper),
                libc::EINVAL if size < 1 << 30 => size *= 8,
                errno => {
                    let why = std::io::Error::from_raw_os_error(errno);
                    return Err(format!("no helper thread: {why}"));
                }
            }
        }
    }

    fn mapped(size: usize, measure: bool) -> Result<Helper, String> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: a new mapping.
        let low =
            unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if low == libc::MAP_FAILED {
            return Err(format!("no stack for a helper thread: {}", std::io::Error::last_os_error()));
        }
        // SAFETY: the low end of the new mapping. (Without a guard it works as well.)
        unsafe { libc::mprotect(low, GUARD, libc::PROT_NONE) };
        let shared = Box::new(Shared {
            looked: Signal::new(),
            go_on: Signal::new(),
            top: low as usize + size,
            measure,
            seen: MaybeUninit::uninit(),
        });
        Ok(Helper { low: low as usize, size, thread: 0, shared })
    }

    /// 0, or the error number; then no thread runs.
    fn create(&mut self) -> c_int {
        // SAFETY: the attributes are initialised and destroyed here; stack and `shared` stay
        // until the thread has been joined, in `drop`. All signals are blocked in the helper: a
        // handler of the program's must not find it.
        unsafe {
            let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
            libc::pthread_attr_init(attributes.as_mut_ptr());
            let mut failed =
                libc::pthread_attr_setstack(attributes.as_mut_ptr(), self.low as *mut c_void, self.size);
            if failed == 0 {
                let mut before = MaybeUninit::<libc::sigset_t>::uninit();
                let mut all = MaybeUninit::<libc::sigset_t>::uninit();
                libc::sigfillset(all.as_mut_ptr());
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
                let mut thread = 0;
                failed = libc::pthread_create(
                    &mut thread,
                    attributes.as_ptr(),
                    look,
                    (&raw mut *self.shared).cast(),
                );
                libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
                if failed == 0 {
                    self.thread = thread;
                    self.shared.looked.wait();
                }
            }
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            failed
        }
    }

    /// Lets the helper look for the second time, and waits.
    pub(super) fn go_on(&self) {
        self.shared.go_on.post();
        self.shared.looked.wait();
    }

    pub(super) fn seen(&self) -> &Seen {
        // SAFETY: written before its first post, by a thread that waits.
        unsafe { self.shared.seen.assume_init_ref() }
    }

    pub(super) fn top(&self) -> usize {
        self.low + self.size
    }

    /// The addresses of its stack, with the block.
    pub(super) fn memory(&self) -> Range<usize> {
        self.low..self.top()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // SAFETY: the thread is joined before what it uses goes; `seen` was written if there is one.
        unsafe {
            if self.thread != 0 {
                // Twice: it may not have been told to look again.
                self.shared.go_on.post();
                self.shared.go_on.post();
                libc::pthread_join(self.thread, ptr::null_mut());
                self.shared.seen.assume_init_drop();
            }
            libc::munmap(self.low as *mut c_void, self.size);
        }
    }
}

/// The helper's body. Before its first post it calls nothing that could change its thread-locals: then its
/// picture is that of a thread that has done nothing yet.
extern "C" fn look(shared: *mut c_void) -> *mut c_void {
    let shared = shared.cast::<Shared>();
    let marker = 0usize;
    // SAFETY: the starter keeps `shared` until this thread has been joined, and reads `seen` only
    // while we wait.
    unsafe {
        let thread_pointer = here::thread_pointer();
        (*shared).seen.write(Seen {
            thread_pointer,
            stack_pointer: (&raw const marker) as usize,
            tid: libc::gettid(),
            errno: libc::__errno_location() as usize,
            h_errno: __h_errno_location() as usize,
            tables: [
                __ctype_b_loc() as usize,
                __ctype_tolower_loc() as usize,
                __ctype_toupper_loc() as usize,
            ],
            here: here::address_of_here(),
            changed: Vec::new(),
            dlerror: None,
            address_text: 0,
            second_level: None,
            carried: Vec::new(),
            freed: Vec::new(),
            modules: Vec::new(),
        });
        (*shared).looked.post();
        (*shared).go_on.wait();
        plain::begin_within();
        let seen = (*shared).seen.assume_init_mut();
        if (*shared).measure {
            let _ = second_look(seen, (*shared).top);
        }
        seen.modules = modules();
        (*shared).looked.post();
        (*shared).go_on.wait();
    }
    ptr::null_mut()
}

unsafe extern "C" {
    fn inet_ntoa(address: libc::in_addr) -> *mut libc::c_char;
    fn __h_errno_location() -> *mut c_int;
    fn __ctype_b_loc() -> *mut c_void;
    fn __ctype_tolower_loc() -> *mut c_void;
    fn __ctype_toupper_loc() -> *mut c_void;
}

/// What takes calls into libc, on the helper thread. Nothing is allocated but by libc, until all has been seen. What is not found is
/// left empty, and the facts are refused.
///
/// # Safety
/// `seen` is that of the calling thread, whose descriptor ends at `top`.
unsafe fn second_look(seen: &mut Seen, top: usize) -> Option<()> {
    let segment = segment_of(seen.errno)?;
    // SAFETY: memory of this thread; the locale is the C one, which is never freed, and the
    // former is put back; the destructor does nothing.
    let (locale, destructors, dlerror) = unsafe {
        // What malloc changes by being called for the first time is not to count: its cache is the thread's. (The compiler
        // would leave out a call whose result nobody sees.)
        libc::free(std::hint::black_box(libc::malloc(1)));
        let locale = libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), ptr::null_mut());
        let mut former = ptr::null_mut();
        let changed = words_changed_by(&segment, || former = libc::uselocale(locale))?;
        libc::uselocale(former);
        // (The first one: libc remembers from then on which library it was for, and that is the task's, too.)
        let destructors = words_changed_by(&segment, || real::register_nothing_with_libc())?;
        let fail = || _ = libc::dlsym(libc::RTLD_DEFAULT, c"no such symbol".as_ptr());
        let dlerror = words_changed_by(&segment, fail)?;
        // The first call gives the text, the second frees it.
        libc::dlerror();
        libc::dlerror();
        seen.address_text = inet_ntoa(libc::in_addr { s_addr: 0 }) as usize;
        (changed, destructors, dlerror)
    };
    // SAFETY: this thread's own descriptor; the calls have places for what they give, and the numbers
    // are none that libc has a constant text for.
    let (carried, freed) = unsafe {
        let descriptor = seen.thread_pointer..top;
        seen.second_level = real::SecondLevelKey::find_in(&descriptor);
        let mut byte = 0u8;
        let random = || _ = libc::getrandom((&raw mut byte).cast(), 1, 0);
        let carried = pointers_set_by(&descriptor, random)?;
        let texts = || _ = (libc::strerror(123_456), libc::strsignal(123_456));
        (carried, pointers_set_by(&descriptor, texts)?)
    };
    if let [place] = dlerror.as_slice() {
        seen.dlerror = Some(segment.start + place);
    }
    let changed = [&locale, &destructors].into_iter().flat_map(|places| places.as_slice());
    seen.changed = changed.map(|place| segment.start + place).chain(seen.dlerror).collect();
    seen.carried = carried.as_slice().into();
    seen.freed = freed.as_slice().into();
    Some(())
}

/// The thread-locals of the calling thread among which `address` lies: those of one module.
fn segment_of(address: usize) -> Option<Range<usize>> {
    let mut found = None;
    each_loaded(|info| {
        if let Some(tls) = headers(info).iter().find(|header| header.p_type == libc::PT_TLS) {
            let start = info.dlpi_tls_data as usize;
            let segment = start..start + tls.p_memsz as usize / 8 * 8;
            found = segment.contains(&address).then_some(segment);
        }
        found.is_some()
    });
    found
}

/// Calls `f` with each module that is loaded, until it says that it has seen enough.
pub(super) fn each_loaded(mut f: impl FnMut(&libc::dl_phdr_info) -> bool) {
    unsafe extern "C" fn visit<F: FnMut(&libc::dl_phdr_info) -> bool>(
        info: *mut libc::dl_phdr_info,
        _: usize,
        f: *mut c_void,
    ) -> c_int {
        // SAFETY: libc's word for the time of this call; `f` is the caller's, of this type.
        unsafe { (*f.cast::<F>())(&*info) }.into()
    }
    fn visitor<F: FnMut(&libc::dl_phdr_info) -> bool>(
        _: &F,
    ) -> unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int {
        visit::<F>
    }
    // SAFETY: the callback has `f` for the time of the call.
    unsafe { libc::dl_iterate_phdr(Some(visitor(&f)), (&raw mut f).cast()) };
}

/// Its program headers.
pub(super) fn headers(info: &libc::dl_phdr_info) -> &[libc::Elf64_Phdr] {
    // SAFETY: the module is loaded as long as libc shows it.
    unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) }
}

/// Number and place of each module with thread-locals that is loaded at present.
pub(super) fn loaded() -> Vec<(usize, usize)> {
    let mut list = Vec::new();
    each_loaded(|info| {
        if info.dlpi_tls_modid != 0 {
            list.push((info.dlpi_tls_modid, info.dlpi_addr as usize));
        }
        false
    });
    list
}

/// The modules whose thread-locals are in the static part of the calling thread, which is a new one: in
/// an older one libc may not have noticed those loaded since.
fn modules() -> Vec<Module> {
    let mut list = Vec::<Module>::new();
    each_loaded(|info| {
        if let Some(tls) = headers(info).iter().find(|header| header.p_type == libc::PT_TLS)
            && !info.dlpi_tls_data.is_null()
        {
            list.push(Module {
                id: info.dlpi_tls_modid,
                base: info.dlpi_addr as usize,
                offset: (info.dlpi_tls_data as usize).wrapping_sub(here::thread_pointer()) as isize,
                size: tls.p_memsz as usize,
                align: tls.p_align as usize,
                image: ((info.dlpi_addr + tls.p_vaddr) as usize, tls.p_filesz as usize),
            });
        }
        false
    });
    list.retain(|module| (-0x4000_0000..0).contains(&module.offset));
    list
}
