//! Buffers at page boundaries, as files that were opened with `O_DIRECT` want them.

#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};

const SIZE: usize = 4096;

#[derive(Clone)]
#[repr(C, align(4096))]
struct Page([u8; SIZE]);

/// A buffer that begins at a page's boundary, and has room for whole pages of 4,096 bytes: for [`Request::read_direct`] and
/// [`Request::write_direct`]. It dereferences to the bytes in it.
///
/// ```
/// # use ec_channel::Pages;
/// let mut pages = Pages::with_capacity(5000);
/// assert_eq!((pages.capacity(), pages.len(), pages.as_ptr().addr() % 4096), (8192, 0, 0));
/// pages.resize(4096);
/// pages[..5].copy_from_slice(b"bytes");
/// ```
///
/// [`Request::read_direct`]: crate::Request::read_direct
/// [`Request::write_direct`]: crate::Request::write_direct
#[derive(Clone, Default)]
pub struct Pages {
    pages: Box<[Page]>,
    /// Bytes in it, no more than there is room for.
    len: usize,
}

impl Pages {
    /// An empty one with room for so many bytes, and up to the end of a page. Its memory is zero.
    pub fn with_capacity(bytes: usize) -> Self {
        Pages { pages: vec![Page([0; SIZE]); bytes.div_ceil(SIZE)].into(), len: 0 }
    }

    /// So many bytes there is room for.
    pub fn capacity(&self) -> usize {
        self.pages.len() * SIZE
    }

    /// From now on so many bytes are in it, of those that its memory has.
    ///
    /// # Panics
    /// There is no room for so many.
    pub fn resize(&mut self, bytes: usize) {
        assert!(bytes <= self.capacity(), "{bytes} bytes in pages with room for {}", self.capacity());
        self.len = bytes;
    }

    /// Where its memory is.
    pub(crate) fn room(&mut self) -> *mut u8 {
        self.pages.as_mut_ptr().cast()
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: pages are bytes, one behind the other, and no fewer than that (`resize`).
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast(), self.len) }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({} of {} bytes)", self.len, self.capacity())
    }
}
