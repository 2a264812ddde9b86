//! Logins at a broker that is played here, byte by byte.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use millstream_auth::Secret;
use millstream_core::Rand;
use ring::{digest, hmac, pbkdf2};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::KafkaError;
use super::super::connection::Connection;
use super::Login;
use crate::settings::{KafkaLogin, SaslMechanism};

const SALT: &[u8] = b"salt and more of it";
const ROUNDS: u32 = 4_096;
const PASSWORD: &str = "a password";

/// Always the same, which a nonce must not be; here it is of no use to anyone.
#[derive(Debug)]
struct NoChance;

impl Rand for NoChance {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// A broker with one user.
#[derive(Clone, Copy)]
struct Broker {
    mechanisms: &'static [&'static str],
    /// What it proves to know in turn.
    password: &'static str,
    /// Whether a wrong proof is taken: an impostor takes whatever comes.
    believes_all: bool,
}

const HONEST: Broker = Broker {
    mechanisms: &["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"],
    password: PASSWORD,
    believes_all: false,
};

impl Broker {
    async fn serve(self, mut stream: DuplexStream) {
        let mut said: Vec<Bytes> = Vec::new();
        let mut mechanism = String::new();
        while let Ok(length) = stream.read_i32().await {
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut frame).await.unwrap();
            let (key, version) = (frame[1], frame[3]);
            let client = usize::from(u16::from_be_bytes([frame[8], frame[9]]));
            let body = Bytes::from(frame.clone()).slice(10 + client..);
            let mut answer = BytesMut::new();
            answer.put_slice(&frame[4..8]);
            match (key, version) {
                (18, 0) => versions(&mut answer),
                (17, 1) => {
                    mechanism = String::from_utf8(body[2..].to_vec()).unwrap();
                    let is_known = self.mechanisms.contains(&&*mechanism);
                    answer.put_i16(if is_known { 0 } else { 33 });
                    answer.put_i32(i32::try_from(self.mechanisms.len()).unwrap());
                    self.mechanisms.iter().for_each(|known| text(&mut answer, known));
                }
                (36, 0) => {
                    said.push(body.slice(4..));
                    if let Some(message) = self.reply(&mechanism, &said) {
                        answer.put_i16(0);
                        answer.put_i16(-1);
                        answer.put_i32(i32::try_from(message.len()).unwrap());
                        answer.put_slice(message.as_bytes());
                    } else {
                        answer.put_i16(58);
                        text(&mut answer, "Authentication failed\u{7}");
                        answer.put_i32(0);
                    }
                }
                other => panic!("nobody asked for {other:?}"),
            }
            stream.write_i32(i32::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }

    /// What is said to the last of `said`; nothing where it is wrong.
    fn reply(self, mechanism: &str, said: &[Bytes]) -> Option<String> {
        let texts: Vec<&str> = said.iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
        if mechanism == "PLAIN" {
            return (texts[0] == format!("\0someone\0{}", self.password)).then(String::new);
        }
        let bare = texts[0].strip_prefix("n,,").unwrap();
        let nonce = bare.rsplit_once("r=").unwrap().1;
        let salt = base64_simd::STANDARD.encode_to_string(SALT);
        let challenge = format!("r={nonce}more,s={salt},i={ROUNDS}");
        let [_, last] = texts[..] else { return Some(challenge) };
        let (without, proof) = last.rsplit_once(",p=").unwrap();
        let message = format!("{bare},{challenge},{without}");
        let (wanted, signature) = proofs(mechanism == "SCRAM-SHA-512", self.password, &message);
        (proof == wanted || self.believes_all).then(|| format!("v={signature}"))
    }
}

/// The client's proof and the server's signature, by another way than the client's.
fn proofs(is_long: bool, password: &str, message: &str) -> (String, String) {
    let (hmac_by, hash, derive) = if is_long {
        (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512)
    } else {
        (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256)
    };
    let sign = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac_by, key), text.as_bytes()).as_ref().to_vec()
    };
    let mut salted = vec![0; hash.output_len()];
    pbkdf2::derive(derive, ROUNDS.try_into().unwrap(), SALT, password.as_bytes(), &mut salted);
    let client = sign(&salted, "Client Key");
    let stored = digest::digest(hash, &client);
    let signature = sign(stored.as_ref(), message);
    let proof: Vec<u8> = client.iter().zip(signature).map(|(one, other)| one ^ other).collect();
    let server = sign(&sign(&salted, "Server Key"), message);
    let text = |bytes: &[u8]| base64_simd::STANDARD.encode_to_string(bytes);
    (text(&proof), text(&server))
}

fn text(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).unwrap());
    out.put_slice(text.as_bytes());
}

fn versions(out: &mut BytesMut) {
    out.put_i16(0);
    out.put_i32(3);
    for (key, max) in [(17, 1), (18, 0), (36, 2)] {
        out.put_i16(key);
        out.put_i16(0);
        out.put_i16(max);
    }
}

async fn log_in(
    broker: Broker,
    mechanism: SaslMechanism,
    password: &str,
) -> Result<(), KafkaError> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (username, password) = ("someone".to_owned(), Secret::from(password));
    let login = KafkaLogin { mechanism, username, password };
    let login = Login::new(login, Arc::new(NoChance));
    let serving = tokio::spawn(broker.serve(far));
    let outcome = Connection::begin(near, "broker:9096".to_owned(), Some(&login)).await;
    let outcome = outcome.map(drop);
    serving.await.unwrap();
    outcome
}

#[tokio::test]
async fn each_mechanism_logs_in() {
    for mechanism in SaslMechanism::ALL {
        assert_eq!(log_in(HONEST, mechanism, PASSWORD).await, Ok(()), "{mechanism:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_in_the_brokers_words_and_is_not_repeated() {
    for mechanism in SaslMechanism::ALL {
        let error = log_in(HONEST, mechanism, "wrong-7913").await.unwrap_err();
        let wanted =
            format!("broker:9096 refuses the login by {}: Authentication failed", mechanism.name());
        assert_eq!(error.to_string(), wanted);
        assert!(!error.is_damage(), "it is tried again");
    }
}

#[tokio::test]
async fn a_broker_that_does_not_know_the_password_is_not_believed() {
    let impostor = Broker { password: "guessed", believes_all: true, ..HONEST };
    for mechanism in [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let error = log_in(impostor, mechanism, PASSWORD).await.unwrap_err().to_string();
        assert!(error.ends_with("it does not prove to know the password"), "{error}");
    }
}

#[tokio::test]
async fn a_mechanism_that_the_broker_lacks_is_told_with_those_that_it_has() {
    let broker = Broker { mechanisms: &["SCRAM-SHA-512", "AWS_MSK_IAM"], ..HONEST };
    let error = log_in(broker, SaslMechanism::Plain, PASSWORD).await.unwrap_err().to_string();
    assert!(error.ends_with("by PLAIN: it has SCRAM-SHA-512, AWS_MSK_IAM"), "{error}");
}

#[test]
fn no_password_is_shown() {
    let (username, password) = ("someone".to_owned(), Secret::from("7913"));
    let login = KafkaLogin { mechanism: SaslMechanism::Plain, username, password };
    let login = Login::new(login, Arc::new(NoChance));
    assert!(!format!("{login:?}").contains("7913"));
}
