//! A server on a free port of this machine that answers as a test says, and remembers what it was
//! asked; or that passes everything on to another one, and counts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The host that a proxy was to lead to; empty without one.
    pub host: String,
    /// Whether it came with a certificate of its own.
    pub certified: bool,
    pub method: String,
    /// Path and query.
    pub way: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer: status, further header lines, body.
pub struct Reply(pub u16, pub String, pub Vec<u8>);

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self(status, "content-type: application/json\r\n".to_owned(), body.to_string().into_bytes())
    }
}

pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(replying(answer))
    }

    /// Passes everything on as it is.
    pub fn before(port: u16) -> Self {
        Self::with(move |asked, stream| {
            let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut head = format!("{} {} HTTP/1.1\r\n", asked.method, asked.way);
            for (name, value) in asked.headers.iter().filter(|(name, _)| *name != "connection") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("connection: close\r\n\r\n");
            far.write_all(&[head.as_bytes(), &asked.body].concat()).unwrap();
            let mut answer = Vec::new();
            let _reset = far.read_to_end(&mut answer);
            let _gone = stream.write_all(&answer);
        })
    }

    /// Takes the question and says nothing.
    pub fn silent() -> Self {
        Self::with(|_, _| std::thread::sleep(Duration::from_mins(2)))
    }

    fn with(answer: impl Fn(&Asked, &mut dyn Write) + Send + Sync + 'static) -> Self {
        let begin = |mut stream: TcpStream, list: &Mutex<Vec<Asked>>, answer: &Answering| {
            serve(&mut stream, Asked::default(), list, answer);
        };
        Self::at("127.0.0.1:0", begin, answer)
    }

    /// At an address; `begin` makes of a connection what is talked over.
    pub fn at(
        address: &str,
        begin: impl Fn(TcpStream, &Mutex<Vec<Asked>>, &Answering) + Send + Sync + 'static,
        answer: impl Fn(&Asked, &mut dyn Write) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (list, both) = (Arc::clone(&asked), Arc::new((begin, answer)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (list, both) = (Arc::clone(&list), Arc::clone(&both));
                std::thread::spawn(move || (both.0)(stream, &list, &both.1));
            }
        });
        Self { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// How many of the questions since the last time were each of these, by the last word of
    /// `x-amz-target` or of the path before the key.
    pub fn count(&self, words: &[&str]) -> Vec<usize> {
        let asked = self.asked();
        let is = |one: &Asked, word: &str| {
            one.header("x-amz-target").ends_with(word) || one.way.contains(&format!("/{word}/"))
        };
        words.iter().map(|word| asked.iter().filter(|one| is(one, word)).count()).collect()
    }
}

/// A transit engine that keeps everything in the open.
pub fn kept(asked: &Asked) -> Reply {
    let body = asked.json();
    let inputs = body["batch_input"].as_array().unwrap().iter();
    let results = inputs.map(|one| match (one["plaintext"].as_str(), one["ciphertext"].as_str()) {
        (Some(text), _) => serde_json::json!({"ciphertext": format!("vault:v1:{text}")}),
        (_, Some(text)) => serde_json::json!({"plaintext": text.trim_start_matches("vault:v1:")}),
        _ => serde_json::json!({}),
    });
    Reply::json(200, &serde_json::json!({"data": {"batch_results": results.collect::<Vec<_>>()}}))
}

/// What answers.
pub type Answering = dyn Fn(&Asked, &mut dyn Write) + Send + Sync;

/// Answers as HTTP has it.
pub fn replying(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut dyn Write) + Send + Sync + 'static {
    move |asked, stream| {
        let Reply(status, headers, body) = answer(asked);
        let head = format!(
            "HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _gone = stream.write_all(&[head.as_bytes(), &body].concat());
    }
}

/// Reads one question, of which something may be known already, and has it answered.
pub fn serve(
    stream: &mut (impl Read + Write),
    known: Asked,
    list: &Mutex<Vec<Asked>>,
    answer: &Answering,
) {
    let mut lines = BufReader::new(&mut *stream);
    let mut line = String::new();
    if lines.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut asked = Asked { method: words.next().unwrap(), way: words.next().unwrap(), ..known };
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = asked.header("content-length").parse().unwrap_or(0);
    asked.body = vec![0; length];
    lines.read_exact(&mut asked.body).unwrap();
    drop(lines);
    // What is secret in these tests is called so; an address goes into logs.
    assert!(!asked.way.contains("canary"), "{}", asked.way);
    list.lock().unwrap().push(asked.clone());
    answer(&asked, stream);
}
