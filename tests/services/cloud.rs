//! TLS for tests: an authority, servers with certificates of it, and a proxy behind which they pass
//! for any host.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::server::{Answering, Asked, Reply, Server, replying, serve};

/// Hosts that a test may pass for.
const HOSTS: [&str; 15] = [
    "kms.eu-central-1.amazonaws.com",
    "sts.eu-central-1.amazonaws.com",
    "portal.sso.eu-central-1.amazonaws.com",
    "oidc.eu-central-1.amazonaws.com",
    "oauth2.googleapis.com",
    "cloudkms.googleapis.com",
    "iamcredentials.googleapis.com",
    "sts.googleapis.com",
    "issuer.test.invalid",
    "login.microsoftonline.com",
    "fleet.vault.azure.net",
    "kms.cn-north-4.myhuaweicloud.com",
    "iam.cn-north-4.myhuaweicloud.com",
    "vault.test.invalid",
    "localhost",
];

/// An authority: `ca.pem`, and of it `leaf.pem` with `leaf.key`, for servers and clients.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// `None` where there is no openssl.
    pub fn new(folder: PathBuf) -> Option<Self> {
        if crate::desk::lacks("openssl") {
            return None;
        }
        fs::create_dir_all(&folder).unwrap();
        let names: Vec<String> = HOSTS.iter().map(|host| format!("DNS:{host}")).collect();
        let names = format!("subjectAltName=IP:127.0.0.1,{}", names.join(","));
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        let ca = "-x509 -days 2 -subj /CN=test-only -addext basicConstraints=critical,CA:TRUE";
        openssl(&folder, &format!("req {key} {ca} -keyout ca.key -out ca.pem"));
        let leaf = "-subj /CN=leaf -keyout leaf.key -out leaf.csr -addext";
        openssl(&folder, &format!("req {key} {leaf} {names}"));
        let sign = "-CA ca.pem -CAkey ca.key -copy_extensions copy -days 2 -out leaf.pem";
        openssl(&folder, &format!("x509 -req -in leaf.csr {sign}"));
        Some(Self { folder })
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn configuration(&self, of_clients: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if of_clients {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(self.file("leaf.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.file("leaf.key")).unwrap();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// A server at `https://localhost:PORT`; `of_clients` says that they must come with a certificate.
    pub fn server(
        &self,
        of_clients: bool,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let configuration = self.configuration(of_clients);
        let begin = move |stream: TcpStream, list: &Mutex<Vec<Asked>>, answer: &Answering| {
            talk(&configuration, stream, String::new(), list, answer);
        };
        Server::at("127.0.0.1:0", begin, replying(answer))
    }

    /// A proxy; whatever host it is to lead to, it is that host itself.
    pub fn proxy(&self, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let configuration = self.configuration(false);
        let begin = move |mut stream: TcpStream, list: &Mutex<Vec<Asked>>, answer: &Answering| {
            let host = connect(&mut stream).unwrap();
            talk(&configuration, stream, host, list, answer);
        };
        Server::at("127.0.0.1:0", begin, replying(answer))
    }
}

fn talk(
    configuration: &Arc<ServerConfig>,
    stream: TcpStream,
    host: String,
    list: &Mutex<Vec<Asked>>,
    answer: &Answering,
) {
    let connection = ServerConnection::new(Arc::clone(configuration)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    // Who does not trust the certificate is gone now.
    if stream.conn.complete_io(&mut stream.sock).is_err() {
        return;
    }
    let certified = stream.conn.peer_certificates().is_some();
    serve(&mut stream, Asked { host, certified, ..Asked::default() }, list, answer);
    stream.conn.send_close_notify();
    let _gone = stream.flush();
}

/// Reads what a proxy is asked; the host.
fn connect(stream: &mut TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let host = line.strip_prefix("CONNECT ")?.split(':').next()?.to_owned();
    while !line.trim_end().is_empty() {
        line.clear();
        lines.read_line(&mut line).unwrap();
    }
    stream.write_all(b"HTTP/1.1 200 Go\r\n\r\n").unwrap();
    Some(host)
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
