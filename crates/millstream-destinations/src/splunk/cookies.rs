//! Cookies by which a load balancer leads us back to the collector that has our events.
//!
//! Owns names and values, and nothing else of cookies: they go back to the one host they came
//! from, and live as long as the destination. Bounded in number and length.

use std::sync::Mutex;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

const COOKIES_MAX: usize = 16;
const COOKIE_BYTES_MAX: usize = 4_096;

/// What to send along.
#[derive(Debug, Default)]
pub(super) struct Cookies(Mutex<Vec<(String, String)>>);

impl Cookies {
    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes what an answer sets.
    pub(super) fn learn(&self, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            let Ok(text) = value.to_str() else { continue };
            let pair = text.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || name.len() + value.len() > COOKIE_BYTES_MAX {
                continue;
            }
            let mut cookies = self.locked();
            cookies.retain(|(known, _)| known != name);
            if cookies.len() < COOKIES_MAX {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The header that gives them back; none where there are none.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let cookies = self.locked();
        if cookies.is_empty() {
            return None;
        }
        let pairs: Vec<String> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        HeaderValue::from_str(&pairs.join("; ")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_each_name_goes_back() {
        let cookies = Cookies::default();
        assert_eq!(cookies.header(), None);
        let mut headers = HeaderMap::new();
        for value in ["AWSALB=one; Expires=never; Path=/", "b=2", "AWSALB=two", "nonsense"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(value));
        }
        cookies.learn(&headers);
        assert_eq!(cookies.header().unwrap(), "b=2; AWSALB=two");
    }
}
