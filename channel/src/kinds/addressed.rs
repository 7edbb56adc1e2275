//! Room for a socket's address, and for a message with one, for the kinds that have them.

#![allow(unsafe_code)]

use socket2::{SockAddr, SockAddrStorage};
use std::net::SocketAddr;

/// An address that the kernel reads or writes.
pub(super) struct Address {
    storage: SockAddrStorage,
    /// 0: there is none.
    pub(super) len: libc::socklen_t,
}

/// As long as an address may be.
pub(super) const ROOM: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

impl Address {
    pub(super) fn none() -> Self {
        Self { storage: SockAddrStorage::zeroed(), len: 0 }
    }

    pub(super) fn of(to: SocketAddr) -> Self {
        let it = SockAddr::from(to);
        Self { len: it.len(), storage: it.as_storage() }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr_storage {
        (&raw mut self.storage).cast()
    }

    pub(super) fn get(&self) -> Option<SocketAddr> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: the storage is zeroed, or was filled by the kernel or from a SocketAddr, with this length. (A copy: it is plain bytes,
        // but says so to unsafe code only.)
        unsafe { SockAddr::new(std::ptr::read(&self.storage), self.len) }.as_socket()
    }
}

/// For recvmsg(2) and sendmsg(2): one part, and an address.
pub(super) struct Message {
    pub(super) address: Address,
    part: libc::iovec,
    header: libc::msghdr,
}

// SAFETY: the pointers in `part` and `header` point to what is held beside them, and are set anew by `point`, at each post.
unsafe impl Send for Message {}

impl Message {
    pub(super) fn with(address: Address) -> Self {
        // SAFETY: for these C structures all zeroes is a value.
        let (part, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Self { address, part, header }
    }

    /// Points it at `len` bytes, and at the address, which has so much room, or is so long. It stays where it is from here on.
    pub(super) fn point(
        &mut self,
        bytes: *mut u8,
        len: usize,
        address_len: libc::socklen_t,
    ) -> *mut libc::msghdr {
        self.part = libc::iovec { iov_base: bytes.cast(), iov_len: len };
        (self.header.msg_iov, self.header.msg_iovlen) = (&raw mut self.part, 1);
        (self.header.msg_name, self.header.msg_namelen) = (self.address.as_mut_ptr().cast(), address_len);
        self.header.msg_flags = 0;
        &raw mut self.header
    }

    /// What the kernel has left of the length of the address.
    pub(super) fn address_len(&self) -> libc::socklen_t {
        self.header.msg_namelen
    }

    pub(super) fn flags(&self) -> i32 {
        self.header.msg_flags
    }
}
