//! What has to fit the default stack of a task, in a debug build: name look-ups and a TLS handshake. (A panic with a
//! full backtrace is tested in `ec-tasks`.)

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream};
use event_channel::{run, task};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::sync::Arc;

/// For "localhost", signed by itself, valid for a hundred years.
const CERTIFICATE: &[u8] = include_bytes!("cert.der");
const KEY: &[u8] = include_bytes!("key.der");

#[test]
fn getaddrinfo_on_the_task_s_own_stack() {
    limit(60, || {
        run(|| {
            use std::net::ToSocketAddrs;
            // std's call, so that libc's resolver runs here and not on a helper thread
            let found = ("localhost", 80).to_socket_addrs().expect("every machine knows itself").count();
            assert!(found > 0);
            // a name that is in no file goes through the resolver's other modules; that it fails is fine
            let _ = ("no-such-name.invalid", 80).to_socket_addrs().map(Iterator::count);
        });
    });
}

#[test]
fn a_tls_handshake_over_the_wrappers() {
    limit(60, || {
        let certificate = CertificateDer::from(CERTIFICATE);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(KEY)))
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        run(move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let serving = task::spawn(move || {
                let (tcp, _) = listener.accept().unwrap();
                let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(server)).unwrap(), tcp);
                let mut request = [0; 5];
                tls.read_exact(&mut request).unwrap();
                tls.write_all(&request).unwrap();
                tls.conn.send_close_notify();
                tls.flush().unwrap();
            });
            let tcp = TcpStream::connect(address).unwrap();
            let name = "localhost".try_into().unwrap();
            let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), tcp);
            tls.write_all(b"hello").unwrap();
            let mut reply = Vec::new();
            tls.read_to_end(&mut reply).unwrap();
            assert_eq!(reply, b"hello");
            serving.join().unwrap();
        });
    });
}
