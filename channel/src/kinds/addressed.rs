//! Room for a socket's address, for the kinds that have one.

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
