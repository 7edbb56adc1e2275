//! Why there is no ring here, or none that the driver can use.

#![allow(unsafe_code)]

use io_uring::{IoUring, Probe, opcode};
use std::io;

/// Why there is no ring, for those who have to do something about it.
#[cold]
pub(super) fn why_not(e: &io::Error) -> io::Error {
    let why = match e.raw_os_error() {
        // mmap(2) says so where all memory is to be locked (mlockall); a kernel that charges rings to the limit says ENOMEM.
        Some(libc::EAGAIN) => {
            format!("locked memory is short (RLIMIT_MEMLOCK is {}): {e}", locked_memory())
        }
        Some(libc::ENOMEM) => {
            format!("locked memory is short (RLIMIT_MEMLOCK is {}), or memory is: {e}", locked_memory())
        }
        Some(libc::EPERM | libc::EACCES) => {
            format!("disabled by kernel.io_uring_disabled or a filter of system calls: {e}")
        }
        Some(libc::ENOSYS) => {
            format!("the kernel has no io_uring, or a filter of system calls hides it: {e}")
        }
        Some(libc::EINVAL) => format!("the kernel lacks what the ring is made with (Linux 5.13): {e}"),
        Some(libc::EMFILE | libc::ENFILE) => format!("no descriptor is left for a ring: {e}"),
        _ => format!("no ring can be made: {e}"),
    };
    io::Error::new(e.kind(), why)
}

fn locked_memory() -> String {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for a limit.
    match unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } {
        0 if limit.rlim_cur == libc::RLIM_INFINITY => String::from("unlimited"),
        0 => format!("{} KiB", limit.rlim_cur / 1024),
        _ => String::from("unknown"),
    }
}

/// Has this kernel what the driver needs?
pub(super) fn check(ring: &IoUring) -> io::Result<()> {
    let lacks =
        |what: &str| Err(io::Error::new(io::ErrorKind::Unsupported, format!("the kernel lacks {what}")));
    let p = ring.params();
    // The last one came with multishot poll, which has no flag of its own.
    let features = p.is_feature_ext_arg() && p.is_feature_nodrop() && p.is_feature_fast_poll();
    if !features || !p.is_feature_resource_tagging() {
        return lacks("EXT_ARG, NODROP, FAST_POLL or multishot poll (Linux 5.13)");
    }
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|e| {
        io::Error::new(e.kind(), format!("the kernel, or a filter, does not tell what io_uring can do: {e}"))
    })?;
    // (With nothing to submit. A filter may allow a ring to be made, and forbid its use.)
    ring.submit().map_err(|e| {
        io::Error::new(e.kind(), format!("a filter of system calls refuses io_uring_enter: {e}"))
    })?;
    let needed = [
        (opcode::Nop::CODE, "NOP"),
        (opcode::Accept::CODE, "ACCEPT"),
        (opcode::Connect::CODE, "CONNECT"),
        (opcode::Recv::CODE, "RECV"),
        (opcode::Send::CODE, "SEND"),
        (opcode::RecvMsg::CODE, "RECVMSG"),
        (opcode::SendMsg::CODE, "SENDMSG"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    ];
    for (code, name) in needed {
        if !probe.is_supported(code) {
            return lacks(&format!("IORING_OP_{name}"));
        }
    }
    Ok(())
}
