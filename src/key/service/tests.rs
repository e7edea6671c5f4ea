//! Properties of all that is read of answers.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::http::Answer;
use super::text::{unwrapped, wrapped, wrapped_text};
use super::*;

const SECRET: &str = "canary-of-whoever-asked";

fn answer(status: u16, body: &str) -> Answer {
    let body = Plaintext::copy_of(body.as_bytes());
    Answer { status, headers: ureq::http::HeaderMap::new(), body }
}

/// Answers as they are, but for what stands in their texts.
fn shapes(text: &str) -> Vec<String> {
    let element = |name: &str| format!("<{name}>{text}</{name}>");
    let texts = ["Code", "AccessKeyId", "SecretAccessKey", "SessionToken"].map(element);
    let values = [
        json!({"Plaintext": text, "CiphertextBlob": text}),
        json!({"__type": text, "message": text, "Message": text}),
        json!({"plaintext": text, "plain_text": text, "value": text}),
        json!({"error": {"code": text, "status": text, "message": text}}),
        json!({"error": text, "error_description": text}),
        json!({"error": {"error_code": text, "error_msg": text}}),
        json!({"error_code": text, "error_msg": text}),
        json!({"errors": [text, text]}),
        json!({"data": {"batch_results": [{"plaintext": text, "error": text}]}}),
        json!({"data": {"batch_results": [{"ciphertext": text}]}}),
        json!({"key": {"kid": text, "kty": "RSA", "n": text, "e": "AQAB"}}),
        json!({"access_token": text}),
        json!({"projects": [{"id": text}]}),
        json!({"credential": {"access": text, "secret": text, "securitytoken": text}}),
    ];
    let challenge = [text, "https://vault.azure.net"].map(|service| {
        format!("Bearer authorization=\"https://login/{text}\", resource=\"{service}\"")
    });
    values.iter().map(Value::to_string).chain([texts.concat()]).chain(challenge).collect()
}

fn check(status: u16, body: &[u8]) {
    for error in read_answer(status, body, SECRET) {
        let said = error.to_string();
        assert!(!said.contains(SECRET), "{said:?}");
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert!(said.chars().count() < 2_000, "{said:?}");
    }
}

proptest! {
    #[test]
    fn what_a_service_gives_is_what_is_read(secret in vec(any::<u8>(), 1..100), blob in "[ -~]{1,60}") {
        let text = BASE64_STANDARD.encode(&secret);
        for name in ["Plaintext", "plaintext", "plain_text"] {
            let answer = answer(200, &json!({name: text, "other": blob}).to_string());
            let read = unwrapped(&answer, &BASE64_STANDARD).unwrap();
            prop_assert!(read.same_as(&Plaintext::copy_of(&secret)));
        }
        for name in ["CiphertextBlob", "ciphertext"] {
            let answer = answer(200, &json!({name: text}).to_string());
            prop_assert_eq!(wrapped_text(&answer).unwrap(), text.as_str());
        }
        let huawei = answer(200, &json!({"cipher_text": blob}).to_string());
        prop_assert_eq!(wrapped(&huawei).unwrap(), blob.as_str());
        let url = json!({"value": BASE64_URL_SAFE_NO_PAD.encode(&secret)}).to_string();
        let read = unwrapped(&answer(200, &url), &BASE64_URL_SAFE_NO_PAD).unwrap();
        prop_assert!(read.same_as(&Plaintext::copy_of(&secret)));
    }

    #[test]
    fn no_answer_repeats_a_secret_or_breaks_a_line(
        before in "\\PC{0,20}|[\\x00-\\x20]{0,5}",
        behind in "\\PC{0,20}|[\\x00-\\x20]{0,5}",
        cut in 0..400usize,
        status in prop::sample::select(vec![200, 400, 401, 403, 404, 429, 503]),
        noise in vec(any::<u8>(), 0..300),
    ) {
        for shape in shapes(&format!("{before}{SECRET}{behind}")) {
            check(status, shape.as_bytes());
            check(status, &shape.as_bytes()[..cut.min(shape.len())]);
            check(status, &[&shape.as_bytes()[..cut.min(shape.len())], &noise].concat());
        }
        check(status, &noise);
    }
}

/// However long the others take.
#[test]
fn a_service_that_is_silent_spoils_no_other() {
    let look = || Surroundings {
        variables: [("SECRETCTL_KEY_SERVICES_TIMEOUT".to_owned(), "1".to_owned())].into(),
        ..Surroundings::default()
    };
    let single = |run: &Run, key: &WrappingKey, (): &()| {
        let kind = key.kind();
        let patience = run.around(kind)?.patience();
        if kind == WrappingKind::HcKms {
            std::thread::sleep(patience);
            return Err(ServiceError { kind, trouble: Trouble::Slow(patience) });
        }
        std::thread::sleep(patience / 10);
        Ok(())
    };
    let batch = |_: &Run, _: &vault::Key<'_>, _: &[&()], _: &Surroundings| Ok(Vec::new());
    let silent = (0..40).map(|_| (WrappingKey::HcKms(String::new()), ()));
    let good = (0..120).map(|_| (WrappingKey::GcpKms(String::new()), ()));
    let jobs: Vec<_> = silent.chain(good).collect();
    let idle = none_idle(jobs.len());
    let mut opened = 0;
    let begin = Instant::now();
    Services::new(look).all(jobs, idle, How { single, batch }, &mut |_, answer| {
        opened += usize::from(answer.is_ok());
        Vec::new()
    });
    assert_eq!(opened, 120);
    // Those that are silent are asked a few at a time, and not all.
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}
