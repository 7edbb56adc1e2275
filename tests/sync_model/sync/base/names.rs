//! Nothing has a name here.

pub(crate) struct Name;

impl Name {
    pub(crate) fn none() -> Name {
        Name
    }

    pub(crate) fn new(_: &'static str) -> Name {
        Name
    }

    pub(crate) fn text(&self) -> Option<&'static str> {
        None
    }

    pub(crate) fn number(&self) -> u32 {
        0
    }

    pub(crate) fn detail<T>(&self, _: &T) -> u64 {
        0
    }
}

pub(crate) fn show(_: Option<&'static str>, _: &mut std::fmt::DebugStruct<'_, '_>) {}

pub(crate) fn text_of(_: u64) -> Option<&'static str> {
    None
}

pub(crate) fn describe(_: u64, _: u64) -> String {
    String::new()
}
