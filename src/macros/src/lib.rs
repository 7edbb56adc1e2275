//! The attributes `#[event_channel::main]` and `#[event_channel::test]`. Programs use them by way of `event-channel`, where they are
//! documented.
//!
//! What they make of a function is small: the function itself, unchanged, inside one of the same name that hands it to
//! `event_channel::__macros`. There is the code that does something (`src/runtime/entry.rs`).
//!
//! * `function.rs` reads the function, `options.rs` what stands in the attribute's brackets.
//! * `tokens.rs` has the errors, and makes code of text.
//!
//! No parser of all of Rust is wanted for that: of a function only the head is looked at, and values of options are handed on as they are.

#![forbid(unsafe_code)]

mod function;
mod options;
mod tokens;

use function::Function;
use options::Options;
use proc_macro::{Literal, TokenStream, TokenTree};
use tokens::{Error, code};

/// Runs `main` as a task. Documented in `event-channel`.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand_main(options, item.clone()).unwrap_or_else(|error| {
        let mut tokens = error.into_tokens();
        // Else the compiler would miss it as well.
        if function::is_named_main(item) {
            tokens.extend(code("fn main() {}", &[]));
        }
        tokens
    })
}

/// Runs a test as a task, once on each driver. Documented in `event-channel`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand_test(options, item).unwrap_or_else(Error::into_tokens)
}

fn expand_main(options: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let function = Function::parse(item, "event_channel::main")?;
    let options = Options::parse(options)?;
    if function.name.to_string() != "main" {
        let what =
            "`#[event_channel::main]` is for the function `main`: another one can call `event_channel::run`";
        return Err(Error::new(function.name.span(), what));
    }
    Ok(code(
        "ATTRIBUTES VISIBILITY fn NAME() -> CRATE::__macros::ExitCode {
            FUNCTION
            CRATE::__macros::main(RUNTIME, BODY)
        }",
        &[
            ("ATTRIBUTES", function.attributes()),
            ("VISIBILITY", function.visibility.clone()),
            ("NAME", name(&function)),
            ("FUNCTION", function.bare()),
            ("RUNTIME", option(options.runtime())),
            ("BODY", function.reference()),
            ("CRATE", options.path()),
        ],
    ))
}

fn expand_test(options: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let function = Function::parse(item, "event_channel::test")?;
    let options = Options::parse(options)?;
    if let Some(attribute) = function.attribute("test") {
        let what = "`#[event_channel::test]` makes it a test: it needs no other such attribute";
        return Err(Error::new(attribute.span, what));
    }
    let should_panic = function.attribute("should_panic");
    if let (Some(attribute), false) = (should_panic, function.returns_nothing()) {
        return Err(Error::new(attribute.span, "a function that is to panic returns nothing"));
    }
    // (The words that it is to have are the one literal there.)
    let panics = should_panic.map(|attribute| {
        let literal = attribute.literal().unwrap_or_else(|| Literal::string(""));
        TokenTree::from(literal).into()
    });
    Ok(code(
        "ATTRIBUTES
        #[::core::prelude::v1::test]
        VISIBILITY fn NAME() {
            FUNCTION
            let test = CRATE::__macros::Test {
                module: ::core::module_path!(),
                name: WORD,
                driver: DRIVER,
                panics: PANICS,
            };
            CRATE::__macros::test(test, || BUILDER, BODY)
        }",
        &[
            ("ATTRIBUTES", function.attributes()),
            ("VISIBILITY", function.visibility.clone()),
            ("NAME", name(&function)),
            ("FUNCTION", function.bare()),
            ("WORD", TokenTree::from(Literal::string(&function.plain_name())).into()),
            ("DRIVER", option(options.driver())),
            ("PANICS", option(panics)),
            ("BUILDER", options.builder()),
            ("BODY", function.reference()),
            ("CRATE", options.path()),
        ],
    ))
}

fn name(function: &Function) -> TokenStream {
    TokenTree::from(function.name.clone()).into()
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        None => code("::core::option::Option::None", &[]),
        Some(value) => code("::core::option::Option::Some(VALUE)", &[("VALUE", value)]),
    }
}
