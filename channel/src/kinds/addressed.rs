//! Room for a socket's address, and for a message with one, for the kinds that have them.

#![allow(unsafe_code)]

use super::ancillary::Control;
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

    pub(super) fn of_any(to: SockAddr) -> Self {
        Self { len: to.len(), storage: to.as_storage() }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr_storage {
        (&raw mut self.storage).cast()
    }

    pub(super) fn get(&self) -> Option<SocketAddr> {
        self.get_any()?.as_socket()
    }

    /// Of whatever family.
    pub(super) fn get_any(&self) -> Option<SockAddr> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: the storage is zeroed, or was filled by the kernel or from an address, with this length. (A copy: it is plain bytes,
        // but says so to unsafe code only.)
        Some(unsafe { SockAddr::new(std::ptr::read(&self.storage), self.len) })
    }
}

/// What recvmsg(2) and sendmsg(2) are told, and tell.
pub(super) struct Header(libc::msghdr);

// SAFETY: the pointers in it are set anew at each post, by who keeps what they point to beside it.
unsafe impl Send for Header {}

impl Header {
    pub(super) fn none() -> Self {
        // SAFETY: for this C structure all zeroes is a value.
        Header(unsafe { std::mem::zeroed() })
    }

    /// Points it at these parts. They and this stay where they are from here on.
    pub(super) fn point(&mut self, parts: *mut libc::iovec, count: usize) -> *mut libc::msghdr {
        // (The type differs between libraries.)
        (self.0.msg_iov, self.0.msg_iovlen) = (parts, count as _);
        self.0.msg_flags = 0;
        &raw mut self.0
    }

    /// With the address, which has so much room, or is so long.
    pub(super) fn point_to_address(&mut self, address: &mut Address, len: libc::socklen_t) {
        (self.0.msg_name, self.0.msg_namelen) = (address.as_mut_ptr().cast(), len);
    }

    /// With this control data, or this room for some.
    pub(super) fn point_to_control(&mut self, control: &mut Control) {
        let (at, len) = control.parts();
        // (The type differs between libraries. Of what has no length the kernel takes no notice.)
        (self.0.msg_control, self.0.msg_controllen) = (at, len as _);
    }

    /// What the kernel has left of the length of the control data.
    #[allow(clippy::unnecessary_cast, reason = "the type differs between libraries")]
    pub(super) fn control_len(&self) -> usize {
        self.0.msg_controllen as usize
    }

    /// What the kernel has left of the length of the address.
    pub(super) fn address_len(&self) -> libc::socklen_t {
        self.0.msg_namelen
    }

    pub(super) fn flags(&self) -> i32 {
        self.0.msg_flags
    }
}

/// For recvmsg(2) and sendmsg(2): one part, and an address.
pub(super) struct Message {
    pub(super) address: Address,
    part: libc::iovec,
    pub(super) header: Header,
}

// SAFETY: the pointer in `part` points to what is held beside it, and is set anew by `point`, at each post.
unsafe impl Send for Message {}

impl Message {
    pub(super) fn with(address: Address) -> Self {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self { address, part, header: Header::none() }
    }

    /// Points it at `len` bytes, and at the address, which has so much room, or is so long. It stays where it is from here on.
    pub(super) fn point(
        &mut self,
        bytes: *mut u8,
        len: usize,
        address_len: libc::socklen_t,
    ) -> *mut libc::msghdr {
        self.part = libc::iovec { iov_base: bytes.cast(), iov_len: len };
        self.header.point_to_address(&mut self.address, address_len);
        self.header.point(&raw mut self.part, 1)
    }
}
