//! A stack overflow in a task ends the process with a message that names the task.
//!
//! The guard below the stack faults. The handler runs on the worker's own signal stack. It finds the slot of the
//! address and whose it is, says so and aborts.
//!
//! Any other fault goes to whoever handled it before. So does a signal that is no fault because somebody has sent it.
//! Everything here is async-signal-safe: no lock, no allocation.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::slab::{self, Slot};
use crate::task::Header;

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

struct Previous(UnsafeCell<[MaybeUninit<libc::sigaction>; 2]>);

// SAFETY: written once, before the handler that reads it is installed.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new([const { MaybeUninit::zeroed() }; 2]));
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Puts the handler before those of others, once in the process.
pub(crate) fn install_handler() {
    // (Nobody's code runs in it: two system calls.)
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: `Once` makes this the only writer of PREVIOUS, and no handler of ours for
            // this signal reads its entry yet; the handler has the signature that SA_SIGINFO says.
            unsafe {
                let before = &mut (*PREVIOUS.0.get())[index];
                libc::sigaction(signal, ptr::null(), before.as_mut_ptr());
                let mut action = mem::zeroed::<libc::sigaction>();
                action.sa_sigaction = on_fault as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&mut action.sa_mask);
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    });
}

unsafe extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands valid pointers to a SA_SIGINFO handler.
    let (code, address, stack) =
        unsafe { ((*info).si_code, (*info).si_addr() as usize, stack_pointer(context)) };
    // Not by kill(2) and the like, nor the news of broken memory that nobody has touched yet: the
    // instruction is the cause, and is repeated when this returns.
    let fault = code > 0 && !(signal == libc::SIGBUS && code == libc::BUS_MCEERR_AO);
    if fault
        && let Some(slot) = slab::find(address)
        && slot.in_guard(address)
        // On its own stack, so that it is this thread's task and not a stray pointer; then the
        // task is alive.
        && stack.is_none_or(|stack| slot.contains(stack))
    {
        report(slot);
    }
    // SAFETY: PREVIOUS was written before this handler was installed.
    unsafe {
        let which = usize::from(signal != libc::SIGSEGV);
        let before = (*PREVIOUS.0.get())[which].assume_init_ref();
        match before.sa_sigaction {
            libc::SIG_IGN if !fault => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                // The instruction faults again, and then the default action takes place (a fault
                // cannot be ignored). What was sent is sent again; it comes when this returns.
                libc::sigaction(signal, before, ptr::null_mut());
                if !fault {
                    libc::raise(signal);
                }
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                type Full = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                mem::transmute::<usize, Full>(handler)(signal, info, context);
            }
            handler => mem::transmute::<usize, unsafe extern "C" fn(libc::c_int)>(handler)(signal),
        }
    }
}

fn report(slot: Slot) -> ! {
    if !REPORTING.swap(true, Ordering::Relaxed) {
        let mut words = Words { bytes: [0; 512], length: 0 };
        // SAFETY: the head is mapped as the slot is; the owner runs on this thread, so that its
        // header is alive, and its name never changes. (It is a header: `Reserved::take` asks for one.)
        let owner =
            unsafe { (*slot.head()).owner.load(Ordering::Relaxed).cast_const().cast::<Header>().as_ref() };
        words.add(b"\n");
        add_title(&mut words, owner);
        words.add(b" has overflowed its stack\nfatal runtime error: the stack of ");
        let (low, high) = owner.and_then(Header::stack).unwrap_or((slot.low, slot.top));
        words.add_number((high - low).div_ceil(1024) as u64);
        words.add(b" KiB is full (more by its stack_size), aborting\n");
        // SAFETY: a buffer of that length.
        unsafe { libc::write(2, words.bytes.as_ptr().cast(), words.length) };
    }
    // SAFETY: abort may be called anywhere.
    unsafe { libc::abort() }
}

fn add_title(words: &mut Words, owner: Option<&Header>) {
    let Some(owner) = owner else { return words.add(b"a task") };
    words.add(b"task '");
    let name = owner.name.as_deref().unwrap_or("<unnamed>").as_bytes();
    // The rest of the message must find room.
    words.add(&name[..name.len().min(256)]);
    words.add(b"' (id ");
    words.add_number(owner.id.as_u64());
    words.add(b")");
}

/// A message put together without the heap; what is too long is cut.
struct Words {
    bytes: [u8; 512],
    length: usize,
}

impl Words {
    fn add(&mut self, more: &[u8]) {
        let more = &more[..more.len().min(self.bytes.len() - self.length)];
        self.bytes[self.length..self.length + more.len()].copy_from_slice(more);
        self.length += more.len();
    }

    fn add_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.add(&digits[at..]);
    }
}

/// The stack pointer at the fault, where we know how to find it.
unsafe fn stack_pointer(context: *mut libc::c_void) -> Option<usize> {
    // SAFETY: a SA_SIGINFO handler's third argument is a ucontext.
    #[cfg(target_arch = "x86_64")]
    return unsafe {
        Some((*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RSP as usize] as usize)
    };
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    return unsafe { Some((*context.cast::<libc::ucontext_t>()).uc_mcontext.sp as usize) };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        None
    }
}
