//! Several buffers in one message, or one call, for the kinds that have them.

#![allow(unsafe_code)]

use super::addressed::Header;

/// See the module.
pub(super) struct Parts {
    pub(super) buffers: Vec<Vec<u8>>,
    /// Those of them that are not empty.
    list: Vec<libc::iovec>,
    pub(super) header: Header,
}

// SAFETY: the pointers in `list` point to the buffers that are held beside it, and are set anew at each post.
unsafe impl Send for Parts {}

impl Parts {
    pub(super) fn of(buffers: Vec<Vec<u8>>) -> Self {
        Parts { buffers, list: Vec::new(), header: Header::none() }
    }

    /// Points it at what is to be sent. It stays where it is from here on.
    pub(super) fn point_to_bytes(&mut self) -> *mut libc::msghdr {
        self.bytes();
        self.header.point(self.list.as_mut_ptr(), self.list.len())
    }

    /// Points it at the room that there is.
    pub(super) fn point_to_room(&mut self) -> *mut libc::msghdr {
        self.room();
        self.header.point(self.list.as_mut_ptr(), self.list.len())
    }

    /// What is to be sent. The list stays where it is until the next one is made.
    pub(super) fn bytes(&mut self) -> &[libc::iovec] {
        self.make_list(Vec::len)
    }

    /// The room that there is. The list stays, as above.
    pub(super) fn room(&mut self) -> &[libc::iovec] {
        self.make_list(Vec::capacity)
    }

    fn make_list(&mut self, len: impl Fn(&Vec<u8>) -> usize) -> &[libc::iovec] {
        let part = |buffer: &mut Vec<u8>| {
            let iov_len = len(buffer);
            (iov_len > 0).then(|| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len })
        };
        self.list.clear();
        self.list.extend(self.buffers.iter_mut().filter_map(part));
        &self.list
    }

    /// `result` bytes were received, one buffer after the other; an error has left them empty.
    ///
    /// # Safety
    /// So many bytes of their capacities are initialised, in this order.
    pub(super) unsafe fn received(&mut self, result: i32) {
        let mut left = result.max(0);
        for buffer in &mut self.buffers {
            // SAFETY: by contract.
            unsafe { super::received(buffer, left) };
            left -= buffer.len() as i32;
        }
    }
}
