//! [`Poster`]: how others post to a [`LocalChannel`](crate::LocalChannel).

use crate::events::request::Request;
use crate::getting::shared::EventChannel;
use std::any::Any;
use std::fmt;
use std::io;

/// Posts to a [`LocalChannel`](crate::LocalChannel) from other threads and tasks: numbers, and data that is `Send`. It does not keep the channel alive.
///
/// ```
/// use ec_channel::EventChannel;
/// let channel = EventChannel::builder().single_threaded().build()?;
/// let poster = channel.poster();
/// std::thread::spawn(move || {
///     poster.post(7)?;
///     poster.post_with(8, Box::new(String::from("words")))
/// });
/// assert_eq!(channel.get_event()?.token(), 7);
/// let words = channel.get_event()?.take_context().unwrap();
/// assert_eq!(*words.downcast::<String>().unwrap(), "words");
/// # Ok::<(), std::io::Error>(())
/// ```
/// What stays with the channel does not go with it:
///
/// ```compile_fail,E0277
/// let channel = ec_channel::EventChannel::builder().single_threaded().build().unwrap();
/// channel.poster().post_with(1, Box::new(std::rc::Rc::new(2))); // not `Send`
/// ```
#[derive(Clone)]
pub struct Poster(pub(crate) EventChannel);

impl Poster {
    /// The channel's owner gets a notification with this token.
    ///
    /// # Errors
    /// The channel has been dropped; or this is a forked child.
    pub fn post(&self, token: u64) -> io::Result<()> {
        self.hand_over(Request::notification().token(token))
    }

    /// As [`post`](Self::post), with something ([`Event::take_context`](crate::Event::take_context)).
    ///
    /// # Errors
    /// As there. What was to be handed over is dropped then.
    pub fn post_with(&self, token: u64, context: Box<dyn Any + Send>) -> io::Result<()> {
        self.hand_over(Request::notification().token(token).context(context))
    }

    fn hand_over(&self, mut request: Request) -> io::Result<()> {
        request.0.set_foreign(true);
        self.0.post(request)?;
        Ok(())
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}
