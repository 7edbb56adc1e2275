//! The HTTP step: requests in, responses out. A parser that is used everywhere, no server around it.

/// What every request is answered with.
pub const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: rig\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

/// What has come of a request that is not whole yet.
#[derive(Default)]
pub struct Http(Vec<u8>);

impl Http {
    /// Parses every whole request in what was kept and `data`, appends a response for each to `out`, keeps the rest.
    pub fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.0.is_empty() {
            let used = Self::step(data, out);
            self.0.extend_from_slice(&data[used..]);
        } else {
            self.0.extend_from_slice(data);
            let used = Self::step(&self.0, out);
            self.0.drain(..used);
        }
    }

    fn step(buf: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while used < buf.len() {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            match httparse::Request::new(&mut headers).parse(&buf[used..]) {
                Ok(httparse::Status::Complete(n)) => used += n,
                Ok(httparse::Status::Partial) => break,
                Err(error) => panic!("a bad request: {error}"),
            }
            out.extend_from_slice(RESPONSE);
        }
        used
    }
}
