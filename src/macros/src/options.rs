//! What stands in the brackets of an attribute: `cores = 2, driver = "epoll"`.

use crate::tokens::{Error, code, flatten, in_parentheses, is_ident, is_joint, is_punct};
use proc_macro::{Delimiter, Ident, TokenStream, TokenTree};

/// Those that are methods of the runtime's builder, and take any expression.
const SETTINGS: [&str; 4] = ["cores", "max_threads", "stack_size", "keep_alive"];
/// What `EVENT_CHANNEL_DRIVER` takes, and what the enum calls it.
const DRIVERS: [(&str, &str); 3] = [("io_uring", "IoUring"), ("epoll", "Epoll"), ("poll", "Poll")];

/// As they were given.
#[derive(Default)]
pub(crate) struct Options {
    settings: Vec<(Ident, TokenStream)>,
    driver: Option<&'static str>,
    path: Option<TokenStream>,
}

impl Options {
    pub(crate) fn parse(options: TokenStream) -> Result<Options, Error> {
        let mut parsed = Options::default();
        let mut given = Vec::new();
        for option in split(options) {
            let name = match &option[..] {
                // (A comma at the end.)
                [] => continue,
                [TokenTree::Ident(name), ..] => name,
                _ => return Err(Error::at(&option, "an option is expected, as in `cores = 2`")),
            };
            let known = name.to_string();
            if !SETTINGS.contains(&known.as_str()) && known != "driver" && known != "crate" {
                let there_are = SETTINGS.map(|name| format!("`{name}`")).join(", ");
                let what =
                    format!("there is no option `{known}`: there are {there_are}, `driver` and `crate`");
                return Err(Error::new(name.span(), what));
            }
            if given.contains(&known) {
                return Err(Error::new(name.span(), format!("`{known}` is given twice")));
            }
            let value = match &option[..] {
                [_, equals, value @ ..] if is_punct(Some(equals), '=') && !value.is_empty() => value,
                _ => return Err(Error::at(&option, format!("a value is expected: `{known} = ..`"))),
            };
            match known.as_str() {
                "driver" => parsed.driver = Some(driver(value)?),
                "crate" => parsed.path = Some(path(value)?),
                _ => parsed.settings.push((name.clone(), in_parentheses(value.iter().cloned().collect()))),
            }
            given.push(known);
        }
        Ok(parsed)
    }

    /// The path to `event-channel`.
    pub(crate) fn path(&self) -> TokenStream {
        self.path.clone().unwrap_or_else(|| code("::event_channel", &[]))
    }

    /// The driver that was given, as an expression.
    pub(crate) fn driver(&self) -> Option<TokenStream> {
        let text = format!("CRATE::channel::Driver::{}", self.driver?);
        Some(code(&text, &[("CRATE", self.path())]))
    }

    /// A runtime's builder with all settings but the driver.
    pub(crate) fn builder(&self) -> TokenStream {
        let mut builder = code("CRATE::Runtime::builder()", &[("CRATE", self.path())]);
        for (name, value) in &self.settings {
            let name = TokenTree::from(name.clone()).into();
            builder.extend(code(".NAME(VALUE)", &[("NAME", name), ("VALUE", value.clone())]));
        }
        builder
    }

    /// A builder with the driver as well. `None`: nothing was asked for.
    pub(crate) fn runtime(&self) -> Option<TokenStream> {
        let mut builder = self.builder();
        match self.driver() {
            Some(driver) => builder.extend(code(".driver(DRIVER)", &[("DRIVER", driver)])),
            None if self.settings.is_empty() => return None,
            None => {}
        }
        Some(builder)
    }
}

fn driver(value: &[TokenTree]) -> Result<&'static str, Error> {
    if let [TokenTree::Literal(literal)] = &flatten(value.iter().cloned().collect())[..] {
        let literal = literal.to_string();
        if let Some((_, driver)) = DRIVERS.iter().find(|(name, _)| literal == format!("{name:?}")) {
            return Ok(driver);
        }
    }
    let there_are = DRIVERS.map(|(name, _)| format!("{name:?}")).join(", ");
    Err(Error::at(value, format!("no such driver: there are {there_are}")))
}

/// `other`, `::other` or `crate::other`.
fn path(value: &[TokenTree]) -> Result<TokenStream, Error> {
    let path = flatten(value.iter().cloned().collect());
    match &path[..] {
        [TokenTree::Literal(_), ..] => Err(Error::at(value, "a path, not a string: `crate = other_name`")),
        _ => Ok(path.into_iter().collect()),
    }
}

/// The options: between commas, but for those in the list of a generic's arguments, as in `size::<u8, u16>()`. (All other lists are in
/// brackets, but for a closure's arguments, and that is no option's value.)
///
/// A whole option may be in a group that a `macro_rules!` has put around it, which is taken away.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut options = vec![Vec::new()];
    let mut generics = Generics::default();
    let mut next: Vec<_> = tokens.into_iter().collect();
    next.reverse();
    while let Some(token) = next.pop() {
        let option = options.last_mut().expect("there is one at least");
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None && option.is_empty() => {
                let inside: Vec<_> = group.stream().into_iter().collect();
                next.extend(inside.into_iter().rev());
            }
            token if generics.depth == 0 && is_punct(Some(&token), ',') => {
                options.push(Vec::new());
                generics = Generics::default();
            }
            token => {
                generics.see(option, &token);
                option.push(token);
            }
        }
    }
    options
}

/// In how many lists of generics' arguments one is, while an expression is read.
#[derive(Default)]
struct Generics {
    depth: usize,
    /// Behind an `as`: a type.
    in_type: bool,
    /// Just behind a list.
    closed: bool,
}

impl Generics {
    /// The next `token`, behind those `before` it.
    fn see(&mut self, before: &[TokenTree], token: &TokenTree) {
        let last = before.last();
        let follows = |words: &[&str]| words.iter().any(|word| is_ident(last, word));
        let closed = std::mem::take(&mut self.closed);
        if is_punct(Some(token), '<') && (self.depth > 0 || self.in_type || !closed && opens(last)) {
            self.depth += 1;
        } else if self.depth > 0 {
            let is_arrow = is_joint(last, '-') || is_joint(last, '=');
            if is_punct(Some(token), '>') && !is_arrow {
                self.depth -= 1;
                self.closed = self.depth == 0;
            }
        } else if is_ident(Some(token), "as") {
            self.in_type = true;
        } else if is_punct(Some(token), '*') || is_punct(Some(token), '&') {
            self.in_type &= follows(&["as", "const", "mut"]) || is_punct(last, '&');
        } else {
            self.in_type &= matches!(token, TokenTree::Ident(_)) || is_punct(Some(token), ':');
        }
    }
}

/// Whether a `<` behind `last`, in an expression, begins a list of arguments or a type, as in `size::<u8>()` and `<u8 as Size>::SIZE`: else
/// it compares, or is half of a shift.
fn opens(last: Option<&TokenTree>) -> bool {
    const BEFORE_OPERANDS: [&str; 6] = ["break", "if", "in", "match", "return", "while"];
    match last {
        Some(TokenTree::Punct(punct)) => punct.as_char() != '?' && !is_joint(last, '<'),
        Some(TokenTree::Ident(ident)) => BEFORE_OPERANDS.contains(&&*ident.to_string()),
        _ => false,
    }
}
