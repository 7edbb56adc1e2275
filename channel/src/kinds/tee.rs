//! What is in a pipe, in another one as well.

use super::EventKind;
use super::splice::Held;
use crate::events::request::Request;
use crate::events::source::Source;

impl Request {
    /// Has up to `len` bytes that are in the pipe `from` come out of the pipe `to` as well, as tee(2) does: they stay where they are, and
    /// nothing is copied. The result is the number of bytes, which may be fewer, and is 0 at the end of the input. It waits until there is
    /// something in the one pipe, and room in the other. What are not two pipes fails with `EINVAL`. For the rest it is as
    /// [`splice`](Self::splice).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::{Read, Write}, sync::Arc};
    /// let channel = EventChannel::new()?;
    /// let (input, mut writer) = std::io::pipe()?;
    /// let (mut copy, output) = std::io::pipe()?;
    /// writer.write_all(b"hello")?;
    /// let input = Arc::new(input);
    /// channel.post(Request::tee(input.clone(), output, 1 << 16))?;
    /// assert_eq!(channel.get_event()?.result()?, 5);
    /// for mut pipe in [std::io::PipeReader::from(input.try_clone()?), copy] {
    ///     let mut content = [0; 5];
    ///     pipe.read_exact(&mut content)?;
    ///     assert_eq!(&content, b"hello");
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tee(from: impl Into<Source>, to: impl Into<Source>, len: usize) -> Self {
        Self::of(Held::new(EventKind::Tee, from.into(), to.into(), [None, None], len))
    }
}
