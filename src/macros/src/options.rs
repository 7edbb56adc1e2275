//! What stands in the brackets of an attribute: `cores = 2, driver = "epoll"`.

use crate::tokens::{Error, code, flatten, is_punct};
use proc_macro::{Ident, TokenStream, TokenTree};

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
        let tokens = flatten(options);
        let mut parsed = Options::default();
        let mut given = Vec::new();
        for option in tokens.split(|token| is_punct(Some(token), ',')) {
            let name = match option {
                // (A comma at the end.)
                [] => continue,
                [TokenTree::Ident(name), ..] => name,
                _ => return Err(Error::at(option, "an option is expected, as in `cores = 2`")),
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
            let value = match option {
                [_, equals, value @ ..] if is_punct(Some(equals), '=') && !value.is_empty() => value,
                _ => return Err(Error::at(option, format!("a value is expected: `{known} = ..`"))),
            };
            match known.as_str() {
                "driver" => parsed.driver = Some(driver(value)?),
                "crate" => parsed.path = Some(path(value)?),
                _ => parsed.settings.push((name.clone(), value.iter().cloned().collect())),
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
    if let [TokenTree::Literal(literal)] = value {
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
    match value {
        [TokenTree::Literal(_), ..] => Err(Error::at(value, "a path, not a string: `crate = other_name`")),
        _ => Ok(value.iter().cloned().collect()),
    }
}
