//! Making a large struct in its place.

/// Writes each field of a struct where it shall be. (An expression is built on the stack and moved, as a whole and
/// partly misaligned, which waits for its own writes: five nanoseconds of a spawn.)
///
/// Needs `unsafe`: memory for one of them.
macro_rules! write_fields {
    ($to:expr, $of:ident { $($field:ident: $value:expr,)* } $(also $other:ident)?) => {
        $( (&raw mut (*$to).$field).write($value); )*
        // That none was forgotten.
        let _ = |all: $of| { let $of { $($field: _,)* $($other: _)? } = all; };
    };
}
pub(crate) use write_fields;
